"""Sheets of a workbook (.xlsx, .xls, .ods) as rows of text."""

import datetime
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from alloy.core.files import InputError
from alloy.core.tables import LEGACY_WORKBOOK, MAX_CELL_LENGTH, WORKBOOK, TableRow

MOST = 2**30  # bytes that a workbook may be when it is unpacked
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # a part of workbooks with a password
BLOCK = 2**20
Ranges = list[tuple[tuple[int, int], tuple[int, int]]]


class Sheet(NamedTuple):
    """The name of a sheet and its rows, each with its number, without those that hold no text."""

    name: str
    rows: list[TableRow]


def read_sheet(path: Path, name: str | None, header: int = 1) -> Sheet:
    """Return the sheet of a workbook that `name` names, or the only one that is not hidden.

    A cell that is merged over several rows counts in each of them; one that is merged over several columns, only below
    row `header`. Formulas have the values that the spreadsheet program stored, numbers and dates are written as text.
    """
    import python_calamine

    _check(path)
    try:
        with python_calamine.CalamineWorkbook.from_path(path) as book:
            found = _pick(path, book, name)
            sheet = book.get_sheet_by_name(found)
            cells: list[list[Any]] = sheet.to_python(skip_empty_area=False)
            _fill(cells, sheet.merged_cell_ranges or [], header)
    except python_calamine.PasswordError:
        raise InputError(f"{path}: the workbook has a password; save it without one") from None
    except python_calamine.CalamineError as error:
        raise InputError(f"{path}: not a whole workbook ({' '.join(str(error).split())[:99]}); save it again") from None
    except (MemoryError, OSError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'too large for the memory'}") from None
    return Sheet(found, list(_rows(path, cells)))


def _rows(path: Path, cells: list[list[Any]]) -> Iterator[TableRow]:
    for number, row in enumerate(cells, 1):
        texts = [value if isinstance(value, str) else cell_text(value) for value in row]
        if any(text and not text.isspace() for text in texts):
            if max(map(len, texts)) > MAX_CELL_LENGTH:
                raise InputError(f"{path}:{number}: a cell has more than {MAX_CELL_LENGTH:,} characters; shorten it")
            yield TableRow(number, texts)


def cell_text(value: Any) -> str:  # noqa: ANN401 (what cells hold)
    """Return a cell's value as text: whole numbers without a decimal point, dates as 2024-05-31, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return "" if value != value else str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _pick(path: Path, book: Any, name: str | None) -> str:  # noqa: ANN401 (calamine's class)
    """Return the name of the sheet to read."""
    import python_calamine

    seen = python_calamine.SheetVisibleEnum.Visible
    visible = [one.name for one in book.sheets_metadata if one.visible == seen]
    if name is not None:
        if name not in book.sheet_names:
            raise InputError(f"{path}: no sheet '{name}'; there are {', '.join(book.sheet_names)}")
        return name
    filled = [sheet for sheet in visible if book.get_sheet_by_name(sheet).height]
    if len(filled) != 1:
        hidden = [sheet for sheet in book.sheet_names if sheet not in visible]
        more = f" (hidden: {', '.join(hidden)})" if hidden else ""
        raise InputError(
            f"{path}: {len(filled)} sheets with rows, expected one: {', '.join(filled)}{more}; name one as `sheet`"
        )
    return filled[0]


def _fill(cells: list[list[Any]], ranges: Ranges, header: int) -> None:
    """Write the value of each merged cell into all the rows that it covers; below the header, into all the columns."""
    for (top, left), (bottom, right) in ranges:
        if top >= len(cells) or left >= len(cells[top]):
            continue
        last = right if top >= header else left
        for row in cells[top : bottom + 1]:
            row[left : last + 1] = [cells[top][left]] * len(row[left : last + 1])


def _check(path: Path) -> None:
    """Raise `InputError` for what is no workbook, has a password, is cut off or would fill the memory when unpacked."""
    with path.open("rb") as file:
        start = file.read(4)
        if start == LEGACY_WORKBOOK and ENCRYPTED in start + file.read():
            raise InputError(f"{path}: the workbook has a password; save it without one")
    if start == LEGACY_WORKBOOK:
        return
    if start != WORKBOOK:
        raise InputError(f"{path}: not a workbook; write `format: csv` if it is a text file, or save it as .xlsx")
    try:
        with ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
            if size > MOST:
                raise InputError(f"{path}: {size / 2**30:.1f} GiB unpacked (at most 1); save the sheet as CSV UTF-8")
            for part in archive.infolist():  # Python reads no more of a part than it says to hold
                with archive.open(part) as unpacked:
                    while unpacked.read(BLOCK):
                        pass
    except (BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path}: not a whole workbook ({error}); save or fetch it again") from None
