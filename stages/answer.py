"""The model's answer to a comment: a JSON list of segments, written for training and read back after inference."""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from stages.comments import Segment, segment_row


@dataclass(frozen=True)
class Answer:
    """What was read from a generated text. `valid`: it holds a JSON list of objects, nothing lost."""

    segments: tuple[Segment, ...]
    valid: bool


def render_answer(segments: tuple[Segment, ...], levels: tuple[str, ...]) -> str:
    """Return the completion that training teaches: one line of JSON."""
    return json.dumps([segment_row(segment, levels) for segment in segments], ensure_ascii=False)


def parse_answer(text: str, levels: tuple[str, ...]) -> Answer:
    """Read the JSON list in `text`, from its first `[` to its last `]`.

    A segment without all levels keeps its place with empty labels, which match no gold path. Text that holds no
    JSON list of objects is an invalid answer without segments.
    """
    found = re.search(r"\[.*\]", text, re.DOTALL)
    try:
        items = orjson.loads(found.group()) if found else None
    except orjson.JSONDecodeError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return Answer((), valid=False)
    return Answer(tuple(_segment(item, levels) for item in items), valid=True)


def _segment(item: dict[str, Any], levels: tuple[str, ...]) -> Segment:
    def text(key: str) -> str | None:
        value = item.get(key)
        return value.strip() if isinstance(value, str) else None

    return Segment(tuple(text(level) or "" for level in levels), text("content"), text("emotion"))
