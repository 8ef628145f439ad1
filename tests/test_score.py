"""The score of hand-made predictions, figure by figure."""

import sys
from pathlib import Path
from typing import Any

import pytest

from stages.experiment import Score
from stages.records import InputError, read_json, write_json, write_jsonl
from stages.score import align, cut, main, score_model
from stages.taxonomy import Taxonomy

PATHS = [("Setup", "Pairing"), ("Setup", "Manual"), ("Price", "Fair"), ("Price", "Dear")]
TAXONOMY = Taxonomy(("L1", "L2"), dict.fromkeys(PATHS, ""))
PAIRING, MANUAL, FAIR, DEAR = PATHS
SOURCE = Path("data/predictions/tuned.jsonl")
Row = dict[str, Any]


def segments(paths: tuple[tuple[str, ...], ...]) -> list[Row]:
    return [dict(zip(TAXONOMY.levels, path, strict=True)) for path in paths]


def gold(*paths: tuple[str, ...], identity: str = "c") -> Row:
    return {"id": identity, "text": "Words.", "segments": segments(paths)}


def said(*paths: tuple[str, ...], identity: str = "c", valid: bool = True) -> Row:
    return {"id": identity, "raw": "", "valid": valid, "segments": segments(paths)}


def figures(*pairs: tuple[Row, Row], taxonomy: Taxonomy = TAXONOMY) -> Row:
    return score_model([wanted for wanted, _ in pairs], [found for _, found in pairs], taxonomy, Score(200), seed=0)


def test_all_right_is_1_everywhere() -> None:
    assert figures(*[(gold(PAIRING, FAIR), said(FAIR, PAIRING))] * 10) == {
        "comments": 10,
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "f1_low": 1.0,
        "f1_high": 1.0,
        "levels": {"L1": 1.0, "L2": 1.0},
        "invalid_json": 0.0,
        "invented_labels": 0.0,
        "broken_paths": 0.0,
    }


def test_no_answer_at_all_is_0_and_divides_nothing_by_0() -> None:
    found = figures(*[(gold(PAIRING), said(valid=False))] * 4)
    assert [found[key] for key in ("precision", "recall", "f1", "f1_low", "f1_high")] == [0.0] * 5
    assert (found["invalid_json"], found["invented_labels"], found["broken_paths"]) == (1.0, 0.0, 0.0)


def test_whole_paths_and_levels_by_hand() -> None:
    found = figures(
        (gold(PAIRING, FAIR), said(PAIRING)),  # 1 of 1 said, 1 of 2 found, at both levels
        (gold(MANUAL), said(PAIRING, DEAR)),  # 0 of 2 said; at L1 Setup is found
        (gold(DEAR), said(DEAR)),
    )
    # Paths: 2 matched, 4 said, 4 there. L1: 3 matched of 4 and 4.
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["levels"] == {"L1": 0.75, "L2": 0.5}
    assert found["comments"] == 3


def test_f1_falls_with_depth_where_only_the_leaf_is_wrong() -> None:
    taxonomy = Taxonomy(("L1", "L2", "L3"), dict.fromkeys([("a", "b", "c"), ("a", "b", "d"), ("a", "e", "f")], ""))
    wanted: Row = {"id": "c", "text": "x", "segments": [{"L1": "a", "L2": "b", "L3": "c"}]}
    near: Row = {"id": "c", "valid": True, "segments": [{"L1": "a", "L2": "b", "L3": "d"}]}
    far: Row = {"id": "c", "valid": True, "segments": [{"L1": "a", "L2": "e", "L3": "f"}]}
    right: Row = {"id": "c", "valid": True, "segments": wanted["segments"]}
    found = figures((wanted, near), (wanted, far), (wanted, right), (wanted, right), taxonomy=taxonomy)
    assert found["levels"] == {"L1": 1.0, "L2": 0.75, "L3": 0.5}
    assert found["f1"] == found["levels"]["L3"]


