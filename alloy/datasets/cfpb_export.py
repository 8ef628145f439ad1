"""Complaints as published: the CFPB's public CSV export, or JSON Lines of the same rows."""

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
LONGEST = 1_000_000  # characters in a cell: a quote that never closes must not swallow the file


class Complaint(NamedTuple):
    """One row. `text` is empty where the consumer published none, and None in a row of a taxonomy."""

    id: str | None
    text: str | None
    paths: tuple[LabelPath, ...]
    split: str | None = None


def read_raw(raw: Path) -> Iterator[Complaint]:
    """Yield the rows of all files under `raw`, in name order."""
    files = [path for path in sorted(raw.rglob("[!.]*")) if path.is_file()]
    files = [path for path in files if path.name.lower().endswith(TABLES + LINES)]
    if not files:
        raise InputError(f"{raw}: no {', '.join(TABLES + LINES)} file; put the CFPB's CSV export there: {EXPORT}")
    for path in files:
        yield from read_table(path) if path.name.lower().endswith(TABLES) else read_records(path)


def read_table(path: Path) -> Iterator[Complaint]:
    """Yield the rows of a CSV export, which may be packed."""
    if path.suffix.lower() != ".zip":
        yield from table_rows(str(path), read_lines(path))
        return
    try:
        with ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            names = [name for name in names if not PurePosixPath(name).name.startswith(".")]
            if not names:
                raise InputError(f"{path}: no .csv file inside; put the CFPB's CSV export there: {EXPORT}")
            for name in names:
                with archive.open(name) as member:
                    yield from table_rows(f"{path}/{name}", member)
    except (BadZipFile, EOFError, zlib.error, RuntimeError) as error:  # RuntimeError: a password is asked
        raise InputError(f"{path}: not a whole zip file ({error}); fetch it again") from None


def table_rows(place: str, lines: Iterable[bytes]) -> Iterator[Complaint]:
    """Yield the rows of a CSV table; `place` names it in errors."""
    csv.field_size_limit(LONGEST)
    reader = csv.reader(decode_text(place, lines), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in (*LABELS, TEXT):
            if name not in header:
                raise InputError(f"{place}:1: no column '{name}'; give the CFPB's CSV export with its header line")
        labels, text = [header.index(name) for name in LABELS], header.index(TEXT)
        identity = header.index(ID) if ID in header else None
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                fault = f"{len(cells)} cells under {len(header)} columns; is the file whole? fetch it again"
                raise InputError(f"{place}:{reader.line_num}: {fault}")
            number = cells[identity].strip() if identity is not None else ""
            path = tuple(normalize_text(cells[column]) or "(none)" for column in labels)
            yield Complaint(f"cfpb-{number}" if number else None, cells[text], (path,))
    except csv.Error as error:
        raise InputError(f"{place}:{reader.line_num}: not valid CSV ({error}); fetch the file again") from None


def read_records(path: Path) -> Iterator[Complaint]:
    """Yield the rows of a JSON Lines file: complaints, and paths of the taxonomy."""
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        try:
            complaint = parse_record(row)
        except ValueError as fault:
            raise InputError(f"{path}:{number}: {fault}") from None
        yield complaint


def parse_record(row: Row) -> Complaint:
    """Return the complaint, or the path of the taxonomy, in a row without `labels`."""
    if "labels" not in row:
        return Complaint(None, None, (parse_path(row),))
    if not isinstance(row.get("id"), str) or not row["id"] or not isinstance(row.get("text"), str):
        raise ValueError("`id` or `text` is missing or no string; write {id, text, labels}")
    if row.get("split") not in (None, "train", "test"):
        raise ValueError(f"split '{row['split']}' is unknown; write train or test, or leave it out")
    if not isinstance(row["labels"], list) or not row["labels"]:
        raise ValueError("`labels` is no list or empty; write at least one {L1, L2, L3, L4}")
    return Complaint(row["id"], row["text"], tuple(map(parse_path, row["labels"])), row.get("split"))


def parse_path(labels: object) -> LabelPath:
    """Return the path in `{L1..L4}`; a level that is null or empty does not apply."""
    if not isinstance(labels, dict) or not all(isinstance(labels.get(level, 0), str | None) for level in LEVELS):
        raise ValueError("a label lacks one of L1 to L4 or has it as no string; write {L1, L2, L3, L4}")
    return tuple(normalize_text(labels[level] or "") or "(none)" for level in LEVELS)
