"""Read complaints of the CFPB: the public CSV export, or JSON Lines of the same rows."""

import csv
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

from alloy.core.files import InputError, Row, decode_lines, decode_text, read_lines
from alloy.core.text import normalize_text
from alloy.formats.taxonomy import LabelPath

EXPORT = "https://files.consumerfinance.gov/ccdb/complaints.csv.zip"
LEVELS = ("L1", "L2", "L3", "L4")
LABELS = ("Product", "Sub-product", "Issue", "Sub-issue")
TEXT = "Consumer complaint narrative"
ID = "Complaint ID"
TABLES = (".csv", ".csv.gz", ".zip")
LINES = (".jsonl", ".jsonl.gz")
MAX_CELL = 1_000_000  # characters; without a limit, an unclosed quote would read the rest of the file


class Complaint(NamedTuple):
    """One row. `text` is empty if the consumer did not publish it, and None in a row with only a path."""

    id: str | None
    text: str | None
    paths: tuple[LabelPath, ...]
    split: str | None = None


def read_raw(raw: Path) -> Iterator[Complaint]:
    """Yield the rows of all files under `raw`, in the order of their names."""
    files = [path for path in sorted(raw.rglob("[!.]*")) if path.is_file()]
    files = [path for path in files if path.name.lower().endswith(TABLES + LINES)]
    if not files:
        raise InputError(f"{raw}: no {', '.join(TABLES + LINES)} file; put the CFPB's CSV export there: {EXPORT}")
    for path in files:
        yield from read_table(path) if path.name.lower().endswith(TABLES) else read_records(path)


def read_table(path: Path) -> Iterator[Complaint]:
    """Yield the rows of a CSV export, which may be compressed."""
    if path.suffix.lower() != ".zip":
        yield from read_table_rows(str(path), read_lines(path))
        return
    try:
        with ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            names = [name for name in names if not PurePosixPath(name).name.startswith(".")]
            if not names:
                raise InputError(f"{path}: no .csv file inside; put the CFPB's CSV export there: {EXPORT}")
            for name in names:
                with archive.open(name) as member:
                    yield from read_table_rows(f"{path}/{name}", member)
    except (BadZipFile, EOFError, zlib.error, RuntimeError) as error:  # RuntimeError: the file has a password
        raise InputError(f"{path}: not a complete zip file ({error}); download it again") from None


def read_table_rows(location: str, lines: Iterable[bytes]) -> Iterator[Complaint]:
    """Yield the rows of a CSV table; `location` is its name in error messages."""
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(decode_text(location, lines), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in (*LABELS, TEXT):
            if name not in header:
                raise InputError(f"{location}:1: no column '{name}'; use the CFPB's CSV export with its header line")
        labels, text = [header.index(name) for name in LABELS], header.index(TEXT)
        identity = header.index(ID) if ID in header else None
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                found = f"expected {len(header)} cells, got {len(cells)}"
                raise InputError(f"{location}:{reader.line_num}: {found}; download the file again")
            number = cells[identity].strip() if identity is not None else ""
            path = tuple(normalize_text(cells[column]) or "(none)" for column in labels)
            yield Complaint(f"cfpb-{number}" if number else None, cells[text], (path,))
    except csv.Error as error:
        raise InputError(f"{location}:{reader.line_num}: not valid CSV ({error}); download the file again") from None


def read_records(path: Path) -> Iterator[Complaint]:
    """Yield the rows of a JSON Lines file: complaints, and paths of the taxonomy."""
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        try:
            complaint = parse_record(row)
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}") from None
        yield complaint


def parse_record(row: Row) -> Complaint:
    """Return the complaint in a row; a row without `labels` holds only a path."""
    if "labels" not in row:
        return Complaint(None, None, (parse_path(row),))
    if not isinstance(row.get("id"), str) or not row["id"] or not isinstance(row.get("text"), str):
        raise ValueError("expected strings `id` and `text`; write {id, text, labels}")
    if row.get("split") not in (None, "train", "test"):
        raise ValueError(f"expected split train, test or none, got '{row['split']}'")
    if not isinstance(row["labels"], list) or not row["labels"]:
        raise ValueError("`labels` is not a list or is empty; write at least one {L1, L2, L3, L4}")
    return Complaint(row["id"], row["text"], tuple(map(parse_path, row["labels"])), row.get("split"))


def parse_path(labels: object) -> LabelPath:
    """Return the path in `{L1..L4}`. A level that is null or empty becomes (none)."""
    if not isinstance(labels, dict) or not all(isinstance(labels.get(level, 0), str | None) for level in LEVELS):
        raise ValueError("expected a label with strings L1 to L4; write {L1, L2, L3, L4}")
    return tuple(normalize_text(labels[level] or "") or "(none)" for level in LEVELS)
