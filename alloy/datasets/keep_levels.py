"""The first levels of a taxonomy alone: prepared comments and their taxonomy, shortened in place.

Segments of a comment that have the same label then become one. Lines keep their numbers; one that is no comment stays,
for the stage `split` to say what is wrong with it.
"""

from pathlib import Path

import orjson

from alloy.core.files import InputError, Row, read_lines, write_lines
from alloy.datasets.taxonomy_table import write_taxonomy
from alloy.formats.taxonomy import load_taxonomy


def keep_levels(out: Path, count: int, source: Path) -> str:
    """Keep the first `count` levels in the files of `out`; return what to print. `source` is the file that asks so."""
    taxonomy = load_taxonomy(out / "taxonomy.csv")
    levels = taxonomy.levels
    if count > len(levels):
        raise InputError(f"{source}: keep_levels: expected at most {len(levels)}, the levels of the data, got {count}")
    paths = sorted({path[:count] for path in taxonomy.leaves})
    comments = out / "comments.jsonl"
    write_lines(comments, (shorten(line, levels, count) for line in read_lines(comments)))
    write_taxonomy(out / "taxonomy.csv", paths, count)
    return f"{count} of {len(levels)} levels are kept: {len(paths)} paths of {len(taxonomy.leaves)}"


def shorten(line: bytes, levels: tuple[str, ...], count: int) -> bytes:
    """Return the line of a comment whose segments have the first `count` of the levels, each once."""
    line = line.rstrip(b"\r\n")
    try:
        row = orjson.loads(line)
        segments = [_without(segment, levels[count:]) for segment in row["segments"]]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return line
    once = {orjson.dumps(segment, option=orjson.OPT_SORT_KEYS): segment for segment in segments}
    return orjson.dumps({**row, "segments": list(once.values())})


def _without(segment: Row, levels: tuple[str, ...]) -> Row:
    return {key: value for key, value in segment.items() if key not in levels}
