"""The model's answer to a comment: a JSON list of segments, written for training and read back after inference."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alloy.core.json_list import json_list
from alloy.core.text import normalize_text
from alloy.formats.comments import Segment, segment_row
from alloy.formats.taxonomy import LabelPath, Taxonomy

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
