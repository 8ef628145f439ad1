"""Malformed tables and `source.yaml` files for `benchmarks/bad_inputs.py`: the stage `prepare`, and `alloy import`."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl

from benchmarks.bad_case import Case, Edit, combine_edits, list_bad_bytes, list_not_a_file, replace_text, write_file

FOLDER = "data/bad"
SOURCE, TABLE, SHEET = f"{FOLDER}/source.yaml", f"{FOLDER}/a.csv", f"{FOLDER}/a.xlsx"
COMMAND = ("stages.prepare", "comments")
HEADER = "id,text,Topic,Detail,mood\n"
ROWS = [f"{number},The lock number {number} jams,Lock,Jams,anger\n" for number in range(1, 41)]
GOOD = (HEADER + "".join(ROWS)).encode()
COLUMNS = "columns: {id: id, text: text, levels: [Topic, Detail], emotion: mood}\n"
GOOD_SOURCE = f"format: csv\nfile: a.csv\n{COLUMNS}"
LARGE_CELL = 2**26  # bytes
UNPACKED = 2**31  # bytes of a workbook that is small when packed
# What a workbook with a password begins with: the signature of an OLE file, and the name of its encrypted part.
ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600

# Text of source.yaml, and the text that the message must have.
SOURCES = {
    "not YAML": ("format: [csv\n", "source.yaml:"),
    "a list": ("- csv\n", "source.yaml"),
    "empty": ("", "source.yaml"),
    "an unknown format": (GOOD_SOURCE.replace("csv\n", "docx\n", 1), "format"),
    "a format of general rows": ("format: alpaca\nfile: a.csv\n", "alpaca"),
    "no format": (f"file: a.csv\n{COLUMNS}", "format"),
    "an unknown key": (f"{GOOD_SOURCE}colums: {{}}\n", "colums"),
    "an unknown field of columns": (GOOD_SOURCE.replace("emotion:", "feeling:"), "columns.feeling"),
    "no text column": (GOOD_SOURCE.replace(" text: text,", ""), "text"),
    "no levels": (GOOD_SOURCE.replace(" levels: [Topic, Detail],", ""), "levels"),
    "levels that are a text": (GOOD_SOURCE.replace("[Topic, Detail]", "Topic"), "levels"),
    "a column that the file does not have": (GOOD_SOURCE.replace("text: text", "text: Comment"), "Comment"),
    "a level that the file does not have": (GOOD_SOURCE.replace("Detail]", "Detail, Part]"), "Part"),
    "a column for two fields": (GOOD_SOURCE.replace("emotion: mood", "emotion: text"), "text"),
    "a file that is missing": (GOOD_SOURCE.replace("a.csv", "b.csv"), "b.csv"),
    "a file outside the folder": (GOOD_SOURCE.replace("a.csv", "../../params.yaml"), "file"),
    "a file that is a number": (GOOD_SOURCE.replace("a.csv", "17"), "file"),
    "a header row of 0": (f"{GOOD_SOURCE}header: 0\n", "header"),
    "a header row below the data": (f"{GOOD_SOURCE}header: 400\n", "400"),
    "a header row that is text": (f"{GOOD_SOURCE}header: first\n", "header"),
    "rows that are words": (f"{GOOD_SOURCE}row_is: word\n", "row_is"),
    "levels to keep: 0": (f"{GOOD_SOURCE}keep_levels: 0\n", "keep_levels"),
    "levels to keep: 9": (f"{GOOD_SOURCE}keep_levels: 9\n", "keep_levels"),
    "an unknown separator": (f"{GOOD_SOURCE}separator: '#'\n", "separator"),
    "another separator": (f"{GOOD_SOURCE}separator: ';'\n", "a.csv"),
    "an unknown encoding": (f"{GOOD_SOURCE}encoding: klingon\n", "encoding"),
    "a path separator with two levels": (f"{GOOD_SOURCE}path_separator: '>'\n", "levels"),
    "a taxonomy that is missing": (f"{GOOD_SOURCE}taxonomy: t.csv\n", "t.csv"),
    "a branch instead of a commit": ("format: hub\nrepository: a/b\nrevision: main\n", "revision"),
    "a hub without a repository": ("format: hub\n", "repository"),
    "a license that is a list": (f"{GOOD_SOURCE}license: [MIT]\n", "license"),
    "one block without the kind": ("general: {format: alpaca, file: a.csv}\n", "comments"),
    "anchors that multiply to billions of items": (
        "b0: &b0 [x, x, x]\n" + "".join(f"b{n}: &b{n} [{f'*b{n - 1}, ' * 9}]\n" for n in range(1, 12)),
        "source.yaml",
    ),
}
# Content of the table, and the text that the message must have.
TABLES = {
    "only a header": (HEADER.encode(), "a.csv"),
    "two header rows": ((HEADER * 2 + "".join(ROWS)).encode(), "a.csv"),
    "a cell too many": (GOOD.replace(b"2 jams,", b"2 jams, again,", 1), "a.csv:3"),
    "a cell too few": (GOOD.replace(b"2,The lock number 2 jams,Lock,", b"2,The lock number 2 jams,", 1), "a.csv:3"),
    "an id that comes twice": (GOOD.replace(b"\n3,", b"\n2,", 1), "a.csv:4"),
    "a quote that is not closed": (GOOD.replace(b"The lock number 2 jams", b'"The lock number 2 jams', 1), "a.csv"),
    "a column name that comes twice": (GOOD.replace(b"id,text", b"text,text", 1), "text"),
    "a level left out above another": (GOOD.replace(b"2 jams,Lock,Jams", b"2 jams,,Jams", 1), "a.csv:3"),
    "free text in the label column": (
        (HEADER + "".join(f"{n},Hi {n},{'My lock jams since May ' * 9}{n},{n},joy\n" for n in range(400))).encode(),
        "Topic",
    ),
    "two encodings": (
        GOOD.replace(b"number 2", b"n\xfcmber 2", 1).replace(b"number 3", "nümber 3".encode(), 1),
        "a.csv",
    ),
    "a cell of 64 MB": (GOOD.replace(b"The lock number 2", b"x" * LARGE_CELL, 1), "a.csv:3"),
}


def make_table_project(content: bytes | Callable[[], bytes], source: str = GOOD_SOURCE, name: str = "a.csv") -> Edit:
    """Return an edit that writes a data folder with a table and makes the project use it.

    `content` may be a function that makes it, if that takes long.
    """

    def edit(project: Path) -> None:
        write_file(f"{FOLDER}/{name}", content if isinstance(content, bytes) else content())(project)
        write_file(SOURCE, source.encode())(project)
        replace_text("params.yaml", "comments: demo", "comments: bad")(project)

    return edit


def list_source_cases() -> Iterator[Case]:
    """Yield errors in source.yaml."""
    for what, (text, place) in SOURCES.items():
        yield Case(SOURCE, what, make_table_project(GOOD, text), COMMAND, place)
    good = make_table_project(GOOD)
    for case in list_not_a_file(SOURCE, COMMAND):
        if case.what != "missing":  # a folder without source.yaml has the canonical files
            yield Case(SOURCE, case.what, combine_edits(good, case.edit), COMMAND, case.location)
    yield Case(SOURCE, "none, and no canonical files", combine_edits(good, _remove_source), COMMAND, FOLDER)


def _remove_source(project: Path) -> None:
    (project / SOURCE).unlink()


def list_table_cases() -> Iterator[Case]:
    """Yield errors in a csv file."""
    for what, (content, place) in TABLES.items():
        yield Case(TABLE, what, make_table_project(content), COMMAND, place)
    broken = GOOD.replace(b"2 jams,Lock,", b'2 jams,"Lo\nck",', 1)
    yield Case(TABLE, "a line break within a label", make_table_project(broken), COMMAND, "a.csv:3")
    good = make_table_project(GOOD)
    read = ("UTF-16",)
    for case in [*list_not_a_file(TABLE, COMMAND), *list_bad_bytes(TABLE, COMMAND, read=read)]:
        place = "" if case.accepted else "a.csv"
        yield Case(TABLE, case.what, combine_edits(good, case.edit), COMMAND, place, case.accepted)


def make_workbook(rows: list[list[object]], *, hidden: bool = False, sheets: int = 1) -> bytes:
    """Return a workbook with the same rows in each sheet."""
    book = openpyxl.Workbook()
    assert book.active is not None
    for number in range(sheets):
        sheet = book.active if not number else book.create_sheet(f"More {number}")
        for row in rows:
            sheet.append(row)
        sheet.sheet_state = "hidden" if hidden and number else "visible"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def make_bomb() -> bytes:
    """Return a workbook of some megabytes that would fill `UNPACKED` bytes."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(UNPACKED // 2**24):
            part.write(b"0" * 2**24)
    return file.getvalue()


