"""Predictions beside the gold comments they answer, checked to belong together."""

from dataclasses import dataclass
from pathlib import Path

from alloy.core.files import InputError, Row, join_errors, json_type
from alloy.core.text import normalize_text, text_hash
from alloy.formats.comments import Comment, Segment, parse_comment
from alloy.formats.taxonomy import Taxonomy

STOP, LENGTH, CONTEXT = "stop", "length", "context"  # ways to end: by itself, at the token limit, prompt too long
# Of a prediction: the type of each field, and what it is called.
FIELDS = {
    "id": (str, "a string"),
    "hash": (str, "a string"),
    "raw": (str, "a string"),
    "valid": (bool, "true or false"),
    "segments": (list, "a list of objects"),
}


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

    Rows that are no predictions, answer another comment, or one whose text has changed since, make one `InputError`.
    """
    again = _again(source)
    errors = [
        f"{source}:{number}: {error}; {again}"
        for number, (wanted, row) in enumerate(zip(gold, predictions, strict=False), 1)
        if (error := _error_in(row, wanted))
    ]
    if errors:
        raise join_errors(errors)
    if not predictions or len(predictions) > len(gold):
        raise InputError(f"{source}: {len(predictions)} predictions for {len(gold)} comments; {again}")
    return gold[: len(predictions)]


def _error_in(row: Row, wanted: Row) -> str | None:
    """Return what is wrong with a prediction of the comment `wanted`."""
    for field, (kind, name) in FIELDS.items():
        if not isinstance(row.get(field), kind):
            return f"`{field}` is {json_type(row[field]) if field in row else 'missing'}, expected {name}"
    if row["id"] != wanted["id"]:
        return f"id '{row['id']}' where '{wanted['id']}' belongs"
    if row["hash"] != text_hash(wanted["text"]):
        return f"the text of comment '{row['id']}' is not the one that was labelled"
    for segment in row["segments"]:
        if not isinstance(segment, dict):
            return f"a segment is {json_type(segment)}, expected an object"
        for key, value in segment.items():
            if value is not None and not isinstance(value, str):
                return f"`{key}` of a segment is {json_type(value)}, expected a string"
    return None


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
