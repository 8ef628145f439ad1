"""Predictions beside the gold comments they answer, checked to belong together."""

from dataclasses import dataclass
from pathlib import Path

from alloy.core.files import InputError, Row
from alloy.core.text import normalize_text, text_hash
from alloy.formats.comments import Comment, Segment, parse_comment
from alloy.formats.taxonomy import Taxonomy

STOP, LENGTH, CONTEXT = "stop", "length", "context"  # ways to end: by itself, at the token limit, prompt too long
FIELDS = ("id", "hash", "raw", "valid", "segments")


@dataclass(frozen=True)
class Pair:
    """A labelled comment and what a model said: `raw` is its text, `predicted` the segments that were read in it.

    `finish` says how the answer ended (`Finish` in alloy/inference/engine.py).
    """

    gold: Comment
    predicted: tuple[Segment, ...]
    valid: bool
    raw: str
    finish: str = STOP


def align(gold: list[Row], predictions: list[Row], source: Path) -> list[Row]:
    """Return the gold rows that the predictions in `source` answer, the first of the test set, in their order.

    A prediction of another comment, or of one whose text has changed since, raises `InputError`.
    """
    again = _again(source)
    for number, (wanted, row) in enumerate(zip(gold, predictions, strict=False), 1):
        place = f"{source}:{number}"
        if missing := [field for field in FIELDS if field not in row]:
            raise InputError(f"{place}: `{missing[0]}` is missing; {again}")
        if row["id"] != wanted["id"]:
            raise InputError(f"{place}: id '{row['id']}' where '{wanted['id']}' belongs; {again}")
        if row["hash"] != text_hash(wanted["text"]):
            raise InputError(f"{place}: the text of comment '{row['id']}' is not the one that was labelled; {again}")
    if not predictions or len(predictions) > len(gold):
        raise InputError(f"{source}: {len(predictions)} predictions for {len(gold)} comments; {again}")
    return gold[: len(predictions)]


def pair_up(gold: list[Row], predictions: list[Row], taxonomy: Taxonomy, source: Path) -> list[Pair]:
    """Return each prediction with its comment; what does not belong together raises `InputError`."""
    pairs = []
    for number, (wanted, row) in enumerate(zip(align(gold, predictions, source), predictions, strict=True), 1):
        try:
            predicted = tuple(_segment(part, taxonomy.levels) for part in row["segments"])
        except KeyError as level:
            fault = f"a segment of comment '{row['id']}' has no `{level.args[0]}`"
            raise InputError(f"{source}:{number}: {fault}; {_again(source)}") from None
        pairs.append(
            Pair(parse_comment(wanted, taxonomy), predicted, row["valid"], row["raw"], row.get("finish", STOP))
        )
    return pairs


def _segment(part: Row, levels: tuple[str, ...]) -> Segment:
    """Return a segment of a prediction, whose labels may be spelled in any way that looks like the taxonomy's."""
    emotion = part.get("emotion")
    if missing := [level for level in levels if part.get(level) is None]:
        raise KeyError(missing[0])
    path = tuple([normalize_text(part[level]) for level in levels])
    return Segment(path, part.get("content"), emotion and normalize_text(emotion))


def _again(source: Path) -> str:
    return f"run {'svm' if source.stem == 'svm' else 'infer'} again"
