"""Tables of any kind of file, with their header: text tables and workbooks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from alloy.core.files import InputError
from alloy.core.tables import SEPARATORS, TableRow, read_table, stream_text
from alloy.core.text import normalize_text
from alloy.core.unknown_keys import nearest_key
from alloy.datasets.source import Source
from alloy.datasets.workbook import read_sheet

TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
SHOWN = 30


class OpenTable(NamedTuple):
    """A header and the rows below it, each with as many cells as the header has names."""

    header: list[str]
    rows: Iterator[TableRow]
    sheet: str | None = None
    separator: str | None = None


def open_table(path: Path, source: Source, fits: Callable[[list[str]], bool]) -> OpenTable:
    """Return the table in a file; `fits` says of column names whether they are those of the table that is expected."""
    try:
        if path.name.lower().endswith(WORKBOOKS):
            return _sheet(path, source)
        lines = stream_text(path, source.encoding)
        table = read_table(path, lines, fits, source.separator, source.header - 1)
    except PermissionError:
        raise InputError(f"{path}: no permission to read it; `chmod u+r {path}`") from None
    if not table.header:
        raise InputError(f"{path}: the file is empty; its first row must hold the column names")
    return OpenTable(table.header, _even(path, table.header, table.rows, table.separator), None, table.separator)


def _even(path: Path, header: list[str], rows: Iterator[TableRow], separator: str) -> Iterator[TableRow]:
    """Yield the rows; one with another number of cells than the header raises `InputError`."""
    width = len(header)
    for row in rows:
        if len(row.cells) != width:
            fix = f"quote cells that hold {SEPARATORS[separator]}" if len(row.cells) > width else "add what is missing"
            raise InputError(f"{path}:{row.line}: {len(row.cells)} cells under {width} columns; {fix}")
        yield row


def _sheet(path: Path, source: Source) -> OpenTable:
    sheet = read_sheet(path, source.sheet, source.header)
    if not sheet.rows or sheet.rows[-1].line < source.header:
        raise InputError(
            f"{path}: sheet '{sheet.name}' has no row {source.header}, where the column names are expected"
        )
    below = [row for row in sheet.rows if row.line >= source.header]
    names = [name.strip() for name in below[0].cells] if below[0].line == source.header else []
    if not any(names):
        raise InputError(f"{path}:{source.header}: the row is empty; name the row with the column names as `header`")
    return OpenTable(names, iter(below[1:]), sheet.name)


def find_column(place: Path | str, header: list[str], name: str, key: str) -> int:
    """Return the index of a column; `key` is its place below `columns` in source.yaml.

    Names are compared as text that looks the same is: spaces at the ends do not count.
    """
    wanted = normalize_text(name)
    found = [at for at, one in enumerate(header) if normalize_text(one) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{place}: columns.{key}: {len(found)} columns are called '{name}'; give each its own name")
    raise InputError(f"{place}: columns.{key}: no column '{name}'{_hint(name, header)}")


def _hint(name: str, header: list[str]) -> str:
    names = [one for one in header if one]
    near = nearest_key(name, names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (f"; did you mean '{near}'?" if near else ";") + f" columns are {', '.join(names[:SHOWN])}{more}"
