"""Open text tables and workbooks as a header and rows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import InputError, make_permission_error
from alloy.core.tables import SEPARATORS, TableRow, read_table, stream_text
from alloy.core.text import normalize_text
from alloy.core.unknown_keys import find_nearest_key
from alloy.core.yaml_fix import CONFLICT_MARKER
from alloy.datasets.source import Source
from alloy.datasets.workbook import read_sheet

TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
SHOWN = 30  # column names in an error message


class OpenTable(NamedTuple):
    """A header and the rows below it. Each row has as many cells as the header."""

    header: list[str]
    rows: Iterator[TableRow]
    sheet: str | None = None
    separator: str | None = None


def open_table(path: Path, source: Source, fits: Callable[[list[str]], bool]) -> OpenTable:
    """Return the table in a file. In text files, the separator is chosen so that `fits` accepts the column names."""
    try:
        if path.name.lower().endswith(WORKBOOKS):
            return _open_sheet(path, source)
        lines = stream_text(path, source.encoding)
        table = read_table(path, lines, fits, source.separator, source.header - 1)
    except PermissionError:
        raise make_permission_error(path) from None
    if not table.header and source.header > 1:
        raise InputError(
            f"{path}: there is no row {source.header}; set `header` in source.yaml to the row with the column names"
        )
    if not table.header:
        raise InputError(f"{path}: the file is empty; write the column names in its first row")
    _refuse_conflict(path, source.header, table.header)
    if any("\0" in name for name in table.header):
        raise InputError(f"{path}: expected text, got NUL bytes in the column names; export the file again")
    return OpenTable(
        table.header, _check_widths(path, table.header, table.rows, table.separator), None, table.separator
    )


def _check_widths(path: Path, header: list[str], rows: Iterator[TableRow], separator: str) -> Iterator[TableRow]:
    """Yield the rows; raise `InputError` if a row has another number of cells than the header."""
    width = len(header)
    for row in rows:
        if len(row.cells) != width:
            _refuse_conflict(path, row.line, row.cells)
            quote = f"put cells that contain {SEPARATORS[separator]} in quotes"
            fix = quote if len(row.cells) > width else "add the missing cells"
            raise InputError(f"{path}:{row.line}: expected {width} cells, got {len(row.cells)}; {fix}")
        yield row


def _refuse_conflict(path: Path, line: int, cells: list[str]) -> None:
    """Raise `InputError` if a line is a merge conflict marker."""
    if CONFLICT_MARKER.match(cells[0]):
        raise InputError(f"{path}:{line}: merge conflict marker; keep one side and remove the markers")


def _open_sheet(path: Path, source: Source) -> OpenTable:
    sheet = read_sheet(path, source.sheet, source.header)
    if not sheet.rows or sheet.rows[-1].line < source.header:
        raise InputError(
            f"{path}: sheet '{sheet.name}' has no row {source.header}; set `header` to the row with the column names"
        )
    below = [row for row in sheet.rows if row.line >= source.header]
    names = [name.strip() for name in below[0].cells] if below[0].line == source.header else []
    if not any(names):
        raise InputError(f"{path}:{source.header}: the row is empty; set `header` to the row with the column names")
    return OpenTable(names, iter(below[1:]), sheet.name)


def find_column(location: Path | str, header: list[str], name: str, key: str) -> int:
    """Return the index of a column; `key` is its key below `columns` in source.yaml.

    Names are normalized before they are compared, so spaces around them do not matter.
    """
    wanted = normalize_text(name)
    matches = [index for index, column in enumerate(header) if normalize_text(column) == wanted]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise InputError(
            f"{location}: columns.{key}: {len(matches)} columns have the name '{name}'; names must be unique"
        )
    raise InputError(f"{location}: columns.{key}: no column '{name}'{_suggest_column(name, header)}")


def _suggest_column(name: str, header: list[str]) -> str:
    names = [column for column in header if column]
    similar = find_nearest_key(name, names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = ", ".join(names[:SHOWN]) + more
    if len(names) == 1 and any(separator in names[0] for separator in SEPARATORS):
        return f"; the only column is '{shown}': set `separator` or `header` in source.yaml"
    return (f"; did you mean '{similar}'?" if similar else ";") + f" use one of the columns {shown}"
