"""Read and write tables as spreadsheet programs do: CSV with any common separator, in UTF-8 or UTF-16."""

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
WORKBOOK = b"PK\x03\x04"  # a zip file: .xlsx or .ods
LEGACY_WORKBOOK = b"\xd0\xcf\x11\xe0"  # .xls
UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
SAVE_AS = "save the file as UTF-8 (in Excel: Save As, CSV UTF-8)"
# What `format_csv` puts before text that a spreadsheet would read as a formula: a quote mark and a word joiner,
# which is invisible. No other program writes this, so that `read_table` removes only what Alloy wrote.
FORMULA_MARK = "'\u2060"
# Where a cell may begin with a formula, also in full-width characters: at its start, and after line breaks and after
# separators of spreadsheets in other languages, which split `x;=1` into two cells.
_BEFORE_FORMULA = (
    rf"(?:(?:^|(?<=[;|\t\r\n])){{}}(?=(?:{FORMULA_MARK})*[=+\-@\uff1d\uff0b\uff0d\uff20])"
    rf"|^{{}}(?=(?:{FORMULA_MARK})*[\t\r\n]))"
)
FORMULA_START = re.compile(_BEFORE_FORMULA.format("", ""))
MARKED_START = re.compile(_BEFORE_FORMULA.format(FORMULA_MARK, FORMULA_MARK))
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
MAX_CELL_LENGTH = 10_000_000  # characters; the default limit of the csv module is 131,072
CONTEXT_LINES = 1000  # lines before one that cannot be decoded, from which the encoding is guessed


class OtherEncodingError(InputError):
    """A text file that is not UTF-8 and does not mix encodings."""


class TableRow(NamedTuple):
    """A row of a table and its first line in the file, from 1."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """The header of a table (stripped names), the separator of its cells, and its rows, which are read lazily."""

    header: list[str]
    separator: str
    rows: Iterator[TableRow]

    @property
    def separated_by(self) -> str:
        """The plural name of the separator, for messages."""
        return SEPARATORS[self.separator]


def decode_document(location: str | Path, data: bytes) -> str:
    """Return the text of a whole file; `location` names it in errors.

    It may be UTF-8, with or without a byte order mark, or UTF-16, as "Unicode text" of Excel. Other encodings cannot be
    detected reliably (0xE9 is é in Windows-1252 and щ in Windows-1251), so they raise `InputError`.
    """
    if data.startswith((WORKBOOK, LEGACY_WORKBOOK)):
        raise InputError(f"{location}: expected text, got a workbook; save its sheet as CSV UTF-8")
    encoding = UTF_16.get(data[:2]) or _detect_utf_16(data)
    if encoding:
        try:
            return data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise InputError(f"{location}: not valid UTF-16 at byte {error.start + 1}; {SAVE_AS}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, byte = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise InputError(f"{location}:{line}: {_describe_bad_byte(data, byte, error.object[error.start])}") from None


def stream_text(path: Path, encoding: str | None = None) -> Iterator[str]:
    """Yield the lines of a text file with their line ends, for the csv module, without reading it into memory.

    Without an `encoding`, it is detected as by `decode_document`. A file whose name ends in .gz is decompressed.
    """
    detected = None
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        file: Any = raw
        try:
            if path.suffix.lower() == ".gz":
                file = stack.enter_context(gzip.GzipFile(fileobj=raw))
            head = file.read(8)
            file.seek(0)
            if head.startswith((WORKBOOK, LEGACY_WORKBOOK)):
                raise InputError(
                    f"{path}: expected text, got a workbook; write `format: xlsx`, or save its sheet as CSV UTF-8"
                )
            detected = "utf-16" if head[:2] in UTF_16 else _detect_utf_16(head)
            chosen = encoding or detected or "utf-8-sig"
            yield from stack.enter_context(io.TextIOWrapper(file, chosen, newline=""))  # type: ignore[type-var]
        except LookupError:
            raise InputError(
                f"{path}: unknown encoding '{encoding}'; write one such as utf-8, windows-1252 or utf-16"
            ) from None
        except UnicodeDecodeError as error:
            raise _make_decoding_error(path, encoding or detected, error) from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: not a complete gzip file ({error}); download it again") from None


def _make_decoding_error(path: Path, encoding: str | None, error: UnicodeDecodeError) -> InputError:
    """Return the error about a file that cannot be decoded, with its first bad line if the file is not UTF-8."""
    if encoding is not None:
        return InputError(f"{path}: not valid {encoding} ({error.reason}); set `encoding`, or {SAVE_AS}")
    context: list[bytes] = []  # the last lines, from which the encoding is guessed
    for number, line in enumerate(read_lines(path), 1):
        context = [*context[-CONTEXT_LINES:], line]
        try:
            line.decode()
        except UnicodeDecodeError as line_error:
            text = b"".join(context)
            problem = _describe_bad_byte(text, line_error.start + 1, line[line_error.start])
            error_class = InputError if _mixes_encodings(text) else OtherEncodingError
            return error_class(f"{path}:{number}: {problem}, or set `encoding` in source.yaml")
    return InputError(f"{path}: not valid UTF-8 ({error.reason}); {SAVE_AS}")


def _describe_bad_byte(data: bytes, position: int, value: int) -> str:
    """Describe a byte of a line that is not UTF-8, and the likely encoding of `data`, the text around it."""
    if _mixes_encodings(data):
        likely = "; other lines are UTF-8, so the file mixes encodings"
    else:
        likely = ", most likely Windows-1252" if _is_windows_1252(data) else ""
    return f"byte {position} is not UTF-8 (0x{value:02X}{likely}); {SAVE_AS}"


def _mixes_encodings(data: bytes) -> bool:
    """Return whether some lines of a text that is not UTF-8 as a whole are UTF-8 and not ASCII."""
    return any(not line.isascii() and _is_utf_8(line) for line in data.splitlines())


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _detect_utf_16(data: bytes) -> str | None:
    """Detect UTF-16 without a byte order mark: if the text begins with ASCII, every other byte is 0."""
    start = data[:8]
    if len(start) < 4:
        return None
    even, odd = start[0::2], start[1::2]
    if not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if not any(even) and all(odd) else None


def _is_windows_1252(data: bytes) -> bool:
    """Return whether all bytes beyond ASCII are characters of Windows-1252, at least half of them letters."""
    try:
        non_ascii = [letter for letter in data.decode("cp1252") if not letter.isascii()]
    except UnicodeDecodeError:
        return False
    return sum(letter.isalpha() for letter in non_ascii) * 2 >= len(non_ascii)


def read_table(
    location: str | Path,
    lines: Iterable[str],
    is_header: Callable[[list[str]], bool],
    separator: str | None = None,
    skip: int = 0,
) -> Table:
    """Return the table in `lines`; `location` names the file in errors.

    The first line is the header, after `skip` other lines. `is_header` returns whether column names are as expected.

    Algorithm:

    1. If the first line is `sep=;`, as Excel writes it, it names the separator.
    2. Otherwise, unless `separator` names it, the separator is the first of comma, semicolon, tab and bar with which
       `is_header` is true. If it never is, it is the one that splits the header into most names.
    3. Trailing columns without name and text, which spreadsheets add, are dropped. So are rows without text.
       Cells keep their line breaks. The marks that `format_csv` writes in front of formulas are removed.

    Invalid CSV raises `InputError` with the line.
    """
    rest = iter(lines)
    skipped = sum(1 for _ in islice(rest, skip))
    first = next(rest, "")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == len("sep=;"):
        separator = first.strip()[-1]
        if separator not in SEPARATORS:
            raise InputError(f"{location}:1: expected a comma, semicolon, tab or bar as separator, got '{separator}'")
        first, skipped = next(rest, ""), skipped + 1
    elif separator is None:
        separator = _find_separator(first, is_header)
    csv.field_size_limit(MAX_CELL_LENGTH)
    reader = csv.reader(_prepend_line(first, rest), delimiter=separator, strict=True)
    header = next(_read_rows(location, reader, separator, skipped), TableRow(1, []))
    names = _drop_empty_end([name.strip() for name in header.cells], 0)
    rows = _read_rows(location, reader, separator, skipped)
    return Table(names, separator, (TableRow(line, _drop_empty_end(cells, len(names))) for line, cells in rows))


def format_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV text, which is safe to open in a spreadsheet.

    A text that a spreadsheet would run as a formula gets `FORMULA_MARK` in front, which marks it as text. `read_table`
    removes it again. Numbers are not changed.
    """
    lines = []
    for row in (header, *rows):
        line = io.StringIO()
        # The csv module quotes cells with a character of its line end. So it gets \r\n, which is replaced below.
        csv.writer(line, lineterminator="\r\n").writerow(
            _mark_formulas(cell) if isinstance(cell, str) else cell for cell in row
        )
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def _mark_formulas(cell: str) -> str:
    return cell if NUMBER.fullmatch(cell) else FORMULA_START.sub(FORMULA_MARK, cell)


