"""Read comments without labels from JSON Lines, a JSON array, a table or plain lines.

A row that cannot be labeled is kept, with the reason, so that the output has a row for each row of the input.
"""

import codecs
import json
import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import PurePath
from typing import Any, NamedTuple

from alloy.core.files import InputError, Row, name_json_type
from alloy.core.tables import LEGACY_WORKBOOK, UTF_16, WORKBOOK, decode_document, read_table, split_lines
from alloy.core.text import normalize_text
from alloy.core.unknown_keys import find_nearest_key

TABLES = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson")


class Unlabeled(NamedTuple):
    """A comment: `row` has its fields and an `id`; `reason` says why it cannot be labeled, None if it can."""

    row: Row
    reason: str | None = None


def read_unlabeled(name: str, lines: Iterable[bytes]) -> Iterator[Unlabeled]:
    """Return the comments in the lines of the file `name`, which is `-` for standard input.

    1. The format follows from the name: `.csv` and `.tsv` are tables with a column `text`, `.json` is an array of
       objects or texts, `.jsonl` and `.ndjson` have one JSON object per line. A name may also end in `.gz`.
    2. For other names, it follows from the first line that is not blank: `[` begins an array, `{` JSON Lines, and a
       header with `text` and another column begins a table.
    3. Otherwise the file is plain text with one comment per line.

    The file may be UTF-8 or UTF-16. Rows keep all of their fields, also integers of any length. A row without an `id`
    gets its line number as id; in an array, its position from 1. A file that cannot be read raises `InputError`.
    """
    rest = iter(lines)
    head = [next(rest, b"")]
    is_utf_16_or_workbook = head[0].startswith((*UTF_16, WORKBOOK, LEGACY_WORKBOOK)) or b"\0" in head[0]
    if is_utf_16_or_workbook:
        text = decode_document(name, b"".join(chain(head, rest)))
        rest = iter(text.encode("utf-8", "surrogatepass").splitlines(keepends=True))
        head = [next(rest, b"")]
    head[0] = head[0].removeprefix(codecs.BOM_UTF8)
    while not head[-1].strip() and (line := next(rest, None)) is not None:
        head.append(line)
    ending = PurePath(name.lower().removesuffix(".gz")).suffix
    all_lines, first = chain(head, rest), head[-1].strip()
    if ending in TABLES or (ending != ".txt" and _is_header(first)):
        return _read_table(name, all_lines)
    if ending in JSON_LINES or (ending != ".json" and first.startswith(b"{")):
        return _read_json_lines(all_lines)
    if ending == ".json" or first.startswith(b"["):
        return _read_json_document(name, b"".join(all_lines), is_json=ending == ".json")
    return _read_plain_lines(all_lines)


def _is_header(line: bytes) -> bool:
    """Return whether a line is the header of a table with a column `text` and at least one other."""
    try:
        names = read_table("", [line.decode()], _has_text_column).header
    except (UnicodeDecodeError, InputError):
        return False
    return len(names) > 1 and _has_text_column(names)


def _has_text_column(names: list[str]) -> bool:
    return "text" in names


def _read_table(name: str, lines: Iterable[bytes]) -> Iterator[Unlabeled]:
    table = read_table(name, split_lines(decode_document(name, b"".join(lines))), _has_text_column)
    names = table.header
    if not _has_text_column(names):
        similar = find_nearest_key("text", names)
        hint = f"rename `{similar}`" if similar else "rename the column with the comments"
        raise InputError(f"{name}:1: expected a column `text`, got '{','.join(names)}'; {hint}")
    if duplicates := [column for column in names if names.count(column) > 1]:
        raise InputError(f"{name}:1: duplicate column '{duplicates[0]}'; column names must be unique")
    for line, cells in table.rows:
        row = {"id": str(line), **{key: cell for key, cell in zip(names, cells, strict=False) if key != "id" or cell}}
        if len(cells) != len(names):
            fix = f"put cells that contain {table.separated_by} in quotes"
            yield Unlabeled(row, f"line {line}: expected {len(names)} cells, got {len(cells)}; {fix}")
        else:
            yield _check_text(row)


def _read_json_lines(lines: Iterable[bytes]) -> Iterator[Unlabeled]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _read_json_line(number, line)


def _read_json_line(number: int, line: bytes) -> Unlabeled:
    try:
        return _check_text(_make_row(str(number), parse_json(_decode_line(line).strip())))
    except ValueError as error:
        return Unlabeled({"id": str(number)}, f"line {number}: {error}")


def _read_json_document(name: str, data: bytes, *, is_json: bool) -> Iterator[Unlabeled]:
    """Yield the items of a JSON array.

    If the text is not valid JSON: a file that `is_json` by its name is read as JSON Lines, unless it begins with `[`,
    which raises `InputError`. Another file is read as plain lines.
    """
    text = decode_document(name, data)
    try:
        items = parse_json(text)
    except ValueError as error:
        if is_json and text.lstrip().startswith("["):
            raise InputError(f"{name}: {error}; write an array of objects, or one object per line") from None
        yield from _read_json_lines(data.splitlines()) if is_json else _read_plain_lines(data.splitlines())
        return
    for number, item in enumerate(items if isinstance(items, list) else [items], 1):
        try:
            yield _check_text(_make_row(str(number), item))
        except ValueError as error:
            yield Unlabeled({"id": str(number)}, f"item {number}: {error}")


def _read_plain_lines(lines: Iterable[bytes]) -> Iterator[Unlabeled]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _check_text({"id": str(number), "text": _decode_line(line).strip()})
        except ValueError as error:
            yield Unlabeled({"id": str(number)}, f"line {number}: {error}")


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None


def parse_json(text: str) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a JSON value; raise `ValueError` if the text is not valid JSON.

    Integers of any length are kept exactly; orjson would turn those beyond 64 bits into floats. NaN and Infinity, which
    pandas writes, become null. A number beyond the range of a float becomes its text.
    """
    try:
        return json.loads(text, parse_constant=lambda _: None, parse_float=_parse_float)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON at column {error.colno} ({error.msg})") from None
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def _parse_float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _make_row(number: str, item: Any) -> Row:  # noqa: ANN401 (any JSON value)
    if isinstance(item, str):
        return {"id": number, "text": item}
    if not isinstance(item, dict):
        raise ValueError(f"expected an object with a `text`, got {name_json_type(item)}")
    return {"id": number, **{key: value for key, value in item.items() if key != "id" or value is not None}}


def _check_text(row: Row) -> Unlabeled:
    """Return the comment, with a reason if its text cannot be labeled."""
    text = row.get("text")
    if text is None:
        similar = find_nearest_key("text", [key for key in row if key not in ("id", "text")])
        return Unlabeled(row, "`text` is missing" + (f"; did you mean `{similar}`?" if similar else ""))
    if not isinstance(text, str):
        return Unlabeled(row, f"`text`: expected a string, got {name_json_type(text)}")
    if not normalize_text(text):
        return Unlabeled(row, "`text` is empty")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return Unlabeled(row, "`text` has an unpaired surrogate, which is not a valid character")
    return Unlabeled(row)
