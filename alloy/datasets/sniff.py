"""Guess the format of an unknown file: its type, its encoding, its header row, and the kind of its data."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from alloy.core.files import InputError, make_permission_error, read_lines, require_file
from alloy.core.tables import OtherEncodingError, decode_document, stream_text
from alloy.datasets.header_words import find_role
from alloy.datasets.open_table import TEXT, WORKBOOKS, open_table
from alloy.datasets.rows import JSON, parse_row, read_json_rows, read_parquet_rows
from alloy.datasets.source import Format, Kind, Layout, Source
from alloy.datasets.workbook import format_cell_value, read_sheet

SAMPLE = 20_000  # rows to read
HEAD = 2**20  # bytes to guess the encoding from
MAX_HEADER_ROW = 15  # last row that can be the header
ENCODINGS = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "euc_kr", "mac_roman")


class FileGuess(NamedTuple):
    """The guess: keys for source.yaml, the kind of data, the header, and a sample of the rows below it."""

    source: dict[str, Any]
    kind: Kind
    header: list[str]
    rows: list[list[str]]


def sniff_file(path: Path) -> FileGuess:
    """Return a guess of the file's format. Raises `InputError` if it cannot be read."""
    if path.is_dir():
        raise InputError(f"{path}: expected a file, got a folder; give the path of the data file in the folder")
    if not path.parent.is_dir():
        raise InputError(f"{path}: no such folder {path.parent}; correct the path")
    others = sorted(other.name for other in path.parent.glob("[!.]*") if other.is_file())
    require_file(
        path, f"use one of the files in the folder: {', '.join(others[:10])}" if others else "correct the path"
    )
    name = path.name.lower()
    try:
        if name.endswith(WORKBOOKS):
            return _sniff_table(path, {"format": "xlsx"})
        if name.endswith(".parquet") or name.endswith(JSON):
            return _sniff_rows(path, name.endswith(".parquet"))
        if name.endswith(TEXT):
            return _sniff_table(path, {"format": "csv", **find_encoding(path)})
    except PermissionError:
        raise make_permission_error(path) from None
    known = ", ".join((*TEXT, *WORKBOOKS, *JSON, ".parquet"))
    raise InputError(f"{path}: expected a file name that ends with {known}; convert the file")


def find_encoding(path: Path) -> dict[str, str]:
    """Return `{encoding: name}` with a guess for text in an older encoding; an empty dict for UTF-8 and UTF-16.

    Raises `InputError` if some lines are UTF-8 and others are not.
    """
    try:
        for _ in stream_text(path):
            pass
        return {}
    except OtherEncodingError:
        pass
    from charset_normalizer import from_bytes

    data = b"".join(chain.from_iterable(_limit_size(read_lines(path), HEAD)))
    best = from_bytes(data, cp_isolation=list(ENCODINGS)).best()
    if best is None:
        decode_document(path, data)  # raises an error with the line
        raise InputError(f"{path}: unknown encoding; save the file as UTF-8")
    text = data.decode(best.encoding)
    first = next(
        name for name in (*ENCODINGS, best.encoding) if _try_decoding(data, name) == text
    )  # the most common one
    return {"encoding": first.replace("cp125", "windows-125")}


def _try_decoding(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _limit_size(lines: Any, limit: int) -> Any:  # noqa: ANN401 (an iterator of one-item lists)
    """Yield lines until they have more than `limit` bytes together."""
    size = 0
    for line in lines:
        size += len(line)
        yield [line]
        if size > limit:
            return


def _sniff_table(path: Path, keys: dict[str, Any]) -> FileGuess:
    """Return the guess for a table. The header is the row, among the first ones, that looks most like one."""
    best: tuple[float, int, list[str]] = (-1e9, 1, [])
    for header, names in _yield_headers(path, keys):
        score = _score_header(names)
        if (
            score > best[0] or names == best[2]
        ):  # of equal rows the last one counts, since empty rows above the header are skipped
            best = score, header, names
    keys |= {"header": best[1]} if best[1] > 1 else {}
    table = open_table(path, Source.parse(str(path), keys), _is_likely_header)
    if table.sheet is not None:
        keys["sheet"] = table.sheet
    rows = [row.cells for row in islice(table.rows, SAMPLE)]
    if not rows:
        raise InputError(f"{path}: no rows below the header ({', '.join(table.header)}); add rows")
    return FileGuess(keys, Kind.comments, table.header, rows)


def _yield_headers(path: Path, keys: dict[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that may be the header, with their numbers."""
    if keys["format"] == "xlsx":
        sheet = read_sheet(path, None)
        yield from ((row.line, row.cells) for row in sheet.rows[:MAX_HEADER_ROW])
        return
    for header in range(1, MAX_HEADER_ROW + 1):
        try:
            yield (
                header,
                open_table(path, Source.parse(str(path), {**keys, "header": header}), _is_likely_header).header,
            )
        except InputError:
            if header == 1:
                raise


def _is_likely_header(names: list[str]) -> bool:
    """Return whether column names look right: several names, at least one of them known."""
    return len(names) > 1 and any(find_role(name) for name in names)


def _score_header(header: list[str]) -> float:
    """Return a score of how much a row looks like a header: known names count most, then short and different names."""
    names = [name for name in header if name]
    known = sum(find_role(name) is not None for name in names if len(name) < 40)
    different = len({name for name in names if len(name) < 60 and not name.replace(".", "").isdigit()})
    return 10 * known + different - 0.5 * (len(header) - len(names))


def _sniff_rows(path: Path, parquet: bool) -> FileGuess:
    """Return the guess for rows of JSON or parquet. Their keys show whether they are instruction data."""
    numbered = read_parquet_rows(path) if parquet else read_json_rows(path)
    rows = [parse_row(str(path), number, item) for number, item in islice(numbered, SAMPLE)]
    if not rows:
        raise InputError(f"{path}: the file is empty; add rows")
    row_keys = list(dict.fromkeys(key for row in rows for key in row))
    source_keys = {"format": "parquet" if parquet else "jsonl"}
    layouts = {
        Layout.openai: {"messages"} <= set(row_keys) or {"prompt", "completion"} <= set(row_keys),
        Layout.sharegpt: {"conversations"} <= set(row_keys),
        Layout.alpaca: {"instruction", "output"} <= set(row_keys),
    }
    layout = next((layout for layout, fits in layouts.items() if fits), None)
    if {"id", "category", "source", "messages"} <= set(row_keys):
        return FileGuess(source_keys, Kind.general, row_keys, [])
    if layout is not None:
        return FileGuess({"format": Format(layout.value).value}, Kind.general, row_keys, [])
    if {"id", "text", "segments"} <= set(row_keys):
        return FileGuess(source_keys, Kind.comments, row_keys, [])
    table = [[_join_values(row.get(key)) for key in row_keys] for row in rows]
    return FileGuess(source_keys, Kind.comments, row_keys, table)


def _join_values(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    return "|".join(map(format_cell_value, value)) if isinstance(value, list) else format_cell_value(value)
