"""The model's answer to a comment: a JSON list of segments, written for training and read back after inference."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from alloy.core.text import normalize_text
from alloy.formats.comments import Segment, segment_row
from alloy.formats.taxonomy import LabelPath, Taxonomy

DECODER = json.JSONDecoder()
ENCODER = json.JSONEncoder(ensure_ascii=False)  # one for all: `json.dumps` would make one for each answer
Codes = Mapping[LabelPath, str]  # what stands for a path in an answer


@dataclass(frozen=True)
class Answer:
    """What was read from a generated text. `valid`: it holds a JSON list of objects, nothing lost."""

    segments: tuple[Segment, ...]
    valid: bool


def codes_of(taxonomy: Taxonomy) -> dict[LabelPath, str]:
    """Return a short code for each leaf: its number in the taxonomy, all of one length."""
    width = len(str(len(taxonomy.leaves)))
    return {path: f"{number:0{width}}" for number, path in enumerate(taxonomy.leaves, 1)}


def render_answer(segments: tuple[Segment, ...], levels: tuple[str, ...], codes: Codes | None = None) -> str:
    """Return the completion that training teaches: one line of JSON; with `codes`, these stand for the labels."""
    return render_rows([_coded(segment, codes) if codes else segment_row(segment, levels) for segment in segments])


def render_rows(rows: list[dict[str, str]]) -> str:
    """Return the completion for segments that are rows already."""
    return ENCODER.encode(rows)


def _coded(segment: Segment, codes: Codes) -> dict[str, str]:
    row = {"content": segment.content, "label": codes[segment.path], "emotion": segment.emotion}
    return {key: value for key, value in row.items() if value is not None}


def parse_answer(text: str, levels: tuple[str, ...], codes: Codes | None = None) -> Answer:
    """Read the last whole JSON list of objects in `text` (`json_list`); `codes` are expanded to paths.

    Labels and emotions are normalized, as those of the taxonomy are (`normalize_text`); contents are kept as quoted.
    A segment without all levels keeps its place with empty labels, which match no gold path; a code that stands for
    nothing is kept as a label of the first level. Text that holds no JSON list of objects is an invalid answer without
    segments.
    """
    items = json_list(text, ("label",) if codes else levels)
    if items is None:
        return Answer((), valid=False)
    paths = {code: path for path, code in (codes or {}).items()}
    return Answer(tuple(_segment(item, levels, paths) for item in items), valid=True)


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


OPENING = re.compile(r"[\[{]")
NEXT_OBJECT = re.compile(r"\s*,?\s*(?=\{)")


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


def _segment(item: dict[str, Any], levels: tuple[str, ...], paths: dict[str, LabelPath]) -> Segment:
    def text(key: str) -> str | None:
        value = item.get(key)
        return normalize_text(value) if isinstance(value, str) else None

    if paths:
        code = text("label") or ""
        path = paths.get(code, (code, *[""] * (len(levels) - 1)))
    else:
        path = tuple(text(level) or "" for level in levels)
    content = item.get("content")
    return Segment(path, content.strip() if isinstance(content, str) else None, text("emotion"))
