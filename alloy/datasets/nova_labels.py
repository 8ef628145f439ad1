"""Parse the labels in an assistant's answer: a JSON list of segments with levels (E1 or L1, ...)."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from alloy.core.json_list import find_json_list
from alloy.core.tables import format_csv
from alloy.core.text import normalize_text
from alloy.formats.comments import Segment
from alloy.formats.taxonomy import LabelPath, format_path

LEVEL = re.compile(r"[EL]([1-9][0-9]*)")


class DescribedSegment(NamedTuple):
    """A segment, and the description after the colon of its last label."""

    segment: Segment
    description: str


def parse_answer(text: str, known_paths: Collection[LabelPath]) -> list[DescribedSegment]:
    """Return the segments in an answer, from its first `[` to its last `]`; raise `ValueError` if it is invalid.

    A last label `name: description` is split at its first colon, unless its path is in `known_paths` with the colon.
    """
    items = find_json_list(text)
    if items is None:
        raise ValueError(
            "the assistant's last turn is not a JSON list of segments; correct it or remove the conversation"
        )
    if not items:
        raise ValueError("the assistant's last turn has no segments; label at least one or remove the conversation")
    segments = []
    for number, item in enumerate(items, 1):
        try:
            segments.append(_parse_segment(item, known_paths))
        except ValueError as error:
            raise ValueError(f"segment {number}: {error}") from None
    return segments


def _parse_segment(item: dict[str, Any], known_paths: Collection[LabelPath]) -> DescribedSegment:
    path = _parse_path(item)
    name, _, description = path[-1].partition(":")
    if path in known_paths:
        name, description = path[-1], ""
    if not name.strip():
        raise ValueError(f"label '{path[-1]}' has no name before the colon; write 'name: description'")
    content, emotion = _parse_text(item, "content"), _parse_text(item, "emotion")
    return DescribedSegment(
        Segment((*path[:-1], name.strip()), content, emotion and normalize_text(emotion)), description.strip()
    )


def _parse_path(item: dict[str, Any]) -> LabelPath:
    matches = {key: LEVEL.fullmatch(key) for key, value in item.items() if value is not None}  # null counts as missing
    levels = {key: int(match[1]) for key, match in matches.items() if match}
    found = ", ".join(levels) or "none"
    if sorted(levels.values()) != list(range(1, len(levels) + 1)) or len({key[0] for key in levels}) != 1:
        raise ValueError(f"expected levels L1, L2, ... or E1, E2, ... without a gap, got {found}")
    labels = []
    for key in sorted(levels, key=lambda key: levels[key]):
        label = item[key]
        if not isinstance(label, str) or not label.strip():
            raise ValueError(f"expected a label as `{key}`, got {label!r}; write (none) if the level does not apply")
        labels.append(normalize_text(label))
    return tuple(labels)


def _parse_text(item: dict[str, Any], key: str) -> str | None:
    """Return a text of a segment; None if it is missing or blank."""
    value = item.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"expected a string as `{key}`, got {value!r}; correct it or remove the key")
    return value if value and value.strip() else None


@dataclass
class AnswerLabels:
    """The labels of all answers: leaves with their first descriptions, and the number of levels."""

    leaves: dict[LabelPath, str] = field(default_factory=dict)
    conflicts: dict[LabelPath, str] = field(default_factory=dict)  # second, different description of a leaf
    depth: int | None = None

    def add_labels(self, segments: list[DescribedSegment]) -> None:
        """Add the labels of one answer; raise `ValueError` if the number of levels differs."""
        for number, (segment, description) in enumerate(segments, 1):
            path = segment.path
            self.depth = self.depth or len(path)
            if len(path) != self.depth:
                raise ValueError(
                    f"segment {number}: expected {self.depth} levels like the others, got {len(path)}; "
                    "write (none) if a level does not apply"
                )
            first = self.leaves.get(path) or description
            self.leaves[path] = first
            if description and description != first:
                self.conflicts.setdefault(path, description)

    def describe_conflicts(self) -> list[str]:
        """Return a line about conflicting descriptions, if there are any."""
        if not self.conflicts:
            return []
        path, other = next(iter(self.conflicts.items()))
        example = f"'{format_path(path)}' as '{self.leaves[path]}', not '{other}'"
        return [f"{len(self.conflicts)} paths have several descriptions, the first is kept: {example}"]


def format_taxonomy_csv(leaves: dict[LabelPath, str]) -> str:
    """Return the taxonomy as CSV text, sorted."""
    depth = len(next(iter(leaves)))
    header = [*(f"L{level}" for level in range(1, depth + 1)), "description"]
    return format_csv(header, ([*leaf, leaves[leaf]] for leaf in sorted(leaves)))
