"""Convert general instruction data to one file of canonical examples.

Reads   data/general/raw/: .jsonl, .jsonl.gz of {id, category, source, lang?, messages}, other keys are dropped
Writes  data/general/general.jsonl
Run     dvc repro data/general/dvc.yaml
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stages.entry import run
from stages.general_data import general_rows
from stages.records import InputError, Row, write_jsonl

HERE = Path("data/general")
SUFFIXES = (".jsonl", ".jsonl.gz")
KEYS = ("id", "category", "source", "lang", "messages")


def find_files(raw: Path) -> list[Path]:
    """Return the files to read, in name order."""
    files = [path for path in sorted(raw.rglob("[!.]*")) if path.is_file() and path.name.lower().endswith(SUFFIXES)]
    if not files:
        raise InputError(f"{raw}: no .jsonl or .jsonl.gz file; put general examples there (see data/general/README.md)")
    return files


def canonical(row: Row) -> Row:
    """Return the example with its known keys alone."""
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in row["messages"]]
    return {**{key: row[key] for key in KEYS if key in row}, "messages": turns}


def convert(files: list[Path], counts: Counter[str]) -> Iterator[Row]:
    """Yield the examples of all files, and count them by source; an id may stand in one file only."""
    seen: set[str] = set()
    for path in files:
        for row in general_rows(path, seen):
            counts[row["source"]] += 1
            yield canonical(row)


def main() -> None:
    """Read, check, write."""
    counts: Counter[str] = Counter()
    write_jsonl(HERE / "general.jsonl", convert(find_files(HERE / "raw"), counts))
    print(f"convert: {counts.total()} examples of {len(counts)} sources")


if __name__ == "__main__":
    run(main)
