"""What kind of file it is, how its text is encoded and where its header is: a first look at data of unknown form."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from alloy.core.files import InputError, read_lines
from alloy.core.tables import decode_document, stream_text
from alloy.datasets.header_words import role_of
from alloy.datasets.open_table import TEXT, WORKBOOKS, open_table
from alloy.datasets.rows import JSON, json_rows, parquet_rows, parse_row
from alloy.datasets.source import Format, Kind, Layout, Source
from alloy.datasets.workbook import cell_text, read_sheet

SAMPLE = 20_000  # rows that are looked at
HEAD = 2**20  # bytes by which an encoding is guessed
DEEPEST = 15  # rows that may stand above the header
ENCODINGS = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "euc_kr", "mac_roman")


class Sniffed(NamedTuple):
    """What a file looks like: keys of source.yaml, what it is for, and a sample of its rows below their header."""

    source: dict[str, Any]
    kind: Kind
    header: list[str]
    rows: list[list[str]]


def sniff(path: Path) -> Sniffed:
    """Return what a file looks like; what cannot be read raises `InputError`."""
    if path.is_dir():
        raise InputError(f"{path}: a folder; name the file in it that holds the data")
    if not path.is_file():
        near = (
            sorted(other.name for other in path.parent.glob("[!.]*") if other.is_file()) if path.parent.is_dir() else []
        )
        raise InputError(f"{path}: no such file; there are {', '.join(near[:10]) or 'no files'}")
    name = path.name.lower()
    try:
        if name.endswith(WORKBOOKS):
            return _table(path, {"format": "xlsx"})
        if name.endswith(".parquet") or name.endswith(JSON):
            return _rows(path, name.endswith(".parquet"))
        if name.endswith(TEXT):
            return _table(path, {"format": "csv", **find_encoding(path)})
    except PermissionError:
        raise InputError(f"{path}: no permission to read it; `chmod u+r {path}`") from None
    known = ", ".join((*TEXT, *WORKBOOKS, *JSON, ".parquet"))
    raise InputError(f"{path}: unknown kind of file; expected a name that ends in {known}")


def find_encoding(path: Path) -> dict[str, str]:
    """Return `{encoding}` if the text is in an older encoding, which is guessed; nothing for UTF-8 and UTF-16.

    A text that is UTF-8 in some lines and not in others raises `InputError`.
    """
    try:
        for _ in stream_text(path):
            pass
    except InputError as error:
        if "is not UTF-8" not in str(error) or "mixes encodings" in str(error):
            raise
    else:
        return {}
    from charset_normalizer import from_bytes

    data = b"".join(chain.from_iterable(_until(read_lines(path), HEAD)))
    best = from_bytes(data, cp_isolation=list(ENCODINGS)).best()
    if best is None:
        decode_document(path, data)  # raises, with the line
        raise InputError(f"{path}: its encoding cannot be found; save the file as UTF-8")
    text = data.decode(best.encoding)
    first = next(name for name in (*ENCODINGS, best.encoding) if _decodes(data, name) == text)  # the commonest
    return {"encoding": first.replace("cp125", "windows-125")}


def _decodes(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _until(lines: Any, most: int) -> Any:  # noqa: ANN401 (an iterator of one-item lists)
    size = 0
    for line in lines:
        size += len(line)
        yield [line]
        if size > most:
            return


def _table(path: Path, found: dict[str, Any]) -> Sniffed:
    """Return the table whose header is the row, of the first ones, whose names say most."""
    best: tuple[float, int, list[str]] = (-1e9, 1, [])
    for header, names in _headers(path, found):
        score = _score(names)
        if score > best[0] or names == best[2]:  # the last of equal ones: empty rows above a header are passed over
            best = score, header, names
    found |= {"header": best[1]} if best[1] > 1 else {}
    table = open_table(path, Source.parse(str(path), found), _fits)
    if table.sheet is not None:
        found["sheet"] = table.sheet
    rows = [row.cells for row in islice(table.rows, SAMPLE)]
    if not rows:
        raise InputError(f"{path}: no rows below the header ({', '.join(table.header)})")
    return Sniffed(found, Kind.comments, table.header, rows)


def _headers(path: Path, found: dict[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that may be the header, with their numbers."""
    if found["format"] == "xlsx":
        sheet = read_sheet(path, None)
        yield from ((row.line, row.cells) for row in sheet.rows[:DEEPEST])
        return
    for header in range(1, DEEPEST + 1):
        try:
            yield header, open_table(path, Source.parse(str(path), {**found, "header": header}), _fits).header
        except InputError:
            if header == 1:
                raise


def _fits(names: list[str]) -> bool:
    """Say whether a separator parts a header well: into several names, of which one is known if any is."""
    return len(names) > 1 and any(role_of(name) for name in names)


def _score(header: list[str]) -> float:
    """Return how much a row looks like a header: known names, then names that are short, filled and different."""
    names = [name for name in header if name]
    known = sum(role_of(name) is not None for name in names if len(name) < 40)
    different = len({name for name in names if len(name) < 60 and not name.replace(".", "").isdigit()})
    return 10 * known + different - 0.5 * (len(header) - len(names))


def _rows(path: Path, parquet: bool) -> Sniffed:
    """Return rows of JSON or parquet as a table of their keys; instruction data is told by its keys."""
    numbered = parquet_rows(path) if parquet else json_rows(path)
    rows = [parse_row(str(path), number, item) for number, item in islice(numbered, SAMPLE)]
    if not rows:
        raise InputError(f"{path}: the file is empty")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    found = {"format": "parquet" if parquet else "jsonl"}
    layouts = {
        Layout.openai: {"messages"} <= set(keys) or {"prompt", "completion"} <= set(keys),
        Layout.sharegpt: {"conversations"} <= set(keys),
        Layout.alpaca: {"instruction", "output"} <= set(keys),
    }
    layout = next((layout for layout, fits in layouts.items() if fits), None)
    if {"id", "category", "source", "messages"} <= set(keys):
        return Sniffed(found, Kind.general, keys, [])
    if layout is not None:
        return Sniffed({"format": Format(layout.value).value}, Kind.general, keys, [])
    if {"id", "text", "segments"} <= set(keys):
        return Sniffed(found, Kind.comments, keys, [])
    table = [[_joined(row.get(key)) for key in keys] for row in rows]
    return Sniffed(found, Kind.comments, keys, table)


def _joined(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    return "|".join(map(cell_text, value)) if isinstance(value, list) else cell_text(value)
