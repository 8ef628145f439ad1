"""Import a file as a data set: guess what its columns hold, show the guess, write data/<name>/source.yaml.

Reads   a table (.csv, .xlsx and the like), a parquet file or a JSON file
Writes  data/<name>/: a copy of the file, source.yaml, and taxonomy.csv if requested
Run     alloy import reviews.xlsx --as reviews

Before anything is written, the whole file is converted as in the stage `prepare`, so that its errors are found at once.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from alloy.core.files import InputError, write_folder
from alloy.datasets.guess_columns import Guess, guess_columns
from alloy.datasets.prepare import prepare_data
from alloy.datasets.sniff import FileGuess, sniff_file
from alloy.datasets.source import SOURCE, Kind, RowIs

NAME = re.compile(r"[A-Za-z0-9][\w-]*")
RESERVED = {"prepared", "split", "decontaminate", "rehearse", "mix", "predictions", "converse"}  # stages write there
SHOWN_ROWS = 3
HEAD = "# Made by `alloy import`; docs/formats.md says what can be set.\n"
SHOWN_CHARACTERS = 60  # of a cell


class ColumnChoices(NamedTuple):
    """Columns that the user named; they override the guess."""

    columns: dict[str, str]
    levels: list[str]


def main(file: Path, name: str, choices: ColumnChoices, *, yes: bool, taxonomy: bool) -> None:
    """Guess what the file holds, show the guess, ask, and write the data set."""
    folder = Path("data") / name
    if not NAME.fullmatch(name) or name in RESERVED:
        raise InputError(f"--as: '{name}' cannot be a data set's name; use letters, digits, _ and -, such as reviews")
    if folder.exists():
        raise InputError(f"{folder}: exists already; choose another name, or remove it first")
    if not Path("dvc.yaml").is_file():
        raise InputError("dvc.yaml: no such file; run this in the folder of the project")
    sniffed = sniff_file(file)
    source, guess = make_source(sniffed, choices, file)
    print("\n".join(explain_guess(file, sniffed, source, guess)), flush=True)
    if not yes and not ask_yes_or_no(f"Write {folder}?"):
        raise InputError("nothing was written; choose the columns with --text, --levels, --id, or add --yes")
    if not yes and sniffed.kind is Kind.comments and not taxonomy:
        taxonomy = ask_yes_or_no("Write the labels to taxonomy.csv, so that you can describe them?")
    messages: list[str] = []

    def fill_folder(part: Path) -> None:
        messages.extend(write_data_set(part, file, source, sniffed.kind, taxonomy=taxonomy))

    write_folder(folder, fill_folder)
    print("\n".join(f"import: {line}" for line in messages))
    print(f"import: {folder} is ready; write `{sniffed.kind}: {name}` under `data` in params.yaml, then `dvc repro`")
    print(f"import: `dvc add {folder / file.name}` keeps the data out of git and lets `dvc push` share it")


def ask_yes_or_no(question: str) -> bool:
    """Ask the user a question; return False if standard input is not a terminal."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def make_source(sniffed: FileGuess, choices: ColumnChoices, file: Path) -> tuple[dict[str, Any], Guess | None]:
    """Return the content of source.yaml, and the guess of the columns if the file has columns."""
    source = {**sniffed.source, "file": file.name}
    if not sniffed.rows:
        return source, None
    for column in (*choices.columns.values(), *choices.levels):
        if column not in sniffed.header:
            names = ", ".join(filter(None, sniffed.header))
            raise InputError(f"{file}: no column '{column}'; use one of the columns {names}")
    guess = guess_columns(sniffed.header, sniffed.rows, choices.columns, choices.levels)
    missing = "text" if "text" not in guess.columns else "levels" if not guess.levels else None
    if missing:
        what = {
            "text": "the comments; choose one with --text",
            "levels": "labels; choose columns with --levels 'Topic,Detail'",
        }
        names = ", ".join(filter(None, sniffed.header))
        raise InputError(f"{file}: no column looks like {what[missing]}; the columns are {names}")
    source["columns"] = {**guess.columns, "levels": guess.levels}
    if guess.row_is is RowIs.segment:
        source["row_is"] = "segment"
    has_lists = sniffed.source["format"] in ("jsonl", "parquet")  # several labels are a list there, not one string
    for key in ("label_separator", "path_separator"):
        if (separator := getattr(guess, key)) is not None and not (has_lists and key == "label_separator"):
            source[key] = separator
    return source, guess


def explain_guess(file: Path, sniffed: FileGuess, source: dict[str, Any], guess: Guess | None) -> list[str]:
    """Return lines that show the guess, and the first rows with the guessed meaning of their cells."""
    keys = ("format", "sheet", "header", "encoding", "row_is", "label_separator", "path_separator")
    lines = [f"{file}: {sniffed.kind}, " + ", ".join(f"{key} {source[key]!r}" for key in keys if key in source)]
    if guess is None:
        return lines
    columns = {**guess.columns, **{f"L{level}": name for level, name in enumerate(guess.levels, 1)}}
    unused = [name for name in sniffed.header if name and name not in columns.values()]
    lines += [f"  {role:8}from column '{name}'" for role, name in columns.items()]
    lines += [f"  not used: {', '.join(unused)}"] if unused else []
    for number, row in enumerate(sniffed.rows[:SHOWN_ROWS], 1):
        cells = dict(zip(sniffed.header, row, strict=True))
        lines.append(f"row {number}")
        lines += [f"  {role:8}{_shorten_cell(cells[name])}" for role, name in columns.items()]
    return lines


def _shorten_cell(cell: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in " ".join(cell.split()))
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"


def write_data_set(part: Path, file: Path, source: dict[str, Any], kind: Kind, *, taxonomy: bool) -> list[str]:
    """Write a data folder, and convert its data as a check; return the messages of the conversion."""
    shutil.copyfile(file, part / file.name)
    text = yaml.safe_dump(source, allow_unicode=True, sort_keys=False)
    (part / SOURCE).write_text(f"{HEAD}{text}", encoding="utf-8")
    (part / ".gitignore").write_text(f"/{file.name}\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        try:
            messages = prepare_data(part, kind, Path(temporary))
        except InputError as error:
            raise InputError(str(error).replace(str(part / file.name), str(file))) from None
        if taxonomy and kind is Kind.comments:
            shutil.copyfile(Path(temporary) / "taxonomy.csv", part / "taxonomy.csv")
            messages.append("the labels are in taxonomy.csv; its column `description` can say what each means")
    return [line.replace(str(part / file.name), str(file)) for line in messages]
