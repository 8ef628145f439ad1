"""Predictions are paired with their comments, or refused in one line where they do not belong to them."""

from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError
from alloy.core.text import text_hash
from alloy.formats.comments import Comment, Segment
from alloy.formats.taxonomy import Taxonomy
from alloy.scoring.pairing import Pair, align_predictions, pair_up

TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): ""})
SOURCE = Path("data/predictions/tuned.jsonl")
Row = dict[str, Any]


def words(identity: str) -> str:
    return f"Words of {identity}."


def gold(identity: str) -> Row:
    return {"id": identity, "text": words(identity), "segments": [{"L1": "Setup", "L2": "Pairing"}]}


def said(identity: str, *segments: Row) -> Row:
    row = {"id": identity, "hash": text_hash(words(identity)), "raw": "raw", "valid": True, "finish": "stop"}
    return {**row, "segments": list(segments)}


GOLD = [gold(f"c{number}") for number in range(3)]


def fault(predictions: list[Row], source: Path = SOURCE) -> str:
    with pytest.raises(InputError) as caught:
        align_predictions(GOLD, predictions, source)
    return str(caught.value)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_predictions_may_answer_the_first_comments_only(count: int) -> None:
    assert align_predictions(GOLD, [said(f"c{number}") for number in range(count)], SOURCE) == GOLD[:count]


@pytest.mark.parametrize(
    ("identities", "wanted"),
    [
        ([], "data/predictions/tuned.jsonl: 0 predictions for 3 comments; run infer again"),
        (["c0", "x1"], "data/predictions/tuned.jsonl:2: id 'x1' where 'c1' belongs; run infer again"),
        (["c0", "c2"], "data/predictions/tuned.jsonl:2: id 'c2' where 'c1' belongs; run infer again"),
        (["c0", "c1", "c2", "c3"], "data/predictions/tuned.jsonl: 4 predictions for 3 comments; run infer again"),
    ],
)
def test_predictions_of_other_comments_are_refused_in_one_line(identities: list[str], wanted: str) -> None:
    assert fault([said(identity) for identity in identities]) == wanted


def test_a_prediction_of_another_text_under_the_same_id_is_refused() -> None:
    other = {**said("c1"), "hash": text_hash("Other words.")}
    assert fault([said("c0"), other]) == (
        "data/predictions/tuned.jsonl:2: the text of comment 'c1' is not the one that was labelled; run infer again"
    )


WANTED = {"id": "a string", "hash": "a string", "raw": "a string", "valid": "true or false"}
WANTED["segments"] = "a list of objects"


@pytest.mark.parametrize("value", [None, 3, {"x": 1}])
@pytest.mark.parametrize("field", WANTED)
def test_a_field_of_another_type_is_named(field: str, value: object) -> None:
    assert f"`{field}` is " in fault([{**said("c0"), field: value}])


@pytest.mark.parametrize("segment", [None, "x", {"L1": 3, "L2": "x"}, {"L1": "x", "L2": "x", "emotion": []}])
def test_a_segment_of_another_type_is_named(segment: object) -> None:
    assert fault([{**said("c0"), "segments": [segment]}]).startswith(f"{SOURCE}:1: ")


def test_all_bad_predictions_are_named() -> None:
    assert [line.partition(": ")[0] for line in fault([said("c1"), said("c0")]).splitlines()] == [
        f"{SOURCE}:1",
        f"{SOURCE}:2",
    ]


@pytest.mark.parametrize("field", WANTED)
def test_a_prediction_without_a_field_is_refused(field: str) -> None:
    row = {key: value for key, value in said("c0").items() if key != field}
    assert (
        fault([row])
        == f"data/predictions/tuned.jsonl:1: `{field}` is missing, expected {WANTED[field]}; run infer again"
    )


def test_the_rival_is_not_told_to_infer() -> None:
    assert fault([said("x")], Path("svm.jsonl")) == "svm.jsonl:1: id 'x' where 'c0' belongs; run svm again"


def test_a_pair_has_the_comment_and_what_was_said_of_it() -> None:
    part = {"content": "words", "L1": "Setup", "L2": "", "emotion": "joy"}
    (pair,) = pair_up(GOLD, [said("c0", part)], TAXONOMY, SOURCE)
    comment = Comment("c0", "Words of c0.", (Segment(("Setup", "Pairing")),))
    assert pair == Pair(comment, (Segment(("Setup", ""), "words", "joy"),), valid=True, raw="raw")


def test_segments_of_another_taxonomy_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        pair_up(GOLD, [said("c0"), said("c1", {"L1": "Setup"})], TAXONOMY, SOURCE)
    assert str(caught.value) == (
        "data/predictions/tuned.jsonl:2: a segment of comment 'c1' has no `L2`; run infer again"
    )


def test_labels_of_a_prediction_may_be_spelled_in_any_way_that_looks_the_same() -> None:
    (pair,) = pair_up(
        GOLD, [said("c0", {"L1": "Set\u00adup", "L2": "\u00a0Pairing", "emotion": "jo\u200by "})], TAXONOMY, SOURCE
    )
    assert pair.predicted == (Segment(("Setup", "Pairing"), None, "joy"),)


def test_a_level_that_is_null_is_absent() -> None:
    with pytest.raises(InputError, match=r"tuned\.jsonl:1: a segment of comment 'c0' has no `L2`"):
        pair_up(GOLD, [said("c0", {"L1": "Setup", "L2": None})], TAXONOMY, SOURCE)