def list_workbook_cases() -> Iterator[Case]:
    """Yield errors in a workbook, and bytes under a wrong name."""
    cells: list[list[object]] = [list(line.strip().split(",")) for line in (HEADER, *ROWS)]
    source = GOOD_SOURCE.replace("csv", "xlsx")
    good = make_workbook(cells)
    books: dict[str, tuple[bytes | Callable[[], bytes], str, str]] = {
        "not a workbook": (GOOD, source, "a.xlsx"),
        "half of a workbook": (good[: len(good) // 2], source, "a.xlsx"),
        "a password": (ENCRYPTED, source, "a.xlsx"),
        "a zip bomb": (make_bomb, source, "a.xlsx"),
        "two sheets": (make_workbook(cells, sheets=2), source, "a.xlsx"),
        "a sheet that it does not have": (good, f"{source}sheet: Reviews\n", "Reviews"),
        "an empty sheet": (make_workbook([]), source, "a.xlsx"),
        "formulas without a value": (
            make_workbook([*cells[:3], ["3", '="a"&"b"', "Lock", "Jams", "joy"]]),
            source,
            "left out",
        ),
        "a column that it does not have": (good, source.replace("text: text", "text: Comment"), "Comment"),
        "empty": (b"", source, "a.xlsx"),
    }
    for what, (content, text, place) in books.items():
        yield Case(SHEET, what, make_table_project(content, text, "a.xlsx"), COMMAND, place, place == "left out")
    parquet = GOOD_SOURCE.replace("csv", "parquet")
    yield Case(
        f"{FOLDER}/a.parquet", "not parquet", make_table_project(GOOD, parquet, "a.parquet"), COMMAND, "a.parquet"
    )
    jsonl = GOOD_SOURCE.replace("csv", "jsonl")
    lines = [json.dumps(dict(zip(HEADER.strip().split(","), row, strict=True))) for row in cells[1:]]
    for what, line in {
        "cut off": lines[1][:20],
        "a list": "[1]",
        "a nested text": '{"id": "2", "text": {"a": 1}, "Topic": "Lock", "Detail": "Jams", "mood": "joy"}',
    }.items():
        text = "\n".join([lines[0], line, *lines[2:]]).encode()
        yield Case(
            f"{FOLDER}/a.jsonl",
            f"a row that is {what}",
            make_table_project(text, jsonl, "a.jsonl"),
            COMMAND,
            "a.jsonl:2",
        )


def list_import_cases() -> Iterator[Case]:
    """Yield files that `alloy import` cannot read, and wrong arguments."""
    files = {
        "a document": ("a.docx", b"PK\x03\x04"),
        "only a header": ("a.csv", HEADER.encode()),
        "empty": ("a.csv", b""),
        "no comments": ("a.csv", b"id,price\n1,2\n2,3\n"),
        "not JSON": ("a.json", b"[{"),
        "a password": ("a.xlsx", ENCRYPTED),
        "NUL bytes": ("a.csv", b"\0" * 4096),
        "a picture": ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8),
    }
    for what, (name, content) in files.items():
        yield Case("alloy import", what, write_file(name, content), _import(name), name)
    yield from list_not_a_file("a.csv", _import("a.csv"))
    good = write_file("a.csv", GOOD)
    for words, place in {
        "--text Comment": "Comment",
        "--levels Topic,Part": "Part",
        "--as ../x": "../x",
        "--as demo": "demo",
        "--as .hidden": ".hidden",
    }.items():
        yield Case("alloy import", words, good, (*_import("a.csv"), *words.split()), place)


def _import(file: str) -> tuple[str, ...]:
    return ("alloy", "import", file, "--as", "bad", "--yes")


def list_cases() -> Iterator[Case]:
    """Yield all cases."""
    for group in (list_source_cases, list_table_cases, list_workbook_cases, list_import_cases):
        yield from group()