def _remove_marks(cell: str) -> str:
    return MARKED_START.sub("", cell) if FORMULA_MARK in cell else cell


def _find_separator(header: str, is_header: Callable[[list[str]], bool]) -> str:
    def split_header(separator: str) -> list[str]:
        try:
            return [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
        except csv.Error:
            return []

    names = {separator: split_header(separator) for separator in SEPARATORS}
    fitting = [separator for separator in SEPARATORS if is_header(_drop_empty_end(names[separator], 0))]
    return fitting[0] if fitting else max(names, key=lambda separator: len(names[separator]))


def _drop_empty_end(cells: list[str], min_count: int) -> list[str]:
    """Return `cells` without empty cells at the end, but keep the first `min_count` cells."""
    count = len(cells)
    while count > min_count and not cells[count - 1].strip():
        count -= 1
    return cells[:count]


def _prepend_line(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _read_rows(location: str | Path, reader: Any, separator: str, skipped: int) -> Iterator[TableRow]:  # noqa: ANN401
    """Yield the rows with text, each with its first line; `reader` is a csv.reader, whose type has no name."""
    while True:
        line = reader.line_num + skipped + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            fix = f"put cells that contain {SEPARATORS[separator]} in quotes, and double the quotes inside them"
            if "field limit" in str(error):
                fix = "look for a quote that opens a cell and is never closed"
            raise InputError(f"{location}:{reader.line_num + skipped}: not valid CSV ({error}); {fix}") from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield TableRow(line, [_remove_marks(cell) for cell in cells])


def split_lines(text: str) -> io.StringIO:
    """Return the lines of `text` with their line ends, for the csv module."""
    return io.StringIO(text, newline="")
