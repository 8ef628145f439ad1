"""Find the JSON list in a text that may have other text around it, such as the answer of a model."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

Rows = list[dict[str, Any]]

DECODER = json.JSONDecoder()
# The marks around reasoning; the end has a `/` after its first letter. Model families differ.
REASONING = ("<think>", "<thinking>", "<thought>", "<reasoning>", "[THINK]", "\u25c1think\u25b7")
REASONING_ENDS = {mark: f"{mark[0]}/{mark[1:]}" for mark in REASONING}
OPENING = re.compile("|".join(map(re.escape, [*REASONING, *REASONING_ENDS.values(), "[", "{"])))
BETWEEN_OBJECTS = re.compile(r"[\s,;]*(?:(?:\d+[.):]|[-*])\s*)?")  # a comma, a new line, or the sign of a list item
# What may stand before or after `[]` on its line if it is an answer, and not a box as in `tick [ ] yes`. With a space
# in it, it is a box unless both fit.
BEFORE_EMPTY = re.compile(r"(?:^|[:=`>])[ \t]*$")
AFTER_EMPTY = re.compile(r"[ \t.;,`)*]*(?:\n|$)")
LIST_END = re.compile(r"[\s,]*\]")
VALUE_START = re.compile(r"\s*(?=[\[{\"\d\-tfn])")
TOKEN_BETWEEN_VALUES = re.compile(r"\s*[,:]")
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*(?:"|$)')
SCALAR = re.compile(r"-?\d[\d.eE+-]*|true|false|null")


@dataclass(frozen=True)
class Found:
    """The objects in one JSON value of a text. `is_list`: they are a list in the text, and not a single object."""

    rows: Rows
    is_list: bool
    start: int
    end: int


def find_json_list(text: str, keys: Collection[str] = ()) -> Rows | None:
    """Return the last complete JSON list of objects in a text, or None.

    A single object with one of the `keys` counts as a list of one, and several of them in a row as one list. An object
    that contains a list of objects, as in `{"segments": [...]}`, counts as that list. The text before the list may be
    reasoning, a draft of the answer, or other text in brackets. The text after it may be an explanation, in which a
    single object or an empty list inside an object is not the answer.

    Algorithm:

    1. From left to right, find the next `[` or `{`, and parse the JSON value that begins there. If it has a list of
       objects, or is an object with one of the `keys`, it is a candidate. Continue after the value.
    2. If no complete value begins there, it was cut off or is not JSON. Its complete parts and its strings are no
       candidates: skip them, then continue.
    3. Skip reasoning, such as from `<think>` to `</think>`; if it is not closed, the text ends there. If a `</think>`
       has no beginning, the candidates before it are used only if there are none after it.
    4. The result is the last list. If there is none, it is the last row of single objects, unless a `]` follows: then
       they are what is left of a broken list. If there are no objects, it is the last empty list inside an object.

    Example: `<think>[1] is food</think> [{"L1": "food"}] (see [1])` is the list `[{"L1": "food"}]`.
    """
    candidates = _find_candidates(text, frozenset(keys))
    lists = [found for found in candidates if found.is_list]
    if lists:
        return lists[-1].rows
    groups: list[Found] = []  # objects in a row
    for found in candidates:
        if found.rows:
            last = groups[-1] if groups else None
            if last and BETWEEN_OBJECTS.fullmatch(text, last.end, found.start):
                groups[-1] = Found([*last.rows, *found.rows], False, last.start, found.end)
            else:
                groups.append(found)
    complete = [group.rows for group in groups if not LIST_END.match(text, group.end)]
    if complete:
        return complete[-1]
    return [] if candidates and not groups else None


def _find_candidates(text: str, keys: frozenset[str]) -> list[Found]:
    """Return the values of a text that have objects, in their order (steps 1 to 3)."""
    drafts: list[Found] = []
    found: list[Found] = []
    position = 0
    while match := OPENING.search(text, position):
        start, position = match.span()
        if match.group() in REASONING:
            if (end := text.find(REASONING_ENDS[match.group()], position)) < 0:
                break
            position = end
        elif match.group() not in "[{":
            drafts, found = found or drafts, []
        else:
            try:
                value, end = _parse_value(text, start)
            except RecursionError:  # nested more deeply than any answer
                break
            if end is None:
                position = _skip_fragment(text, start)
                continue
            position = end
            if candidate := _make_candidate(text, value, start, end, keys):
                found.append(candidate)
    return found or drafts


def _make_candidate(text: str, value: Any, start: int, end: int, keys: frozenset[str]) -> Found | None:  # noqa: ANN401 (a JSON value)
    if value == []:
        line_start = text.rfind("\n", 0, start) + 1
        fits = [BEFORE_EMPTY.search(text[line_start:start]), AFTER_EMPTY.match(text, end)]
        is_answer = any(fits) if end - start == len("[]") else all(fits)
        return Found([], True, start, end) if is_answer else None
    rows = _find_rows(value, keys)
    if rows is None:
        return None
    is_object = isinstance(value, dict) and (not rows or not value.keys().isdisjoint(keys))
    return Found(rows, not is_object, start, end)


def _parse_value(text: str, start: int) -> tuple[Any, int | None]:
    """Return the JSON value that begins at `start` and its end, or (None, None) if no complete value begins there.

    A value that is nested too deeply raises `RecursionError`.
    """
    try:
        # Of the whole text, an error would count the lines up to `start`.
        _, length = DECODER.raw_decode(text[start:])
        return orjson.loads(text[start : start + length]), start + length  # orjson rejects invalid JSON, such as NaN
    except ValueError:
        return None, None


def _find_rows(value: Any, keys: frozenset[str]) -> Rows | None:  # noqa: ANN401 (a JSON value)
    """Return the objects of a value: those with one of the `keys` come first, then those of a list; or None.

    Objects with one of the `keys` inside an object, as in `{"1": {...}, "2": {...}}`, count as a list.
    """
    if isinstance(value, dict):
        if not value.keys().isdisjoint(keys):
            return [value]
        numbered = [part for part in value.values() if isinstance(part, dict) and not part.keys().isdisjoint(keys)]
        if numbered:
            return numbered
        parts = [rows for part in value.values() if (rows := _find_rows(part, keys)) is not None]
        return next((rows for rows in reversed(parts) if rows), parts[-1] if parts else None)
    if not isinstance(value, list):
        return None
    if all(isinstance(item, dict) for item in value):
        inner = [_find_rows(item, keys) for item in value]
        has_key = any(not item.keys().isdisjoint(keys) for item in value)
        return value if has_key or not keys or not any(inner) else [row for rows in inner if rows for row in rows]
    if all(isinstance(item, list) for item in value):
        inner = [_find_rows(item, keys) for item in value]
        return None if None in inner else [row for rows in inner if rows for row in rows]
    return None


def _skip_fragment(text: str, start: int) -> int:
    """Return the end of the JSON that begins at `start` and is cut off or invalid, as far as it is JSON.

    A part in it that is cut off itself is left for the next step, since a whole value may follow it.
    """
    position = start + 1
    while match := VALUE_START.match(text, position):
        position = match.end()
        if text[position] in "[{":
            _, end = _parse_value(text, position)
            if end is None:
                return position
            position = end
        elif scalar := STRING.match(text, position) or SCALAR.match(text, position):
            position = scalar.end()
        else:
            return position
        if not (between := TOKEN_BETWEEN_VALUES.match(text, position)):
            return position
        position = between.end()
    return position
