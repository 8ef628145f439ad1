"""Read a sheet of a workbook (.xlsx, .xls, .ods) as rows of text."""

import datetime
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from alloy.core.files import InputError
from alloy.core.tables import LEGACY_WORKBOOK, MAX_CELL_LENGTH, WORKBOOK, TableRow
from alloy.datasets.workbook_size import check_part

MAX_UNPACKED = 2**30  # bytes
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # name of a stream that only workbooks with a password have
Ranges = list[tuple[tuple[int, int], tuple[int, int]]]


class Sheet(NamedTuple):
    """The name of a sheet and its numbered rows. Empty rows are left out."""

    name: str
    rows: list[TableRow]


def read_sheet(path: Path, name: str | None, header: int = 1) -> Sheet:
    """Return the sheet called `name`; None: the only visible sheet with rows.

    - The value of a cell that is merged over several rows is repeated in each of them.
    - The value of a cell that is merged over several columns is repeated in each of them below row `header`.
    - A formula has the value that the spreadsheet program stored.
    - Numbers and dates become text.
    """
    import python_calamine

    _check_workbook(path)
    try:
        with python_calamine.CalamineWorkbook.from_path(path) as book:
            chosen = _choose_sheet(path, book, name)
            sheet = book.get_sheet_by_name(chosen)
            cells: list[list[Any]] = sheet.to_python(skip_empty_area=False)
            _fill_merged_cells(cells, sheet.merged_cell_ranges or [], header)
    except python_calamine.PasswordError:
        raise InputError(f"{path}: the workbook has a password; save it without one") from None
    except python_calamine.CalamineError as error:
        raise InputError(
            f"{path}: not a complete workbook ({' '.join(str(error).split())[:99]}); save it again"
        ) from None
    except (MemoryError, OSError) as error:
        raise InputError(
            f"{path}: {getattr(error, 'strerror', None) or 'too large for the memory'}; save the sheet as CSV UTF-8"
        ) from None
    return Sheet(chosen, list(_convert_rows(path, cells)))


def _convert_rows(path: Path, cells: list[list[Any]]) -> Iterator[TableRow]:
    for number, row in enumerate(cells, 1):
        texts = [value if isinstance(value, str) else format_cell_value(value) for value in row]
        if any(text and not text.isspace() for text in texts):
            if max(map(len, texts)) > MAX_CELL_LENGTH:
                raise InputError(
                    f"{path}:{number}: expected at most {MAX_CELL_LENGTH:,} characters per cell; shorten it"
                )
            yield TableRow(number, texts)


def format_cell_value(value: Any) -> str:  # noqa: ANN401 (any cell value)
    """Return a cell's value as text: integers without a decimal point, dates as 2024-05-31, None as an empty text."""
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


def _choose_sheet(path: Path, book: Any, name: str | None) -> str:  # noqa: ANN401 (calamine's class)
    """Return the name of the sheet to read."""
    import python_calamine

    state = python_calamine.SheetVisibleEnum.Visible
    visible = [sheet.name for sheet in book.sheets_metadata if sheet.visible == state]
    if name is not None:
        if name not in book.sheet_names:
            raise InputError(f"{path}: no sheet '{name}'; use one of {', '.join(book.sheet_names)}")
        return name
    filled = [sheet for sheet in visible if book.get_sheet_by_name(sheet).height]
    if len(filled) != 1:
        hidden = [sheet for sheet in book.sheet_names if sheet not in visible]
        more = f" (hidden: {', '.join(hidden)})" if hidden else ""
        if not filled:
            raise InputError(f"{path}: no visible sheet has rows{more}; add rows, or set `sheet` to a hidden sheet")
        shown = ", ".join(filled)
        raise InputError(
            f"{path}: expected one sheet with rows, got {len(filled)}: {shown}{more}; set `sheet` to one of them"
        )
    return filled[0]


def _fill_merged_cells(cells: list[list[Any]], ranges: Ranges, header: int) -> None:
    """Repeat the value of each merged cell in all its rows, and below the header in all its columns."""
    for (top, left), (bottom, right) in ranges:
        if top >= len(cells) or left >= len(cells[top]):
            continue
        last = right if top >= header else left
        for row in cells[top : bottom + 1]:
            row[left : last + 1] = [cells[top][left]] * len(row[left : last + 1])


def _check_workbook(path: Path) -> None:
    """Raise `InputError` if a file is not a workbook, has a password, is incomplete or is too large when unpacked."""
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
            if size > MAX_UNPACKED:
                raise InputError(
                    f"{path}: expected at most 1 GiB unpacked, got {size / 2**30:.1f}; save the sheet as CSV UTF-8"
                )
            for part in archive.infolist():  # zipfile never reads more of a part than its stated size
                check_part(path, archive, part)
    except (BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path}: not a complete workbook ({error}); save or download it again") from None
