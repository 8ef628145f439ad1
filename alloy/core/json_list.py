"""The JSON list in a text, whatever is around it."""

import json
import re
from collections.abc import Collection
from typing import Any

import orjson

DECODER = json.JSONDecoder()
OPENING = re.compile(r"[\[{]")
NEXT_OBJECT = re.compile(r"\s*,?\s*(?=\{)")


def json_list(text: str, keys: Collection[str] = ()) -> list[dict[str, Any]] | None:
    """Return the last whole JSON list of objects in a text, or None.

    An object alone that has one of the `keys` is a list of one; one that holds a list of objects, as in
    `{"segments": [..]}`, stands for that list.

    Before it may be thoughts, a draft of the answer, or text in brackets; after it, an explanation.

    Algorithm, from the start of the text:

    1. Find the next `[` or `{`, and read the JSON value that begins there. If it is a list of objects or an object, it
       is the answer until another one is found. Go on after it.
    2. If no whole value begins there, go on with the next letter. But in a list that begins with an object, pass over
       its whole objects first: they are parts of a list that was cut, and no answers.

    Example: `<think>[1] is food</think> [{"L1": "food"}] (see [1])` is the list `[{"L1": "food"}]`.
    """
    found: list[dict[str, Any]] | None = None
    place = 0
    while match := OPENING.search(text, place):
        place = match.start()
        try:
            value, end = _value_at(text, place)
        except RecursionError:  # nested deeper than any answer is
            return None
        objects = _objects_of(value, keys)
        found = found if objects is None else objects
        place = _after_objects(text, place) if end is None else end
    return found


def _value_at(text: str, place: int) -> tuple[Any, int | None]:
    """Return the JSON value that begins at `place` and where it ends, or (None, None) if no whole one does.

    One that is nested too deep raises `RecursionError`.
    """
    try:
        _, end = DECODER.raw_decode(text, place)
        return orjson.loads(text[place:end]), end  # orjson refuses what JSON does not know, such as NaN
    except ValueError:
        return None, None


def _objects_of(value: Any, keys: Collection[str]) -> list[dict[str, Any]] | None:  # noqa: ANN401 (a JSON value)
    """Return the list of objects that a value is or stands for, or None."""
    if isinstance(value, dict):
        parts = [_objects_of(part, keys) for part in value.values() if isinstance(part, list)]
        alone = [value] if not value.keys().isdisjoint(keys) else None
        return next((own for own in reversed(parts) if own or (own == [] and len(value) == 1)), alone)
    return value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else None


def _after_objects(text: str, place: int) -> int:
    """Return the place after `[` and the whole objects that follow it at once, or after another letter at `place`."""
    end = place + 1
    while text[place] == "[" and (match := NEXT_OBJECT.match(text, end)):
        value, after = _value_at(text, match.end())
        if value is None or after is None:
            return match.end() + 1
        end = after
    return end
