"""Import a file as a data set: guess what its columns hold, show it, write data/<name>/source.yaml.

Reads   a table (.csv, .xlsx and the like), parquet or JSON file
Writes  data/<name>/: a copy of the file, source.yaml, and taxonomy.csv if asked for
Run     alloy import reviews.xlsx --as reviews

Before anything is written, the whole file is prepared as the stage `prepare` does it: what is wrong shows at once.
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
TAKEN = {"prepared", "split", "decontaminate", "rehearse", "mix", "predictions", "converse"}  # stages write there
SHOWN = 3  # rows that are shown
HEAD = "# Made by `alloy import`; docs/formats.md says what can be set.\n"
WIDTH = 60  # characters of a cell that are shown


class Wishes(NamedTuple):
    """What the user says of the columns; it goes before what is guessed."""

    columns: dict[str, str]
    levels: list[str]


def main(file: Path, name: str, wishes: Wishes, *, yes: bool, taxonomy: bool) -> None:
    """Look, show, ask, write."""
    folder = Path("data") / name
    if not NAME.fullmatch(name) or name in TAKEN:
        raise InputError(f"--as: '{name}' cannot be a data set's name; use letters, digits, _ and -, such as reviews")
    if folder.exists():
        raise InputError(f"{folder}: exists already; choose another name, or remove it first")
    if not Path("dvc.yaml").is_file():
        raise InputError("dvc.yaml: no such file; run this in the folder of the project")
    found = sniff_file(file)
    source, guess = describe(found, wishes, file)
    print("\n".join(explain(file, found, source, guess)), flush=True)
    if not yes and not confirmed(f"Write {folder}?"):
        raise InputError("nothing was written; name the columns with --text, --levels, --id, or add --yes")
    if not yes and found.kind is Kind.comments and not taxonomy:
        taxonomy = confirmed("Write the labels to taxonomy.csv, so that you can describe them?")
    said: list[str] = []
    write_folder(folder, lambda part: said.extend(fill(part, file, source, found.kind, taxonomy=taxonomy)))
    print("\n".join(f"import: {line}" for line in said))
    print(f"import: {folder} is ready; write `{found.kind}: {name}` under `data` in params.yaml, then `dvc repro`")
    print(f"import: `dvc add {folder / file.name}` keeps the data out of git and lets `dvc push` share it")


def confirmed(question: str) -> bool:
    """Ask; without a terminal nobody can answer, so that is a no."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def describe(found: FileGuess, wishes: Wishes, file: Path) -> tuple[dict[str, Any], Guess | None]:
    """Return what source.yaml will say, and the guess at the columns if there is one."""
    source = {**found.source, "file": file.name}
    if not found.rows:
        return source, None
    for column in (*wishes.columns.values(), *wishes.levels):
        if column not in found.header:
            raise InputError(f"{file}: no column '{column}'; columns are {', '.join(filter(None, found.header))}")
    guess = guess_columns(found.header, found.rows, wishes.columns, wishes.levels)
    lacking = "text" if "text" not in guess.columns else "levels" if not guess.levels else None
    if lacking:
        what = {"text": "the comments; name it with --text", "levels": "labels; name them with --levels 'Topic,Detail'"}
        names = ", ".join(filter(None, found.header))
        raise InputError(f"{file}: no column looks like {what[lacking]}; columns are {names}")
    source["columns"] = {**guess.columns, "levels": guess.levels}
    if guess.row_is is RowIs.segment:
        source["row_is"] = "segment"
    lists = found.source["format"] in ("jsonl", "parquet")  # whose lists are lists already
    for key in ("label_separator", "path_separator"):
        if (separator := getattr(guess, key)) is not None and not (lists and key == "label_separator"):
            source[key] = separator
    return source, guess


def explain(file: Path, found: FileGuess, source: dict[str, Any], guess: Guess | None) -> list[str]:
    """Return what was assumed, and the first rows as they are understood."""
    keys = ("format", "sheet", "header", "encoding", "row_is", "label_separator", "path_separator")
    said = [f"{file}: {found.kind}, " + ", ".join(f"{key} {source[key]!r}" for key in keys if key in source)]
    if guess is None:
        return said
    columns = {**guess.columns, **{f"L{level}": name for level, name in enumerate(guess.levels, 1)}}
    unused = [name for name in found.header if name and name not in columns.values()]
    said += [f"  {role:8}from column '{name}'" for role, name in columns.items()]
    said += [f"  not used: {', '.join(unused)}"] if unused else []
    for number, row in enumerate(found.rows[:SHOWN], 1):
        cells = dict(zip(found.header, row, strict=True))
        said.append(f"row {number}")
        said += [f"  {role:8}{_shown(cells[name])}" for role, name in columns.items()]
    return said


def _shown(cell: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in " ".join(cell.split()))
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def fill(part: Path, file: Path, source: dict[str, Any], kind: Kind, *, taxonomy: bool) -> list[str]:
    """Write the data folder, once the data has been prepared from it; return what that said."""
    shutil.copyfile(file, part / file.name)
    text = yaml.safe_dump(source, allow_unicode=True, sort_keys=False)
    (part / SOURCE).write_text(
        f"# Made by `alloy import`; docs/formats.md says what can be set.\n{text}", encoding="utf-8"
    )
    (part / ".gitignore").write_text(f"/{file.name}\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        try:
            said = prepare_data(part, kind, Path(temporary))
        except InputError as error:
            raise InputError(str(error).replace(str(part / file.name), str(file))) from None
        if taxonomy and kind is Kind.comments:
            shutil.copyfile(Path(temporary) / "taxonomy.csv", part / "taxonomy.csv")
            said.append("the labels are in taxonomy.csv; its column `description` can say what each means")
    return [line.replace(str(part / file.name), str(file)) for line in said]
