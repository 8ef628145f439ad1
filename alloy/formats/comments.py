"""The canonical comment: a text and its segments, each labeled with one path of the taxonomy."""

import re
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

from alloy.core.files import Row
from alloy.core.text import has_text, normalize_text
from alloy.core.unknown_keys import find_nearest_key
from alloy.formats.taxonomy import NONE, LabelPath, Taxonomy, normalize_label

KEYS = ("id", "text", "segments", "lang", "split")  # of a row; others have no effect
OPTIONAL = {"content", "emotion"}  # fields of a segment


class Segment(NamedTuple):
    """A part of a comment about one topic. `content` (its text) and `emotion` are None if the data has none.

    Labels and emotion are normalized (`normalize_text`); `content` is kept as it is.
    """

    path: LabelPath
    content: str | None = None
    emotion: str | None = None

    @property
    def path_and_emotion(self) -> tuple[LabelPath, str | None]:
        """The path, and the emotion as it is compared: without spaces around it, and None if it is empty."""
        return self.path, (self.emotion or "").strip() or None


class Comment(NamedTuple):
    """One labeled comment; `split` is train or test if the data names it, else None."""

    id: str
    text: str
    segments: tuple[Segment, ...]
    lang: str | None = None
    split: str | None = None

    def to_row(self, levels: tuple[str, ...]) -> Row:
        """Return the canonical JSON object, without the fields that are None."""
        row: Row = {"id": self.id} | ({} if self.lang is None else {"lang": self.lang})
        return row | {"text": self.text, "segments": [make_segment_row(segment, levels) for segment in self.segments]}


def make_segment_row(segment: Segment, levels: tuple[str, ...]) -> dict[str, str]:
    """Return `{content?, L1..Ln, emotion?}`, in the order of the answers of models."""
    row = {} if segment.content is None else {"content": segment.content}
    row.update(zip(levels, segment.path, strict=True))
    if segment.emotion is not None:
        row["emotion"] = segment.emotion
    return row


def parse_comment(row: Row, taxonomy: Taxonomy) -> Comment:
    """Check a canonical row and return its comment; raise `ValueError` with what is wrong and how to fix it.

    A field that is null counts as absent. An absent level is `(none)`, as an empty cell of a table, if the taxonomy has
    that path. Labels and emotions are normalized (`normalize_text`).
    """
    identity = row.get("id")
    if not has_text(identity):
        raise ValueError(
            f"`id` is missing, empty or not a string{_suggest_key(row, 'id')}; give each comment a unique id"
        )
    name, text, segments = f"comment '{identity}'", row.get("text"), row.get("segments")
    if not has_text(text):
        hint = _suggest_key(row, "text")
        raise ValueError(f"{name}: `text` is missing or empty{hint}; write the text of the comment or remove the row")
    if isinstance(segments, dict):
        raise ValueError(f"{name}: `segments`: expected a list of objects, got an object; write [...] around it")
    if not isinstance(segments, list) or not segments:
        hint = _suggest_key(row, "segments")
        raise ValueError(f"{name}: `segments` is missing or empty{hint}; label at least one segment")
    lang = row.get("lang")
    if lang is not None and not isinstance(lang, str):
        raise ValueError(f"{name}: `lang`: expected a code such as en, got {lang!r}; correct it or leave it out")
    split = row.get("split")
    if split not in (None, "train", "test"):
        raise ValueError(f"{name}: `split`: expected train or test, got '{split}'; correct it or leave it out")
    return Comment(identity, text, tuple(_parse_segment(part, taxonomy, name) for part in segments), lang, split)


def _suggest_key(row: Row, key: str) -> str:
    """Return a hint with the unknown key that is most similar to `key`, if `key` is missing; else ""."""
    similar = find_nearest_key(key, [other for other in row if other not in KEYS]) if row.get(key) is None else None
    return f" (did you mean `{similar}`?)" if similar else ""


def _parse_segment(part: Any, taxonomy: Taxonomy, name: str) -> Segment:  # noqa: ANN401 (checked here)
    if not isinstance(part, dict):
        raise ValueError(f'{name}: expected a segment such as {{"L1": "...", "L2": "..."}}, got {part!r}')
    if None in part.values():
        part = {key: value for key, value in part.items() if value is not None}
    given = part if frozenset(part) in _list_allowed_keys(taxonomy.levels) else _fill_levels(part, taxonomy)
    for key, value in given.items():
        if not isinstance(value, str):
            raise ValueError(f"`{key}` of a segment: expected a string, got {value!r}")
        normalize = normalize_text if key == "content" else normalize_label
        if not normalize(value):
            raise ValueError(f"`{key}` of a segment is empty; write a value")
    path = tuple([normalize_label(given[level]) for level in taxonomy.levels])
    taxonomy.check_path(path)
    emotion = given.get("emotion")
    return Segment(path, given.get("content"), emotion and normalize_label(emotion))


def _fill_levels(part: Row, taxonomy: Taxonomy) -> Row:
    """Return a segment with `(none)` for each absent level but the first.

    Raises `ValueError` if the taxonomy does not have its path, or if it has unknown keys.
    """
    levels = taxonomy.levels
    given = dict.fromkeys(levels[1:], NONE) | part
    labels = [given.get(level) for level in levels]
    known = all(isinstance(label, str) for label in labels) and tuple(map(normalize_label, labels)) in taxonomy.leaves
    if not known or frozenset(given) not in _list_allowed_keys(levels):
        raise ValueError(_describe_wrong_keys(part, taxonomy))
    return given


@cache
def _list_allowed_keys(levels: tuple[str, ...]) -> set[frozenset[str]]:
    """Return the sets of keys that a segment may have: all levels, and any of the optional ones."""
    return {frozenset(levels) | optional for optional in map(frozenset, ((), *combinations(OPTIONAL, 1), OPTIONAL))}


def _describe_wrong_keys(part: Row, taxonomy: Taxonomy) -> str:
    """Return what is wrong with the keys of a segment."""
    levels = sorted(key for key in part if re.fullmatch(r"L\d+", key))
    if levels != sorted(taxonomy.levels):
        found = ",".join(levels) or "none"
        return f"a segment has levels {found}; expected {','.join(taxonomy.levels)} as in the taxonomy"
    known = {*taxonomy.levels, *OPTIONAL}
    unknown = next(key for key in part if key not in known)
    return f"a segment has the unknown key `{unknown}`; known keys: {', '.join(sorted(known))}"
