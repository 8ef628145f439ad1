"""Label the complaints at the first two levels alone: product and sub-product.

Reads   data/cfpb/comments.jsonl, data/cfpb/taxonomy.csv
Writes  data/cfpb/two_levels/comments.jsonl, taxonomy.csv
Run     dvc repro data/cfpb/dvc.yaml:two_levels

Segments of a comment that have the same label then become one.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from alloy.core.files import Row, stream_jsonl, write_jsonl, write_whole
from alloy.core.stage import run
from alloy.formats.taxonomy import load_taxonomy

HERE = Path("data/cfpb")
OUT = HERE / "two_levels"
LEVELS = ("L1", "L2")


def shorten(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the comments with the first levels of their labels, each once."""
    for row in rows:
        paths = dict.fromkeys(tuple(segment[level] for level in LEVELS) for segment in row["segments"])
        yield {**row, "segments": [dict(zip(LEVELS, path, strict=True)) for path in paths]}


def main() -> None:
    """Read, shorten, write."""
    taxonomy = load_taxonomy(HERE / "taxonomy.csv")
    paths = sorted({path[: len(LEVELS)] for path in taxonomy.leaves})
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([LEVELS, *paths])
    write_jsonl(OUT / "comments.jsonl", shorten(stream_jsonl(HERE / "comments.jsonl")))
    write_whole(OUT / "taxonomy.csv", lambda part: part.write_text(text.getvalue(), encoding="utf-8"))
    print(f"two_levels: {len(paths)} paths of {len(taxonomy.leaves)}")


if __name__ == "__main__":
    run(main)
