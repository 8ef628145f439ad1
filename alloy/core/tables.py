"""Tables in text files, as spreadsheet programs write them: any separator, and UTF-8 or UTF-16."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from alloy.core.files import InputError, read_lines

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
WORKBOOK = b"PK\x03\x04"  # of a zip file, which .xlsx and .ods are
LEGACY_WORKBOOK = b"\xd0\xcf\x11\xe0"  # of .xls
UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
SAVE_AS = "save the file as UTF-8 (in Excel: Save As, CSV UTF-8)"
# What spreadsheets take for a formula, full-width forms too, whatever quote marks are before it.
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
LONGEST = 10_000_000  # characters of a cell; the csv module's own limit is 131,072
AROUND = 1000  # lines before one that cannot be decoded, by which its encoding is guessed


class TableRow(NamedTuple):
    """A row of a table and its first line in the file, from 1."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """A table's header (stripped names), the separator of its cells, and its rows, which are read as they are taken."""

    header: list[str]
    separator: str
    rows: Iterator[TableRow]

    @property
    def separated_by(self) -> str:
        """The name of the separator in plural, for messages."""
        return SEPARATORS[self.separator]


def decode_document(place: str | Path, data: bytes) -> str:
    """Return the text of a whole file; `place` names it in errors.

    It may be UTF-8, with a byte order mark or without, or UTF-16 as Excel's "Unicode text" is. Other encodings cannot
    be told apart for sure (0xE9 is é in Windows-1252 and щ in Windows-1251), so they raise `InputError`.
    """
    if data.startswith((WORKBOOK, LEGACY_WORKBOOK)):
        raise InputError(f"{place}: this is a workbook, not text; save its sheet as CSV UTF-8")
    encoding = UTF_16.get(data[:2]) or _utf_16_without_mark(data)
    if encoding:
        try:
            return data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise InputError(f"{place}: not valid UTF-16 at byte {error.start + 1}; {SAVE_AS}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, byte = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise InputError(f"{place}:{line}: {_not_utf_8(data, byte, error.object[error.start])}") from None


def stream_text(path: Path, encoding: str | None = None) -> Iterator[str]:
    """Yield the lines of a text file with their ends, as the csv module wants them, without holding the file in memory.

    Without an `encoding` it is found as `decode_document` finds it; one whose name ends in .gz is unpacked.
    """
    found = None
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        file: Any = raw
        try:
            if path.suffix.lower() == ".gz":
                file = stack.enter_context(gzip.GzipFile(fileobj=raw))
            head = file.read(8)
            file.seek(0)
            if head.startswith((WORKBOOK, LEGACY_WORKBOOK)):
                raise InputError(f"{path}: a workbook, not text; write `format: xlsx`, or save its sheet as CSV UTF-8")
            found = "utf-16" if head[:2] in UTF_16 else _utf_16_without_mark(head)
            chosen = encoding or found or "utf-8-sig"
            yield from stack.enter_context(io.TextIOWrapper(file, chosen, newline=""))  # type: ignore[type-var]
        except LookupError:
            raise InputError(
                f"{path}: unknown encoding '{encoding}'; write one such as utf-8, windows-1252 or utf-16"
            ) from None
        except UnicodeDecodeError as error:
            raise _undecodable(path, encoding or found, error) from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: not a whole gzip file ({error}); fetch it again") from None


def _undecodable(path: Path, encoding: str | None, error: UnicodeDecodeError) -> InputError:
    """Return the error of a file that cannot be decoded, with the line where that begins."""
    if encoding is not None:
        return InputError(f"{path}: not valid {encoding} ({error.reason}); name its encoding, or {SAVE_AS}")
    around: list[bytes] = []  # lines, for the guess
    for number, line in enumerate(read_lines(path), 1):
        around = [*around[-AROUND:], line]
        try:
            line.decode()
        except UnicodeDecodeError as fault:
            found = _not_utf_8(b"".join(around), fault.start + 1, line[fault.start])
            return InputError(f"{path}:{number}: {found}, or name its encoding as `encoding` in source.yaml")
    return InputError(f"{path}: not valid UTF-8 ({error.reason}); {SAVE_AS}")


def _not_utf_8(data: bytes, byte: int, found: int) -> str:
    """Say which byte of a line is not UTF-8, and what the text around it most likely is."""
    mixed = any(not line.isascii() and _is_utf_8(line) for line in data.splitlines())
    if mixed:
        likely = "; other lines are UTF-8, so the file mixes encodings"
    else:
        likely = ", most likely Windows-1252" if _is_windows_1252(data) else ""
    return f"byte {byte} is not UTF-8 (0x{found:02X}{likely}); {SAVE_AS}"


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _utf_16_without_mark(data: bytes) -> str | None:
    """Return the encoding of a text that begins with four ASCII letters of UTF-16: every other byte is 0."""
    start = data[:8]
    if len(start) < 4:
        return None
    even, odd = start[0::2], start[1::2]
    if not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if not any(even) and all(odd) else None


def _is_windows_1252(data: bytes) -> bool:
    """Say whether all bytes beyond ASCII are letters or marks of Windows-1252, most of them letters."""
    try:
        beyond = [letter for letter in data.decode("cp1252") if not letter.isascii()]
    except UnicodeDecodeError:
        return False
    return sum(letter.isalpha() for letter in beyond) * 2 >= len(beyond)


def read_table(
    place: str | Path,
    lines: Iterable[str],
    fits: Callable[[list[str]], bool],
    separator: str | None = None,
    before: int = 0,
) -> Table:
    """Return the table in `lines`, whose first line is the header; `place` names the file in errors.

    So many lines `before` the header are skipped; a `separator` that is given is not looked for.

    1. A first line `sep=;`, which Excel reads as the separator, is one.
    2. Otherwise the separator is the first of comma, semicolon, tab and bar with which the header is as it should be,
       by `fits`. If it never is, it is the one that parts the header into most names.
    3. Columns at the end that have no name and no text, which spreadsheets leave behind, are dropped, and so are rows
       without any text. Cells keep their line breaks. A quote mark that keeps a text from being a formula is dropped.

    What is not valid CSV raises `InputError` with the line.
    """
    rest = iter(lines)
    skipped = sum(1 for _ in islice(rest, before))
    first = next(rest, "")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == len("sep=;"):
        separator = first.strip()[-1]
        if separator not in SEPARATORS:
            raise InputError(f"{place}:1: cannot separate cells by '{separator}'; use a comma, semicolon or tab")
        first, skipped = next(rest, ""), skipped + 1
    elif separator is None:
        separator = _find_separator(first, fits)
    csv.field_size_limit(LONGEST)
    reader = csv.reader(_chain(first, rest), delimiter=separator, strict=True)
    header = next(_rows(place, reader, separator, skipped), TableRow(1, []))
    names = _without_empty_end([name.strip() for name in header.cells], 0)
    rows = _rows(place, reader, separator, skipped)
    return Table(names, separator, (TableRow(line, _without_empty_end(cells, len(names))) for line, cells in rows))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV text, for programs and for spreadsheets.

    A text that a spreadsheet would run as a formula gets a quote mark before it, by which they know text; `read_table`
    takes it away again. Numbers stay numbers.
    """
    lines = []
    for row in (header, *rows):
        line = io.StringIO()
        # The module quotes in cells what a line ends with; so with both letters, of which git gets one.
        csv.writer(line, lineterminator="\r\n").writerow(
            _as_text(cell) if isinstance(cell, str) else cell for cell in row
        )
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def _as_text(cell: str) -> str:
    return f"'{cell}" if FORMULA.match(cell) and not NUMBER.fullmatch(cell) else cell


def _from_text(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell[1:]) else cell


def _find_separator(header: str, fits: Callable[[list[str]], bool]) -> str:
    def names(separator: str) -> list[str]:
        try:
            return [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
        except csv.Error:
            return []

    ways = {separator: names(separator) for separator in SEPARATORS}
    good = [separator for separator, found in ways.items() if fits(_without_empty_end(found, 0))]
    return good[0] if good else max(ways, key=lambda separator: len(ways[separator]))


def _without_empty_end(cells: list[str], least: int) -> list[str]:
    """Return `cells` without the empty ones at the end, but `least` of them if there are so many."""
    count = len(cells)
    while count > least and not cells[count - 1].strip():
        count -= 1
    return cells[:count]


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _rows(place: str | Path, reader: Any, separator: str, skipped: int) -> Iterator[TableRow]:  # noqa: ANN401
    """Yield the rows that hold text, each with its first line; `reader` is a csv.reader, whose type has no name."""
    while True:
        line = reader.line_num + skipped + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            fix = f"quote cells that hold {SEPARATORS[separator]}, and write quotes inside them twice"
            if "field limit" in str(error):
                fix = "a quote that opens a cell and is never closed is the usual reason"
            raise InputError(f"{place}:{reader.line_num + skipped}: not valid CSV ({error}); {fix}") from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield TableRow(line, [_from_text(cell) for cell in cells])


def split_lines(text: str) -> io.StringIO:
    """Return the lines of `text` with their ends, as the csv module wants them."""
    return io.StringIO(text, newline="")
