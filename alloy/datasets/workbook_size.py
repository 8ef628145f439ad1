"""Refuse workbooks whose sheets have a cell far from the data.

calamine allocates all cells between A1 and the last row and column, also the empty ones: 24 bytes per cell. A workbook
of 1.5 KB with a value in cell XFD1048576 would end the process without an error message.

Algorithm for each part of an .xlsx file that has a sheet (`xl/worksheets/sheet1.xml`):
1. While it is unpacked, find the largest row number in `<row r="9">` and the largest row and column in references such
   as `r="AB9"`. References to the columns A to Z are skipped: 26 columns of the longest sheet are few enough cells.
2. If rows times columns are too many, unpack the part again, and find the largest row and column of all cells with
   content. LibreOffice and Excel also write empty rows and cells that only have a format, which calamine skips.

An .ods file has its sheets in content.xml. Its rows and cells have no numbers, but may be repeated. So they are
counted, up to the last row and cell with content:

    <table:table-row table:number-rows-repeated="9"> <table:table-cell table:number-columns-repeated="9"/> ..
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from zipfile import ZipFile, ZipInfo

from alloy.core.files import InputError

MAX_CELLS = 50_000_000  # of a sheet; 47 columns of the longest sheet. They take 1.2 GB of memory
MAX_ROW = 2**26  # bytes of a row of an .ods file, which is kept in memory
BLOCK = 2**20  # bytes
OVERLAP = 2**12  # bytes of the previous block that are searched again; no tag of a row or cell is that long
# Patterns that start with fixed bytes are several times as fast. A match in a text only leads to step 2.
ROW = re.compile(rb"""row\s[^>]*?\br=["'](\d{1,9})["']""")
WIDE_CELL = re.compile(rb"""r=["']([A-Za-z]{2,3})(\d{1,9})["']""")
# A cell with content is no `<c r="A1"/>` and no `<c r="A1"></c>`.
FILLED_CELL = re.compile(rb"""<(?:\w+:)?c\s(?:[^>]*?\s)?r=["']([A-Za-z]{1,3})(\d{1,9})["'][^>]*(?<!/)>(?=[^<]|<[^/])""")

ODS_ROW, ODS_TABLE = b"<table:table-row", b"<table:table "
ODS_CELL = re.compile(rb"<table:(?:covered-)?table-cell\b([^>]*)>")
ODS_REPEATED = re.compile(rb"""number-(?:rows|columns)-repeated=["'](\d{1,9})["']""")


def check_part(path: Path, archive: ZipFile, part: ZipInfo) -> None:
    """Read a part of the workbook `path`; raise `InputError` if a sheet in it has too many cells up to the last one."""
    name = part.filename.lower()
    with archive.open(part) as unpacked:
        if "worksheets/" in name and name.endswith(".xml"):
            rows, columns = _find_limits(unpacked)
        elif name == "content.xml":
            rows, columns = _count_cells(path, unpacked)
        else:
            rows, columns = 0, 0
        while unpacked.read(BLOCK):  # to the end, so that the checksum is compared
            pass
    if rows * columns > MAX_CELLS and name != "content.xml":
        with archive.open(part) as unpacked:
            rows, columns = _find_last_filled(unpacked)
    if rows * columns > MAX_CELLS:
        raise InputError(
            f"{path}: expected at most {MAX_CELLS:,} cells, got {rows * columns:,}, since the last cell of "
            f"{part.filename} is {_name_column(columns)}{rows}; delete the rows and columns after the data, or save "
            "the sheet as CSV UTF-8"
        )


def _find_limits(sheet: IO[bytes]) -> tuple[int, int]:
    """Return numbers of rows and columns that the sheet does not exceed."""
    rows, columns = 1, 26
    for text in _read_texts(sheet):
        wide_rows, wide_columns = _find_maxima(WIDE_CELL.findall(text))
        rows = max([rows, wide_rows, *map(int, ROW.findall(text))])
        columns = max(columns, wide_columns)
    return rows, columns


def _find_last_filled(sheet: IO[bytes]) -> tuple[int, int]:
    """Return the largest row and column of the cells with content."""
    rows = columns = 0
    for text in _read_texts(sheet):
        filled_rows, filled_columns = _find_maxima(FILLED_CELL.findall(text))
        rows, columns = max(rows, filled_rows), max(columns, filled_columns)
    return rows, columns


def _find_maxima(cells: list[tuple[bytes, bytes]]) -> tuple[int, int]:
    """Return the largest row and column of `cells`, each with its column and row; 0 if there are none."""
    rows = max(map(int, {row for _, row in cells}), default=0)
    return rows, max(map(_number_column, {column for column, _ in cells}), default=0)


def _read_texts(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the content in blocks that overlap, so that each tag is complete in one of them."""
    end = b""
    while block := file.read(BLOCK):
        text = end + block
        yield text
        end = text[-OVERLAP:]


def _count_cells(path: Path, content: IO[bytes]) -> tuple[int, int]:
    """Return the last row and column with content of the first sheet of an .ods file that is too large, or 0, 0."""
    row = last_row = last_column = 0
    for text in _split_rows(path, content):
        row += _find_repeats(text.partition(b">")[0])
        if column := _find_last_column(text):
            last_row, last_column = row, max(last_column, column)
            if last_row * last_column > MAX_CELLS:
                return last_row, last_column
        if ODS_TABLE in text:  # the next sheet starts after this row
            row = last_row = last_column = 0
    return 0, 0


def _split_rows(path: Path, content: IO[bytes]) -> Iterator[bytes]:
    """Yield the text of each row of an .ods file, from its attributes to the next row."""
    rest = b""
    while block := content.read(BLOCK):
        *texts, rest = (rest + block).split(ODS_ROW)
        yield from texts
        if len(rest) > MAX_ROW:
            raise InputError(f"{path}: expected at most {MAX_ROW >> 20} MiB per row; save the sheet as CSV UTF-8")
    yield rest


def _find_last_column(row: bytes) -> int:
    """Return the last column with content in the text of a row; 0 if the row is empty."""
    filled = row[: row.rfind(b"table-cell>") + 1]  # after the last end tag are only empty cells, `<table:table-cell/>`
    if b"columns-repeated" in filled:
        return sum(map(_find_repeats, ODS_CELL.findall(filled)))
    return filled.count(b"<table:table-cell") + filled.count(b"<table:covered-table-cell")


def _find_repeats(attributes: bytes) -> int:
    repeated = ODS_REPEATED.search(attributes)
    return int(repeated[1]) if repeated else 1


def _number_column(name: bytes) -> int:
    """Return 1 for A, 26 for Z, 27 for AA."""
    number = 0
    for letter in name.upper():
        number = 26 * number + letter - ord("A") + 1
    return number


def _name_column(number: int) -> str:
    """Return A for 1, Z for 26, AA for 27."""
    name = ""
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("A") + letter) + name
    return name