def test_a_level_is_matched_with_its_ancestors() -> None:
    # "Other" stands under both; found under the wrong one, it is not found.
    taxonomy = Taxonomy(("L1", "L2"), dict.fromkeys([("Setup", "Other"), ("Price", "Other")], ""))
    found = figures((gold(("Setup", "Other")), said(("Price", "Other"))), taxonomy=taxonomy)
    assert found["levels"] == {"L1": 0.0, "L2": 0.0}


def test_the_f1_stands_within_its_interval() -> None:
    found = figures(*[(gold(PAIRING), said(PAIRING))] * 30, *[(gold(FAIR), said(DEAR))] * 20)
    assert found["f1_low"] < found["f1"] == 0.6 < found["f1_high"]


def test_invented_labels_and_broken_paths_are_counted_apart() -> None:
    found = figures(
        (gold(PAIRING), said(PAIRING, ("Setup", "Fair"))),  # two real labels that do not belong together
        (gold(PAIRING), said(("Setup", "Pairng"), ("Shipping", "Fair"))),  # invented
        (gold(PAIRING), said(("Pairing", "Setup"))),  # real labels at the wrong level are invented there
        (gold(PAIRING), said(valid=False)),
    )
    assert found["invented_labels"] == 0.6  # 3 of 5 labels
    assert found["broken_paths"] == 0.2  # 1 of 5
    assert found["invalid_json"] == 0.25  # 1 of 4 answers


def test_a_level_left_empty_counts_as_invented_and_as_wrong() -> None:
    found = figures((gold(PAIRING), said(("Setup", ""))))
    assert (found["invented_labels"], found["broken_paths"], found["levels"]["L1"], found["f1"]) == (1.0, 0.0, 1.0, 0.0)


def test_paths_are_cut_to_a_depth() -> None:
    assert cut([[PAIRING, FAIR], []], 1) == [[("Setup",), ("Price",)], []]


GOLD = [gold(PAIRING, identity=f"c{number}") for number in range(3)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_predictions_may_answer_the_first_comments_only(count: int) -> None:
    predictions = [said(identity=f"c{number}") for number in range(count)]
    assert align(GOLD, predictions, SOURCE) == GOLD[:count]


@pytest.mark.parametrize(
    ("identities", "wanted"),
    [
        ([], "data/predictions/tuned.jsonl: 0 predictions for 3 comments; run infer again"),
        (["c0", "x1"], "data/predictions/tuned.jsonl:2: id 'x1' where 'c1' belongs; run infer again"),
        (["c1", "c0"], "data/predictions/tuned.jsonl:1: id 'c1' where 'c0' belongs; run infer again"),
        (["c0", "c2"], "data/predictions/tuned.jsonl:2: id 'c2' where 'c1' belongs; run infer again"),
        (["c0", "c1", "c2", "c3"], "data/predictions/tuned.jsonl: 4 predictions for 3 comments; run infer again"),
    ],
)
def test_predictions_of_other_comments_are_refused_in_one_line(identities: list[str], wanted: str) -> None:
    with pytest.raises(InputError) as caught:
        align(GOLD, [said(identity=identity) for identity in identities], SOURCE)
    assert str(caught.value) == wanted


def test_the_stage_writes_the_figures_under_the_name_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["score.py", "tuned"])
    Path("params.yaml").write_text("score: {resamples: 100}\n", encoding="utf-8")
    write_json("data/split/taxonomy.json", TAXONOMY.to_rows())
    write_jsonl("data/split/test.jsonl", GOLD)
    write_jsonl(SOURCE, [said(PAIRING, identity="c0"), said(MANUAL, identity="c1")])
    main()
    voc = read_json("metrics/score/tuned.json")["tuned"]["voc"]
    assert (voc["comments"], voc["f1"], voc["levels"]) == (2, 0.5, {"L1": 1.0, "L2": 0.5})
