"""Find the JSON list in a text that may have other text around it, such as the answer of a model."""

import json
import re
from collections.abc import Collection
from typing import Any

import orjson

DECODER = json.JSONDecoder()
OPENING = re.compile(r"[\[{]")
NEXT_OBJECT = re.compile(r"\s*,?\s*(?=\{)")


def find_json_list(text: str, keys: Collection[str] = ()) -> list[dict[str, Any]] | None:
    """Return the last complete JSON list of objects in a text, or None.

    A single object with one of the `keys` counts as a list of one. An object that contains a list of objects, as in
    `{"segments": [...]}`, counts as that list. The text before the list may be reasoning, a draft of the answer, or
    other text in brackets. The text after it may be an explanation.

    Algorithm:

    1. From the start of the text, find the next `[` or `{`, and parse the JSON value that begins there. If it counts as
       a list of objects, it is the result until another one is found. Continue after the value.
    2. If no complete value begins there, continue with the next character. But if it is a list that begins with
       objects, skip its complete objects first: they are parts of a list that was cut off, and not results.

    Example: `<think>[1] is food</think> [{"L1": "food"}] (see [1])` is the list `[{"L1": "food"}]`.
    """
    result: list[dict[str, Any]] | None = None
    position = 0
    while match := OPENING.search(text, position):
        position = match.start()
        try:
            value, end = _parse_value(text, position)
        except RecursionError:  # nested more deeply than any answer
            return None
        objects = _find_objects(value, keys)
        result = result if objects is None else objects
        position = _skip_objects(text, position) if end is None else end
    return result


def _parse_value(text: str, start: int) -> tuple[Any, int | None]:
    """Return the JSON value that begins at `start` and its end, or (None, None) if no complete value begins there.

    A value that is nested too deeply raises `RecursionError`.
    """
    try:
        _, end = DECODER.raw_decode(text, start)
        return orjson.loads(text[start:end]), end  # orjson rejects invalid JSON, such as NaN
    except ValueError:
        return None, None


def _find_objects(value: Any, keys: Collection[str]) -> list[dict[str, Any]] | None:  # noqa: ANN401 (a JSON value)
    """Return the list of objects in a value by the rules of `find_json_list`, or None."""
    if isinstance(value, dict):
        parts = [_find_objects(part, keys) for part in value.values() if isinstance(part, list)]
        single = [value] if not value.keys().isdisjoint(keys) else None
        return next((part for part in reversed(parts) if part or (part == [] and len(value) == 1)), single)
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else None


def _skip_objects(text: str, start: int) -> int:
    """Return the position after the character at `start` and, if it is `[`, after the complete objects that follow."""
    end = start + 1
    while text[start] == "[" and (match := NEXT_OBJECT.match(text, end)):
        value, value_end = _parse_value(text, match.end())
        if value is None or value_end is None:
            return match.end() + 1
        end = value_end
    return end
