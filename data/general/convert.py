"""Convert general instruction data to one file of canonical examples.

Reads   data/general/raw/: .jsonl, .jsonl.gz of {id, category, source, lang?, license?, messages}, other keys are
        dropped; licences.yaml, if it is there, of {source: licence}, for rows that say none
Writes  data/general/general.jsonl
Run     dvc repro data/general/dvc.yaml
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from alloy.core.files import InputError, Row, find_files, is_jsonl, write_jsonl
from alloy.core.stage import run
from alloy.core.yaml_text import read_yaml
from alloy.formats.general import KEYS, count_unknown_keys, general_rows, unknown_key_warnings

HERE = Path("data/general")
WANTED = "no .jsonl or .jsonl.gz file; put general examples there (see data/general/README.md)"
LICENCES = "licences.yaml"


def read_licences(path: Path) -> dict[str, str]:
    """Return the licence of each source that the file names; none where there is no file."""
    if not path.is_file():
        return {}
    try:
        licences = read_yaml(path)
    except InputError as error:
        raise InputError(f"{error}; write `source: licence` lines in UTF-8") from None
    if not isinstance(licences, dict):
        raise InputError(f"{path}: write `source: licence` lines")
    for source, licence in licences.items():
        if not isinstance(source, str) or not isinstance(licence, str) or not licence.strip():
            raise InputError(f"{path}: {source}: {licence!r} where the name of a licence belongs; write it in quotes")
    return licences


def canonical(row: Row, licences: dict[str, str]) -> Row:
    """Return the example with its known keys alone; its own licence goes before that of its source."""
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in row["messages"]]
    licence = {"license": licences[row["source"]]} if row["source"] in licences else {}
    row = {**licence, **{key: value for key, value in row.items() if value is not None}}
    return {**{key: row[key] for key in KEYS if key in row}, "messages": turns}


def convert(files: list[Path], licences: Path, counts: Counter[str], unknown: Counter[str]) -> Iterator[Row]:
    """Yield the examples of all files, and count them by source; an id may stand in one file only.

    `unknown` has at the end the number of examples with each key that is dropped.
    """
    seen: set[str] = set()
    known = read_licences(licences)
    for path in files:
        for row in general_rows(path, seen):
            counts[row["source"]] += 1
            count_unknown_keys(row, unknown)
            yield canonical(row, known)
    if strange := sorted(set(known) - set(counts)):
        raise InputError(
            f"{licences}: there is no row of {', '.join(strange)}; name of {', '.join(sorted(counts))}, or leave it out"
        )


def main() -> None:
    """Read, check, write."""
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    raw = HERE / "raw"
    files = find_files(raw, is_jsonl, WANTED)
    write_jsonl(HERE / "general.jsonl", convert(files, raw / LICENCES, counts, unknown))
    print(f"convert: {counts.total()} examples of {len(counts)} sources")
    for warning in unknown_key_warnings(raw, unknown):
        print(f"convert: {warning}")


if __name__ == "__main__":
    run(main)
