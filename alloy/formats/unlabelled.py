"""Comments without labels, in the formats that people have them: JSON Lines, a JSON array, a table, plain lines.

A row that cannot be labelled is kept, with the reason: whoever labels a file gets all of its rows back.
"""

import codecs
import json
import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import PurePath
from typing import Any, NamedTuple

from alloy.core.files import InputError, Row
from alloy.core.tables import LEGACY_WORKBOOK, UTF_16, WORKBOOK, decode_document, read_table, split_lines
from alloy.core.text import normalize_text
from alloy.core.unknown_keys import nearest_key

TABLES = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson")


class Unlabelled(NamedTuple):
    """A comment: `row` has an `id` and what the file says, `reason` tells why it cannot be labelled, None if it can."""

    row: Row
    reason: str | None = None


def read_unlabelled(name: str, lines: Iterable[bytes]) -> Iterator[Unlabelled]:
    """Return the comments in the lines of the file `name`, which is `-` for standard input.

    Its format follows from the name: `.csv` and `.tsv` are tables with a column `text`, `.json` is an array of objects
    or texts, `.jsonl` and `.ndjson` have one JSON object per line, any of them packed as `.gz`. For other names it
    follows from the first line: `[` begins an array, `{` JSON Lines, a header with `text` and another column a table.
    All else is plain text with one comment per line. UTF-16 is read as well as UTF-8.

    Rows keep all of their fields as they are, numbers of any length too; a field that is null is absent. One without an
    `id` is named by its line, in an array by its number, from 1. A whole file that cannot be read raises `InputError`.
    """
    rest = iter(lines)
    head = [next(rest, b"")]
    whole = head[0].startswith((*UTF_16, WORKBOOK, LEGACY_WORKBOOK)) or b"\0" in head[0]
    if whole:
        text = decode_document(name, b"".join(chain(head, rest)))
        rest = iter(text.encode("utf-8", "surrogatepass").splitlines(keepends=True))
        head = [next(rest, b"")]
    head[0] = head[0].removeprefix(codecs.BOM_UTF8)
    while not head[-1].strip() and (line := next(rest, None)) is not None:
        head.append(line)
    kind = PurePath(name.lower().removesuffix(".gz")).suffix
    every, first = chain(head, rest), head[-1].strip()
    if kind in TABLES or (kind != ".txt" and _is_header(first)):
        return _table_rows(name, every)
    if kind in JSON_LINES or (kind != ".json" and first.startswith(b"{")):
        return _json_lines(every)
    if kind == ".json" or first.startswith(b"["):
        return _json_document(name, b"".join(every), must=kind == ".json")
    return _plain_lines(every)


def _is_header(line: bytes) -> bool:
    """Say whether a line is the header of a table with a column `text` and at least one other."""
    try:
        names = read_table("", [line.decode()], _fits).header
    except (UnicodeDecodeError, InputError):
        return False
    return len(names) > 1 and _fits(names)


def _fits(names: list[str]) -> bool:
    return "text" in names


def _table_rows(name: str, lines: Iterable[bytes]) -> Iterator[Unlabelled]:
    table = read_table(name, split_lines(decode_document(name, b"".join(lines))), _fits)
    names = table.header
    if not _fits(names):
        near = nearest_key("text", names)
        hint = f"rename `{near}`" if near else "name the one with the comments so"
        raise InputError(f"{name}:1: columns are '{','.join(names)}', none is `text`; {hint}")
    if double := [column for column in names if names.count(column) > 1]:
        raise InputError(f"{name}:1: two columns are called '{double[0]}'; give each its own name")
    for line, cells in table.rows:
        row = {"id": str(line), **{key: cell for key, cell in zip(names, cells, strict=False) if key != "id" or cell}}
        if len(cells) != len(names):
            fix = f"quote cells that hold {table.separated_by}"
            yield Unlabelled(row, f"line {line}: {len(cells)} cells under {len(names)} columns; {fix}")
        else:
            yield _checked(row)


def _json_lines(lines: Iterable[bytes]) -> Iterator[Unlabelled]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _json_line(number, line)


def _json_line(number: int, line: bytes) -> Unlabelled:
    try:
        return _checked(_row(str(number), parse_json(_decode(line).strip())))
    except ValueError as error:
        return Unlabelled({"id": str(number)}, f"line {number}: {error}")


def _json_document(name: str, data: bytes, *, must: bool) -> Iterator[Unlabelled]:
    """Yield the items of an array; what is none is read by lines, unless it must be one."""
    text = decode_document(name, data)
    try:
        items = parse_json(text)
    except ValueError as error:
        if must and text.lstrip().startswith("["):
            raise InputError(f"{name}: {error}; write an array of objects, or one object per line") from None
        yield from _json_lines(data.splitlines()) if must else _plain_lines(data.splitlines())
        return
    for number, item in enumerate(items if isinstance(items, list) else [items], 1):
        try:
            yield _checked(_row(str(number), item))
        except ValueError as error:
            yield Unlabelled({"id": str(number)}, f"item {number}: {error}")


def _plain_lines(lines: Iterable[bytes]) -> Iterator[Unlabelled]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _checked({"id": str(number), "text": _decode(line).strip()})
        except ValueError as error:
            yield Unlabelled({"id": str(number)}, f"line {number}: {error}")


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None


def parse_json(text: str) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a JSON value with integers of any length as they are; raise `ValueError` if it is not valid.

    orjson would make floats of integers beyond 64 bits. NaN and Infinity, which pandas writes, are null; a number
    beyond the range of a float stays its text.
    """
    try:
        return json.loads(text, parse_constant=lambda _: None, parse_float=_float)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON at column {error.colno} ({error.msg})") from None
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _row(number: str, item: Any) -> Row:  # noqa: ANN401 (any JSON value)
    if isinstance(item, str):
        return {"id": number, "text": item}
    if not isinstance(item, dict):
        raise ValueError(f"expected an object with a `text`, found {type(item).__name__}")
    return {"id": number, **{key: value for key, value in item.items() if key != "id" or value is not None}}


def _checked(row: Row) -> Unlabelled:
    """Return the comment, with the reason if its text cannot be labelled."""
    text = row.get("text")
    if text is None:
        near = nearest_key("text", [key for key in row if key not in ("id", "text")])
        return Unlabelled(row, "`text` is missing" + (f"; did you mean `{near}`?" if near else ""))
    if not isinstance(text, str):
        return Unlabelled(row, f"`text` is {type(text).__name__}, not a string")
    if not normalize_text(text):
        return Unlabelled(row, "`text` is empty")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return Unlabelled(row, "`text` has half of a surrogate pair, which is no character")
    return Unlabelled(row)
