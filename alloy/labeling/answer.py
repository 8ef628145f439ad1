"""The model's answer to a comment: a JSON list of segments, written for training and read back after inference."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alloy.core.json_list import find_json_list
from alloy.core.text import normalize_text
from alloy.formats.comments import Segment, make_segment_row
from alloy.formats.taxonomy import LabelPath, Taxonomy

ENCODER = json.JSONEncoder(ensure_ascii=False)  # shared: `json.dumps` would make a new one per answer
Codes = Mapping[LabelPath, str]  # short code of each path, if answers use codes instead of labels


@dataclass(frozen=True)
class Answer:
    """The segments parsed from a generated text. `valid`: the text holds a complete JSON list of objects."""

    segments: tuple[Segment, ...]
    valid: bool


def assign_codes(taxonomy: Taxonomy) -> dict[LabelPath, str]:
    """Return a short code for each leaf: its number in the taxonomy, zero-padded to equal length."""
    width = len(str(len(taxonomy.leaves)))
    return {path: f"{number:0{width}}" for number, path in enumerate(taxonomy.leaves, 1)}


def render_answer(segments: tuple[Segment, ...], levels: tuple[str, ...], codes: Codes | None = None) -> str:
    """Return the answer as in the training data: one line of JSON. With `codes`, codes replace the labels."""
    return render_rows(
        [_encode_with_code(segment, codes) if codes else make_segment_row(segment, levels) for segment in segments]
    )


def render_rows(rows: list[dict[str, str]]) -> str:
    """Return the answer for segments that are already rows (`make_segment_row`)."""
    return ENCODER.encode(rows)


def _encode_with_code(segment: Segment, codes: Codes) -> dict[str, str]:
    row = {"content": segment.content, "label": codes[segment.path], "emotion": segment.emotion}
    return {key: value for key, value in row.items() if value is not None}


def parse_answer(text: str, levels: tuple[str, ...], codes: Codes | None = None) -> Answer:
    """Parse the last complete JSON list of objects in `text` (`find_json_list`). Codes are expanded to paths.

    - Labels and emotions are normalized like those of the taxonomy (`normalize_text`). Contents are not changed.
    - A missing level becomes an empty label, which matches no gold path. The segment still counts.
    - An unknown code is kept as the label of the first level.
    - Text without a JSON list of objects is an invalid answer without segments.
    """
    items = find_json_list(text, ("label",) if codes else levels)
    if items is None:
        return Answer((), valid=False)
    paths = {code: path for path, code in (codes or {}).items()}
    return Answer(tuple(_parse_segment(item, levels, paths) for item in items), valid=True)


def _parse_segment(item: dict[str, Any], levels: tuple[str, ...], paths: dict[str, LabelPath]) -> Segment:
    def read_text(key: str) -> str | None:
        value = item.get(key)
        return normalize_text(value) if isinstance(value, str) else None

    if paths:
        code = read_text("label") or ""
        path = paths.get(code, (code, *[""] * (len(levels) - 1)))
    else:
        path = tuple(read_text(level) or "" for level in levels)
    content = item.get("content")
    return Segment(path, content.strip() if isinstance(content, str) else None, read_text("emotion"))
