"""Pair each prediction with its gold comment, after checking that they belong together."""

from dataclasses import dataclass
from pathlib import Path

from alloy.core.files import InputError, Row, join_errors, name_json_type
from alloy.core.text import hash_text, normalize_text
from alloy.formats.comments import Comment, Segment, parse_comment
from alloy.formats.taxonomy import Taxonomy

STOP, LENGTH, CONTEXT = (
    "stop",
    "length",
    "context",
)  # why an answer ended: by itself, at the token limit, the prompt was too long
# The fields of a prediction: type, and the type's name in errors.
FIELDS = {
    "id": (str, "a string"),
    "hash": (str, "a string"),
    "raw": (str, "a string"),
    "valid": (bool, "true or false"),
    "segments": (list, "a list of objects"),
}


@dataclass(frozen=True)
class Pair:
    """A labeled comment and a model's answer: `raw` is its text, `predicted` the segments parsed from it.

    `finish` says how the answer ended (`Finish` in alloy/inference/engine.py).
    """

    gold: Comment
    predicted: tuple[Segment, ...]
    valid: bool
    raw: str
    finish: str = STOP


def align_predictions(gold: list[Row], predictions: list[Row], source: Path) -> list[Row]:
    """Return the gold rows that the predictions in `source` belong to: the first ones of the test set, in their order.

    Raise one `InputError` for all bad rows: those that are not predictions, belong to another comment, or to a comment
    whose text has changed since.
    """
    hint = _suggest_rerun(source)
    errors = [
        f"{source}:{number}: {error}; {hint}"
        for number, (comment, row) in enumerate(zip(gold, predictions, strict=False), 1)
        if (error := _find_error(row, comment))
    ]
    if errors:
        raise join_errors(errors)
    if not predictions or len(predictions) > len(gold):
        raise InputError(f"{source}: expected 1 to {len(gold)} predictions, got {len(predictions)}; {hint}")
    return gold[: len(predictions)]


def _find_error(row: Row, comment: Row) -> str | None:
    """Return what is wrong with the prediction `row` of `comment`, or None."""
    for field, (type_, type_name) in FIELDS.items():
        if not isinstance(row.get(field), type_):
            return f"`{field}`: expected {type_name}, got {name_json_type(row[field]) if field in row else 'nothing'}"
    if row["id"] != comment["id"]:
        return f"`id`: expected '{comment['id']}', got '{row['id']}'"
    if row["hash"] != hash_text(comment["text"]):
        return f"the text of comment '{row['id']}' has changed since it was labeled"
    for segment in row["segments"]:
        if not isinstance(segment, dict):
            return f"`segments`: expected objects, got {name_json_type(segment)}"
        for key, value in segment.items():
            if value is not None and not isinstance(value, str):
                return f"`segments.{key}`: expected a string, got {name_json_type(value)}"
    return None


def pair_predictions(gold: list[Row], predictions: list[Row], taxonomy: Taxonomy, source: Path) -> list[Pair]:
    """Return each prediction with its comment; raise `InputError` if they do not belong together."""
    pairs = []
    for number, (comment, row) in enumerate(
        zip(align_predictions(gold, predictions, source), predictions, strict=True), 1
    ):
        try:
            predicted = tuple(_parse_segment(part, taxonomy.levels) for part in row["segments"])
        except KeyError as level:
            error = f"a segment of comment '{row['id']}' has no label `{level.args[0]}`"
            raise InputError(f"{source}:{number}: {error}; {_suggest_rerun(source)}") from None
        pairs.append(
            Pair(parse_comment(comment, taxonomy), predicted, row["valid"], row["raw"], row.get("finish", STOP))
        )
    return pairs


def _parse_segment(part: Row, levels: tuple[str, ...]) -> Segment:
    """Return a segment of a prediction; its labels may differ from the taxonomy's in invisible characters.

    Raise `KeyError` with the name of the level if a label is missing.
    """
    emotion = part.get("emotion")
    if missing := [level for level in levels if part.get(level) is None]:
        raise KeyError(missing[0])
    path = tuple([normalize_text(part[level]) for level in levels])
    return Segment(path, part.get("content"), emotion and normalize_text(emotion))


def _suggest_rerun(source: Path) -> str:
    return f"run {'svm' if source.stem == 'svm' else 'infer'} again"
