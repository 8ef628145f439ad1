"""Keep only the first levels of a taxonomy: shorten prepared comments and their taxonomy in place.

Segments of a comment with the same remaining labels are merged. Lines keep their numbers. An invalid line stays
unchanged, and the stage `split` reports it.
"""

from pathlib import Path

import orjson

from alloy.core.files import InputError, Row, read_lines, write_lines
from alloy.datasets.taxonomy_table import write_taxonomy
from alloy.formats.taxonomy import load_taxonomy


def keep_levels(out: Path, count: int, source: Path) -> str:
    """Keep the first `count` levels in the files of `out`; return the line to print. `source` is the source.yaml."""
    taxonomy = load_taxonomy(out / "taxonomy.csv")
    levels = taxonomy.levels
    if count > len(levels):
        raise InputError(f"{source}: keep_levels: expected at most {len(levels)} (the levels of the data), got {count}")
    paths = sorted({path[:count] for path in taxonomy.leaves})
    comments = out / "comments.jsonl"
    write_lines(comments, (shorten_line(line, levels, count) for line in read_lines(comments)))
    write_taxonomy(out / "taxonomy.csv", paths, count)
    return f"{count} of {len(levels)} levels are kept: {len(paths)} paths of {len(taxonomy.leaves)}"


def shorten_line(line: bytes, levels: tuple[str, ...], count: int) -> bytes:
    """Return the line of a comment with only the first `count` levels, without repeated segments."""
    line = line.rstrip(b"\r\n")
    try:
        row = orjson.loads(line)
        segments = [_drop_levels(segment, levels[count:]) for segment in row["segments"]]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return line
    unique = {orjson.dumps(segment, option=orjson.OPT_SORT_KEYS): segment for segment in segments}
    return orjson.dumps({**row, "segments": list(unique.values())})


def _drop_levels(segment: Row, levels: tuple[str, ...]) -> Row:
    return {key: value for key, value in segment.items() if key not in levels}
