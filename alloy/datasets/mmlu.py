"""Convert MMLU, in any of its three layouts, to the canonical benchmark.

The raw files are the hub's parquet files (cais/mmlu), the CSV files of hendrycks/test, or JSON Lines.

Subjects are sorted by name; the questions of a subject keep their order.
"""

import csv
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import InputError, LocatedRows, Row, decode_text, read_lines, read_located_rows, write_jsonl
from alloy.core.text import has_text, normalize_text
from alloy.formats.parquet import read_parquet

SOURCE = "https://huggingface.co/datasets/cais/mmlu"
SPLITS = ("test", "dev")
FIELDS = ["subject", "question", "choices", "answer"]
LETTERS = "ABCD"


class Layout(NamedTuple):
    """A layout of MMLU: its name, the pattern of its file names, and the function that reads a file."""

    name: str
    files: re.Pattern[str]
    read: Callable[[Path], LocatedRows]


def read_csv(path: Path) -> LocatedRows:
    """Yield the rows of `<subject>_<split>.csv`: question, four choices, letter; no header."""
    subject = path.stem.rsplit("_", 1)[0]
    reader = csv.reader(decode_text(path, read_lines(path)))
    try:
        for cells in reader:
            if not cells:
                continue
            question, *choices, letter = cells if len(cells) > 1 else [*cells, ""]
            letter = letter.strip()
            answer = LETTERS.index(letter) if letter in tuple(LETTERS) else letter
            row = dict(zip(FIELDS, (subject, question, choices, answer), strict=True))
            yield f"{path}:{reader.line_num}", row
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not valid CSV ({error}); download the file again") from None


LAYOUTS = (
    Layout(
        "parquet",
        re.compile(r"(?P<split>test|dev)-\d+-of-\d+\.parquet"),
        partial(read_parquet, fields=FIELDS, source=SOURCE),
    ),
    Layout("CSV", re.compile(r".+_(?P<split>test|dev)\.csv"), read_csv),
    Layout("JSON Lines", re.compile(r"mmlu_(?P<split>test|dev)\.jsonl(\.gz)?"), read_located_rows),
)


def find_layout(raw: Path) -> tuple[Layout, dict[str, list[Path]]]:
    """Return the layout of the files under `raw`, and the files of each split in the order of their names."""
    paths = sorted(path for path in raw.rglob("[!.]*") if path.is_file())
    layouts: list[tuple[Layout, dict[str, list[Path]]]] = []
    for layout in LAYOUTS:
        files: dict[str, list[Path]] = {split: [] for split in SPLITS}
        for path in paths:
            if match := layout.files.fullmatch(path.name):
                files[match["split"]].append(path)
        if any(files.values()):
            layouts.append((layout, files))
    if not layouts:
        raise InputError(f"{raw}: no MMLU files; put the folder `all` of {SOURCE} there (see README.md)")
    if len(layouts) > 1:
        names = " and ".join(layout.name for layout, _ in layouts)
        raise InputError(f"{raw}: expected one layout, got {names} files; keep one")
    layout, files = layouts[0]
    for split in SPLITS:
        whole = [path for path in files[split] if path.parent.name == "all"]  # the hub also has one folder per subject
        files[split] = whole or files[split]
        if not files[split]:
            raise InputError(f"{raw}: no {split} files among the {layout.name} files; add the {split} files")
    return layout, files


def check_question(row: Row) -> Row:
    """Return the canonical `{subject, question, choices, answer}`; raise `ValueError` if it is invalid.

    The subject is normalized (`normalize_text`), because subjects are compared.
    """
    question, choices, answer = (row.get(field) for field in FIELDS[1:])
    for field in ("subject", "question"):
        if not has_text(row.get(field)):
            raise ValueError(f"`{field}` is missing or empty; download the file again")
    texts = [choice for choice in choices if isinstance(choice, str)] if isinstance(choices, list) else []
    if len(texts) != 4 or choices != texts:
        raise ValueError(f"expected four choices, got {len(texts)}; correct the row")
    if type(answer) is not int or not 0 <= answer < 4:
        raise ValueError(f"expected an answer from 0 to 3 (in CSV: A to D), got {answer!r}")
    return dict(zip(FIELDS, (normalize_text(row["subject"]), question, choices, answer), strict=True))


def read_split(layout: Layout, files: list[Path]) -> list[Row]:
    """Return the questions of one split, sorted by subject."""
    rows = []
    for path in files:
        for location, row in layout.read(path):
            try:
                rows.append(check_question(row))
            except ValueError as error:
                raise InputError(f"{location}: {error}") from None
    return sorted(rows, key=lambda row: row["subject"])


def convert_mmlu(raw: Path, out: Path) -> list[str]:
    """Write test.jsonl and dev.jsonl from the files below `raw`; return the lines to print."""
    layout, files = find_layout(raw)
    splits = {split: read_split(layout, files[split]) for split in SPLITS}
    subjects, dev_subjects = ({row["subject"] for row in splits[split]} for split in SPLITS)
    if without_dev := sorted(subjects - dev_subjects):
        raise InputError(f"{raw}: subject '{without_dev[0]}' has test questions but no dev questions; add its dev file")
    for split, rows in splits.items():
        write_jsonl(out / f"{split}.jsonl", rows)
    return [f"{len(splits['test'])} test, {len(splits['dev'])} dev questions in {len(subjects)} subjects"]
