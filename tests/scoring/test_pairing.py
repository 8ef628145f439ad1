"""Predictions are paired with their comments; each prediction of another comment is one line of the error."""

import re
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError
from alloy.core.text import hash_text
from alloy.formats.comments import Comment, Segment
from alloy.formats.taxonomy import Taxonomy
from alloy.scoring.pairing import Pair, align_predictions, pair_predictions

TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): ""})
SOURCE = Path("data/predictions/tuned.jsonl")
Row = dict[str, Any]


def make_text(identity: str) -> str:
    return f"Words of {identity}."


def make_gold(identity: str) -> Row:
    return {"id": identity, "text": make_text(identity), "segments": [{"L1": "Setup", "L2": "Pairing"}]}


def make_prediction(identity: str, *segments: Row) -> Row:
    row = {"id": identity, "hash": hash_text(make_text(identity)), "raw": "raw", "valid": True, "finish": "stop"}
    return {**row, "segments": list(segments)}


GOLD = [make_gold(f"c{number}") for number in range(3)]


def read_error(predictions: list[Row], source: Path = SOURCE) -> str:
    with pytest.raises(InputError) as caught:
        align_predictions(GOLD, predictions, source)
    return str(caught.value)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_predictions_of_just_the_first_comments_are_accepted(count: int) -> None:
    assert align_predictions(GOLD, [make_prediction(f"c{number}") for number in range(count)], SOURCE) == GOLD[:count]


@pytest.mark.parametrize(
    ("identities", "expected"),
    [
        ([], r"data/predictions/tuned\.jsonl: .*\b3\b.*\b0; run infer again"),
        (["c0", "x1"], r"data/predictions/tuned\.jsonl:2: `id`: .*'c1'.*'x1'; run infer again"),
        (["c0", "c2"], r"data/predictions/tuned\.jsonl:2: `id`: .*'c1'.*'c2'; run infer again"),
        (["c0", "c1", "c2", "c3"], r"data/predictions/tuned\.jsonl: .*\b3\b.*\b4; run infer again"),
    ],
)
def test_predictions_of_other_comments_are_refused_in_one_line(identities: list[str], expected: str) -> None:
    assert re.fullmatch(expected, read_error([make_prediction(identity) for identity in identities]))


def test_a_prediction_of_another_text_under_the_same_id_is_refused() -> None:
    prediction = {**make_prediction("c1"), "hash": hash_text("Other words.")}
    assert re.fullmatch(
        r"data/predictions/tuned\.jsonl:2: .*text of comment 'c1'.*; run infer again",
        read_error([make_prediction("c0"), prediction]),
    )


EXPECTED_TYPES = {"id": "a string", "hash": "a string", "raw": "a string", "valid": "true or false"}
EXPECTED_TYPES["segments"] = "a list of objects"


@pytest.mark.parametrize("value", [None, 3, {"x": 1}])
@pytest.mark.parametrize("field", EXPECTED_TYPES)
def test_a_field_of_another_type_is_named_in_the_error(field: str, value: object) -> None:
    error = read_error([{**make_prediction("c0"), field: value}])
    assert error.startswith(f"{SOURCE}:1: `{field}`: ")
    assert EXPECTED_TYPES[field] in error


@pytest.mark.parametrize("segment", [None, "x", {"L1": 3, "L2": "x"}, {"L1": "x", "L2": "x", "emotion": []}])
def test_a_segment_of_another_type_is_named_in_the_error(segment: object) -> None:
    assert read_error([{**make_prediction("c0"), "segments": [segment]}]).startswith(f"{SOURCE}:1: ")


def test_all_invalid_predictions_are_named_in_the_error() -> None:
    assert [
        line.partition(": ")[0] for line in read_error([make_prediction("c1"), make_prediction("c0")]).splitlines()
    ] == [
        f"{SOURCE}:1",
        f"{SOURCE}:2",
    ]


@pytest.mark.parametrize("field", EXPECTED_TYPES)
def test_a_prediction_without_a_field_is_refused(field: str) -> None:
    row = {key: value for key, value in make_prediction("c0").items() if key != field}
    error = read_error([row])
    assert error.startswith(f"{SOURCE}:1: `{field}`: ")
    assert all(part in error for part in (EXPECTED_TYPES[field], "nothing", "infer"))


def test_for_predictions_of_the_svm_the_hint_names_the_stage_svm() -> None:
    assert re.fullmatch(
        r"svm\.jsonl:1: .*'c0'.*'x'; run svm again", read_error([make_prediction("x")], Path("svm.jsonl"))
    )


def test_a_pair_has_the_comment_and_the_predicted_segments() -> None:
    part = {"content": "words", "L1": "Setup", "L2": "", "emotion": "joy"}
    (pair,) = pair_predictions(GOLD, [make_prediction("c0", part)], TAXONOMY, SOURCE)
    comment = Comment("c0", "Words of c0.", (Segment(("Setup", "Pairing")),))
    assert pair == Pair(comment, (Segment(("Setup", ""), "words", "joy"),), valid=True, raw="raw")


def test_segments_of_another_taxonomy_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        pair_predictions(GOLD, [make_prediction("c0"), make_prediction("c1", {"L1": "Setup"})], TAXONOMY, SOURCE)
    assert re.fullmatch(r"data/predictions/tuned\.jsonl:2: .*'c1'.*`L2`; run infer again", str(caught.value))


def test_invisible_characters_in_predicted_labels_are_ignored() -> None:
    (pair,) = pair_predictions(
        GOLD,
        [make_prediction("c0", {"L1": "Set\u00adup", "L2": "\u00a0Pairing", "emotion": "jo\u200by "})],
        TAXONOMY,
        SOURCE,
    )
    assert pair.predicted == (Segment(("Setup", "Pairing"), None, "joy"),)


def test_a_level_that_is_null_is_missing() -> None:
    with pytest.raises(InputError, match=r"tuned\.jsonl:1: .*'c0'.*`L2`"):
        pair_predictions(GOLD, [make_prediction("c0", {"L1": "Setup", "L2": None})], TAXONOMY, SOURCE)
