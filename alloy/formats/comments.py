"""The canonical comment: a text and the segments it holds, each labelled with one path of the taxonomy."""

import re
from functools import cache, lru_cache
from itertools import combinations
from typing import Any, NamedTuple

from alloy.core.files import Row
from alloy.core.text import normalize_text
from alloy.core.unknown_keys import nearest_key
from alloy.formats.taxonomy import LabelPath, Taxonomy

KEYS = ("id", "text", "segments", "lang", "split")  # of a row; others have no effect
OPTIONAL = {"content", "emotion"}  # fields of a segment


class Segment(NamedTuple):
    """A part of a comment about one thing. `content` and `emotion` are None where the data has none.

    Labels and emotion are spelled as `normalize_text` spells them; `content` is quoted as it stands.
    """

    path: LabelPath
    content: str | None = None
    emotion: str | None = None

    @property
    def path_and_emotion(self) -> tuple[LabelPath, str | None]:
        """The path with the emotion as it is compared: without spaces around it, None if nothing is left."""
        return self.path, (self.emotion or "").strip() or None


class Comment(NamedTuple):
    """One labelled comment; `split` is train or test where the data says so."""

    id: str
    text: str
    segments: tuple[Segment, ...]
    lang: str | None = None
    split: str | None = None

    def to_row(self, levels: tuple[str, ...]) -> Row:
        """Return the canonical JSON object, without the fields that are None."""
        row: Row = {"id": self.id} | ({} if self.lang is None else {"lang": self.lang})
        return row | {"text": self.text, "segments": [segment_row(segment, levels) for segment in self.segments]}


def segment_row(segment: Segment, levels: tuple[str, ...]) -> dict[str, str]:
    """Return `{content?, L1..Ln, emotion?}` in this order, which is also the order of the model's answer."""
    row = {} if segment.content is None else {"content": segment.content}
    row.update(zip(levels, segment.path, strict=True))
    if segment.emotion is not None:
        row["emotion"] = segment.emotion
    return row


def parse_comment(row: Row, taxonomy: Taxonomy) -> Comment:
    """Check a canonical row and return its comment; raise `ValueError` with the fault and the mend.

    A field that is null is absent. Labels and emotions are normalized (`normalize_text`).
    """
    identity = row.get("id")
    if not isinstance(identity, str) or not normalize_text(identity):
        raise ValueError(
            f"`id` is missing, empty or not a string{_misspelled(row, 'id')}; give each comment its own id"
        )
    named, text, segments = f"comment '{identity}'", row.get("text"), row.get("segments")
    if not isinstance(text, str) or not normalize_text(text):
        hint = _misspelled(row, "text")
        raise ValueError(f"{named}: `text` is missing or empty{hint}; give the comment or drop the row")
    if not isinstance(segments, list) or not segments:
        hint = _misspelled(row, "segments")
        raise ValueError(f"{named}: `segments` is missing or empty{hint}; label at least one segment")
    lang = row.get("lang")
    if lang is not None and not isinstance(lang, str):
        raise ValueError(f"{named}: `lang` is {lang!r}; write a code such as en, or leave it out")
    split = row.get("split")
    if split not in (None, "train", "test"):
        raise ValueError(f"{named}: split '{split}' is unknown; write train or test, or leave it out")
    return Comment(identity, text, tuple(_segment(part, taxonomy, named) for part in segments), lang, split)


def _misspelled(row: Row, key: str) -> str:
    """Return a question after the unknown key that is most like `key`, if `key` is missing and there is one."""
    near = nearest_key(key, [other for other in row if other not in KEYS]) if row.get(key) is None else None
    return f" (did you mean it by `{near}`?)" if near else ""


def _segment(part: Any, taxonomy: Taxonomy, named: str) -> Segment:  # noqa: ANN401 (checked here)
    if not isinstance(part, dict):
        raise ValueError(f"{named}: a segment is not an object; write {{L1, L2, ..}}")
    if None in part.values():
        part = {key: value for key, value in part.items() if value is not None}
    if frozenset(part) not in _shapes(taxonomy.levels):
        raise ValueError(_wrong_keys(part, taxonomy))
    for key, value in part.items():
        if not isinstance(value, str):
            raise ValueError(f"`{key}` of a segment is {value!r}; write a string")
        normalize = normalize_text if key == "content" else _normalized
        if not normalize(value):
            raise ValueError(f"`{key}` of a segment is empty; give it a value")
    path = tuple([_normalized(part[level]) for level in taxonomy.levels])
    taxonomy.check(path)
    emotion = part.get("emotion")
    return Segment(path, part.get("content"), emotion and _normalized(emotion))


_normalized = lru_cache(2**16)(normalize_text)  # labels and emotions are few, and come again and again


@cache
def _shapes(levels: tuple[str, ...]) -> set[frozenset[str]]:
    """Return the sets of keys that a segment may have."""
    return {frozenset(levels) | more for more in map(frozenset, ((), *combinations(OPTIONAL, 1), OPTIONAL))}


def _wrong_keys(part: Row, taxonomy: Taxonomy) -> str:
    given = sorted(key for key in part if re.fullmatch(r"L\d+", key))
    if given != sorted(taxonomy.levels):
        wanted = f"{taxonomy.levels[0]}..{taxonomy.levels[-1]}"
        return f"a segment has levels {','.join(given) or 'none'}; the taxonomy has {wanted}; give every level"
    known = {*taxonomy.levels, *OPTIONAL}
    unknown = next(key for key in part if key not in known)
    return f"a segment has the unknown field `{unknown}`; known are {', '.join(sorted(known))}"
