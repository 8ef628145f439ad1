"""The labels in an assistant's answer: a JSON list of segments with levels E1.. or L1.., content and emotion."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from alloy.core.json_list import json_list
from alloy.core.tables import csv_text
from alloy.core.text import normalize_text
from alloy.formats.comments import Segment
from alloy.formats.taxonomy import LabelPath, format_path

LEVEL = re.compile(r"[EL]([1-9][0-9]*)")


class Labelled(NamedTuple):
    """A segment, and what its last label says of itself behind a colon."""

    segment: Segment
    description: str


def parse_answer(text: str, known: Collection[LabelPath]) -> list[Labelled]:
    """Return the segments in an answer, from its first `[` to its last `]`; raise `ValueError` with the fault.

    A last label is the name before the first colon, the rest describes it; one whose path is in `known` as it stands is
    taken whole.
    """
    items = json_list(text)
    if items is None:
        raise ValueError("the assistant's last turn is no JSON list of segments; correct it or drop the conversation")
    if not items:
        raise ValueError("the assistant's last turn has no segment; label at least one or drop the conversation")
    labelled = []
    for number, item in enumerate(items, 1):
        try:
            labelled.append(_labelled(item, known))
        except ValueError as fault:
            raise ValueError(f"segment {number}: {fault}") from None
    return labelled


def _labelled(item: dict[str, Any], known: Collection[LabelPath]) -> Labelled:
    path = _path(item)
    name, _, description = path[-1].partition(":")
    if path in known:
        name, description = path[-1], ""
    if not name.strip():
        raise ValueError(f"label '{path[-1]}' has no name before its colon; write 'name: description'")
    content, emotion = _text(item, "content"), _text(item, "emotion")
    return Labelled(
        Segment((*path[:-1], name.strip()), content, emotion and normalize_text(emotion)), description.strip()
    )


def _path(item: dict[str, Any]) -> LabelPath:
    matches = {key: LEVEL.fullmatch(key) for key, value in item.items() if value is not None}  # null is absent
    levels = {key: int(match[1]) for key, match in matches.items() if match}
    given = ", ".join(levels) or "none"
    if sorted(levels.values()) != list(range(1, len(levels) + 1)) or len({key[0] for key in levels}) != 1:
        raise ValueError(f"levels are {given}; write L1, L2, .. or E1, E2, .. without a gap")
    labels = []
    for key in sorted(levels, key=lambda key: levels[key]):
        label = item[key]
        if not isinstance(label, str) or not label.strip():
            raise ValueError(f"`{key}` is {label!r}; write a label, (none) where the level does not apply")
        labels.append(normalize_text(label))
    return tuple(labels)


def _text(item: dict[str, Any], key: str) -> str | None:
    """Return a text of a segment; an empty one is none."""
    value = item.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"`{key}` is {value!r}; write a string or leave it out")
    return value if value and value.strip() else None


@dataclass
class Seen:
    """What the answers have: leaves with their descriptions, the first where there are more, and how deep they are."""

    leaves: dict[LabelPath, str] = field(default_factory=dict)
    more: dict[LabelPath, str] = field(default_factory=dict)  # leaves described in two ways, with the second
    depth: int | None = None

    def add(self, labelled: list[Labelled]) -> None:
        """Take up the labels of one answer; raise `ValueError` where one is of another depth."""
        for number, (segment, description) in enumerate(labelled, 1):
            path = segment.path
            self.depth = self.depth or len(path)
            if len(path) != self.depth:
                raise ValueError(
                    f"segment {number} has {len(path)} levels, others have {self.depth}; "
                    "write (none) where a level does not apply"
                )
            first = self.leaves.get(path) or description
            self.leaves[path] = first
            if description and description != first:
                self.more.setdefault(path, description)

    def doubts(self) -> list[str]:
        """Return the line that says which descriptions were left out, if any."""
        if not self.more:
            return []
        path, other = next(iter(self.more.items()))
        kept = f"'{format_path(path)}' as '{self.leaves[path]}', not '{other}'"
        return [f"{len(self.more)} paths are described in more than one way, the first is kept: {kept}"]


def taxonomy_csv(leaves: dict[LabelPath, str]) -> str:
    """Return the taxonomy as CSV text, sorted."""
    depth = len(next(iter(leaves)))
    header = [*(f"L{level}" for level in range(1, depth + 1)), "description"]
    return csv_text(header, ([*leaf, leaves[leaf]] for leaf in sorted(leaves)))
