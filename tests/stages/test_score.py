"""Scores of predictions made by hand, metric by metric."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError, read_json, read_jsonl, write_json, write_jsonl
from alloy.core.text import hash_text
from alloy.formats.comments import Comment, Segment, make_segment_row
from alloy.formats.taxonomy import LabelPath, Taxonomy
from alloy.labeling.answer import assign_codes, render_answer
from alloy.scoring.pairing import Pair
from alloy.scoring.settings import Score
from stages.score import main, make_comment_rows, round_values, score_model

PATHS = [("Setup", "Pairing"), ("Setup", "Manual"), ("Price", "Fair"), ("Price", "Dear")]
TAXONOMY = Taxonomy(("L1", "L2"), dict.fromkeys(PATHS, ""))
PAIRING, MANUAL, FAIR, DEAR = PATHS
SEEN = Counter({PAIRING: 9, MANUAL: 5, FAIR: 1})
Row = dict[str, Any]
ONE = {"precision": 1.0, "recall": 1.0, "f1": 1.0}
NONE = {"precision": None, "recall": None, "f1": None}
ZERO = {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def make_segments(*labels: LabelPath | Segment) -> tuple[Segment, ...]:
    return tuple(label if isinstance(label, Segment) else Segment(label) for label in labels)


def make_pair(
    gold: list[Any],
    predicted: list[Any],
    text: str = "Words.",
    valid: bool = True,
    levels: tuple[str, ...] = ("L1", "L2"),
) -> Pair:
    raw = render_answer(make_segments(*predicted), levels) if valid else "no JSON"
    return Pair(Comment("c", text, make_segments(*gold)), make_segments(*predicted), valid, raw)


def score_pairs(*pairs: Pair, taxonomy: Taxonomy = TAXONOMY) -> Row:
    return score_model(list(pairs), taxonomy, SEEN, Score(resamples=200, head=7, tail=3), seed=0)[0]


def test_right_predictions_score_1_in_all_metrics() -> None:
    pairing, fair = Segment(PAIRING, "pairs well", "joy"), Segment(FAIR, "a fair price", "joy")
    found = score_pairs(*[make_pair([pairing, fair], [fair, pairing], "It pairs well. A fair price.")] * 40)
    group = {"leaves": 1, "gold": 40, **ONE}
    lowest = 0.025 ** (1 / 40)  # of a share that all of forty have
    assert found == {
        "comments": 40,
        **ONE,
        "f1_low": lowest,
        "f1_high": 1.0,
        **{f"{name}_full": 1.0 for name in ONE},
        "f1_full_low": lowest,
        "f1_full_high": 1.0,
        **{f"{average}_{name}": 1.0 for average in ("macro", "weighted") for name in ONE},
        "levels": {"L1": ONE, "L2": ONE},
        "hierarchical": ONE,
        "mean_depth": 2.0,
        "emotion_accuracy": 1.0,
        "boundaries": ONE,
        "coverage": 5 / 6,
        "gold_coverage": 5 / 6,
        "overlap": 0.0,
        "unquoted": 0.0,
        "groups": {
            "head": group,
            "middle": {"leaves": 1, "gold": 0, **NONE},
            "tail": group,
            "unseen": {"leaves": 1, "gold": 0, **NONE},
        },
        "invalid_json": 0.0,
        "invented_labels": 0.0,
        "broken_paths": 0.0,
        "ended_by_length": 0.0,
        "unanswered": 0.0,
        "repeated_segments": 0.0,
        "empty_answers": 0.0,
        "nova_precision": 0.0,  # its labels are in another order
        "nova_recall": 0.0,
        "nova_f1": 0.0,
        "nova_levels": {"L1": ZERO, "L2": ZERO},
    }


def test_without_answers_all_scores_are_0() -> None:
    found = score_pairs(*[make_pair([PAIRING], [], valid=False)] * 4)
    assert [found[key] for key in ("precision", "recall", "f1", "macro_f1", "nova_f1")] == [0.0] * 5
    assert (found["f1_low"], found["f1_high"]) == (None, None)  # four comments are too few
    assert (found["hierarchical"], found["mean_depth"], found["levels"]["L1"]) == (ZERO, 0.0, ZERO)
    assert (found["invalid_json"], found["invented_labels"], found["broken_paths"]) == (1.0, 0.0, 0.0)
    assert found["empty_answers"] == 0.0


def test_whole_paths_and_levels_by_hand() -> None:
    found = score_pairs(
        make_pair([PAIRING, FAIR], [PAIRING]),  # 1 of 1 predicted is right, 1 of 2 gold is found, at both levels
        make_pair([MANUAL], [PAIRING, DEAR]),  # 0 of 2 predicted are right; at L1 Setup is found
        make_pair([DEAR], [DEAR]),
    )
    # Paths: 2 matched, 4 predicted, 4 gold. L1: 3 matched of 4 and 4. Nodes: 5 matched, 8 predicted, 8 gold.
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert {level: scores["f1"] for level, scores in found["levels"].items()} == {"L1": 0.75, "L2": 0.5}
    assert found["hierarchical"]["f1"] == 5 / 8
    assert found["mean_depth"] == 5 / 4
    assert found["comments"] == 3


def test_leaves_by_hand() -> None:
    found = score_pairs(make_pair([PAIRING, PAIRING, MANUAL], [PAIRING, DEAR]), make_pair([FAIR], [PAIRING]))
    # (matched, predicted, gold): Pairing 1, 2, 2; Manual 0, 0, 1; Fair 0, 0, 1; Dear 0, 1, 0.
    assert (found["macro_precision"], found["macro_recall"], found["macro_f1"]) == (0.125, 0.125, 0.125)
    assert (found["weighted_precision"], found["weighted_recall"], found["weighted_f1"]) == (0.25, 0.25, 0.25)
    half = {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert found["groups"] == {
        "head": {"leaves": 1, "gold": 2, **half},
        "middle": {"leaves": 1, "gold": 1, **ZERO},
        "tail": {"leaves": 1, "gold": 1, **ZERO},
        "unseen": {"leaves": 1, "gold": 0, **ZERO},
    }


def test_f1_falls_with_depth_if_only_the_leaf_is_wrong() -> None:
    taxonomy = Taxonomy(("L1", "L2", "L3"), dict.fromkeys([("a", "b", "c"), ("a", "b", "d"), ("a", "e", "f")], ""))
    right, near, far = taxonomy.leaves
    pairs = [make_pair([right], [predicted], levels=taxonomy.levels) for predicted in (near, far, right, right)]
    found = score_pairs(*pairs, taxonomy=taxonomy)
    assert {level: scores["f1"] for level, scores in found["levels"].items()} == {"L1": 1.0, "L2": 0.75, "L3": 0.5}
    assert found["f1"] == 0.5
    assert found["nova_f1"] == pytest.approx(2 / 3)  # of the one gold label: precision 1, recall 1/2
    assert list(found["nova_levels"]) == ["L1", "L2", "L3"]


def test_a_level_is_matched_with_its_ancestors_but_not_by_the_article() -> None:
    # Both labels at level 1 have a child "Other". A predicted "Other" with the wrong parent is not a match.
    taxonomy = Taxonomy(("L1", "L2"), dict.fromkeys([("Setup", "Other"), ("Price", "Other")], ""))
    found = score_pairs(make_pair([("Setup", "Other")], [("Price", "Other")]), taxonomy=taxonomy)
    assert found["levels"] == {"L1": ZERO, "L2": ZERO}
    assert found["nova_levels"] == {"L1": ZERO, "L2": ONE}


def test_the_f1_is_within_its_interval() -> None:
    found = score_pairs(*[make_pair([PAIRING], [PAIRING])] * 30, *[make_pair([FAIR], [DEAR])] * 20)
    assert found["f1_low"] < found["f1"] == 0.6 < found["f1_high"]


def test_invented_labels_and_broken_paths_are_counted_separately() -> None:
    found = score_pairs(
        make_pair([PAIRING], [PAIRING, ("Setup", "Fair")]),  # two real labels that do not belong together
        make_pair([PAIRING], [("Setup", "Pairng"), ("Shipping", "Fair")]),  # invented
        make_pair([PAIRING], [("Pairing", "Setup")]),  # real labels at the wrong level are invented there
        make_pair([PAIRING], [], valid=False),
    )
    assert found["invented_labels"] == 0.6  # 3 of 5 labels
    assert found["broken_paths"] == 0.2  # 1 of 5
    assert found["invalid_json"] == 0.25  # 1 of 4 answers


def test_a_level_left_empty_counts_as_invented_and_as_wrong() -> None:
    found = score_pairs(make_pair([PAIRING], [("Setup", "")]))
    assert (found["invented_labels"], found["broken_paths"], found["levels"]["L1"], found["f1"]) == (1.0, 0.0, ONE, 0.0)


def test_an_empty_list_is_an_empty_answer_and_not_invalid() -> None:
    found = score_pairs(
        make_pair([PAIRING], []),
        make_pair([PAIRING], [], valid=False),
        make_pair([FAIR], [FAIR]),
        make_pair([FAIR], [FAIR]),
    )
    assert (found["empty_answers"], found["invalid_json"]) == (0.25, 0.25)


def test_emotions_count_on_matched_segments_only() -> None:
    gold = [Segment(PAIRING, None, "joy"), Segment(FAIR, None, "anger"), Segment(DEAR, None, "joy")]
    predicted = [Segment(PAIRING, None, "joy"), Segment(FAIR, None, "joy"), Segment(MANUAL, None, "joy")]
    assert score_pairs(make_pair(gold, predicted))["emotion_accuracy"] == 0.5


def test_path_and_emotion_by_hand() -> None:
    joy, anger, fair = Segment(PAIRING, None, "joy"), Segment(PAIRING, None, "anger"), Segment(FAIR, None, "joy")
    pairs = [
        make_pair([joy, anger], [anger, joy]),  # one path twice, in another order: 2 of 2
        make_pair([joy, fair], [anger]),  # only the path is right: 0 of 1 predicted, 0 of 2 gold
        make_pair([Segment(DEAR)], [DEAR]),  # neither has an emotion: 1 of 1
    ]
    found = score_pairs(*pairs * 10)
    # Paths: 4 matched, 4 predicted, 5 gold. With emotions 3 are matched.
    assert (found["precision"], found["recall"], found["f1"]) == (1.0, 4 / 5, 8 / 9)
    assert (found["precision_full"], found["recall_full"], found["f1_full"]) == (3 / 4, 3 / 5, 6 / 9)
    assert found["f1_full_low"] < found["f1_full"] < found["f1_full_high"]


def test_cut_or_refused_answers_do_not_count_as_invalid_json() -> None:
    good = make_pair([PAIRING], [PAIRING])
    broken = make_pair([PAIRING], [], valid=False)
    others = [replace(broken, finish=finish) for finish in ("length", "length", "refused")]
    found = score_pairs(good, broken, *others)
    shares = ("invalid_json", "ended_by_length", "unanswered")
    assert {key: found[key] for key in shares} == {"invalid_json": 0.2, "ended_by_length": 0.4, "unanswered": 0.2}


def test_repeated_segments_are_counted_and_cost_precision() -> None:
    joy = Segment(PAIRING, "It", "joy")
    found = score_pairs(
        make_pair([joy], [joy, joy, Segment(PAIRING, "It", "anger"), Segment(PAIRING, "Not it", "joy")])
    )
    assert (found["repeated_segments"], found["precision"]) == (1 / 4, 1 / 4)


def test_without_gold_emotions_there_are_no_metrics_of_path_and_emotion() -> None:
    pairs = [make_pair([PAIRING], [Segment(PAIRING, None, "joy")])]
    found, counts = score_model(pairs, TAXONOMY, SEEN, Score(), 0)
    assert not [key for key in found if "full" in key]
    assert list(make_comment_rows(pairs, counts)[0]) == ["id", "matched", "predicted", "gold"]


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        ([PAIRING], [PAIRING]),
        ([Segment(PAIRING, None, "joy")], [PAIRING]),  # the SVM names none
        ([PAIRING], [Segment(PAIRING, None, "joy")]),
        ([Segment(PAIRING, None, "joy")], [Segment(FAIR, None, "joy")]),  # nothing is matched
    ],
)
def test_without_emotions_their_accuracy_is_null(gold: list[Any], predicted: list[Any]) -> None:
    assert score_pairs(make_pair(gold, predicted))["emotion_accuracy"] is None


def test_without_contents_their_metrics_are_null() -> None:
    found = score_pairs(make_pair([Segment(PAIRING, "Words")], [PAIRING]))
    assert [found[key] for key in ("boundaries", "coverage", "overlap", "unquoted")] == [None] * 4
    assert found["gold_coverage"] == 1.0


def test_the_article_reads_the_raw_text() -> None:
    right = make_pair([PAIRING, FAIR], [PAIRING, FAIR])
    cut_off = Pair(right.gold, (), valid=False, raw=right.raw[:-1])
    assert score_pairs(cut_off)["nova_f1"] == 1.0
    assert score_pairs(cut_off)["f1"] == 0.0


def test_codes_are_expanded_for_the_article() -> None:
    right = make_pair([PAIRING, FAIR], [PAIRING, FAIR])
    coded = Pair(
        right.gold, right.predicted, True, render_answer(right.predicted, ("L1", "L2"), assign_codes(TAXONOMY))
    )
    assert '"L1"' not in coded.raw
    assert score_model([coded], TAXONOMY, SEEN, Score(), 0, coded=True)[0]["nova_f1"] == 1.0
    assert score_model([coded], TAXONOMY, SEEN, Score(), 0, coded=False)[0]["nova_f1"] == 0.0


def test_each_comment_has_its_counts() -> None:
    pairs = [make_pair([PAIRING, FAIR], [FAIR]), make_pair([DEAR], [DEAR, DEAR])]
    counts = score_model(pairs, TAXONOMY, SEEN, Score(), 0)[1]
    assert make_comment_rows(pairs, counts) == [
        {"id": "c", "matched": 1, "predicted": 1, "gold": 2},
        {"id": "c", "matched": 1, "predicted": 2, "gold": 1},
    ]


def test_each_comment_has_its_count_of_paths_with_emotions() -> None:
    joy, anger = Segment(PAIRING, None, "joy"), Segment(PAIRING, None, "anger")
    pairs = [make_pair([joy, FAIR], [anger, FAIR]), make_pair([joy], [joy])]
    counts = score_model(pairs, TAXONOMY, SEEN, Score(), 0)[1]
    assert [(row["matched"], row["matched_full"]) for row in make_comment_rows(pairs, counts)] == [(2, 1), (1, 1)]


def test_metrics_are_rounded_at_any_depth() -> None:
    metrics = {"a": 1 / 3, "b": {"c": 2 / 3, "d": 7, "e": None}, "f": 2.0}
    assert round_values(metrics) == {"a": 0.3333, "b": {"c": 0.6667, "d": 7, "e": None}, "f": 2.0}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the inputs of the stage: three comments, of which the first two were labeled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["score.py", "tuned"])
    Path("params.yaml").write_text("score: {resamples: 100}\n", encoding="utf-8")
    write_json("data/split/taxonomy.json", TAXONOMY.to_rows())
    labels = [PAIRING, PAIRING, FAIR]
    rows = [
        {"id": f"c{number}", "text": f"Words {number}.", "segments": [make_segment_row(Segment(path), TAXONOMY.levels)]}
        for number, path in enumerate(labels)
    ]
    write_jsonl("data/split/test.jsonl", rows)
    write_jsonl("data/split/train.jsonl", rows[2:])
    predicted = [
        {
            "id": row["id"],
            "hash": hash_text(row["text"]),
            "raw": render_answer(make_segments(path), TAXONOMY.levels),
            "valid": True,
            "finish": "stop",
            "segments": [make_segment_row(Segment(path), TAXONOMY.levels)],
        }
        for row, path in zip(rows, [PAIRING, MANUAL], strict=False)
    ]
    write_jsonl("data/predictions/tuned.jsonl", predicted)
    return tmp_path


def test_the_stage_writes_metrics_under_the_name_of_the_model(project: Path) -> None:
    main()
    voc = read_json("metrics/score/tuned.json")["tuned"]["voc"]
    # The article's: of two gold `Pairing` one is found, F1 = 2 * 1 / (1 + 2).
    assert (voc["comments"], voc["f1"], voc["nova_f1"]) == (2, 0.5, 0.6667)
    assert {level: scores["f1"] for level, scores in voc["levels"].items()} == {"L1": 1.0, "L2": 0.5}
    assert (voc["groups"]["tail"]["leaves"], voc["groups"]["unseen"]["gold"]) == (1, 2)
    assert read_jsonl("metrics/score/tuned.jsonl") == [
        {"id": "c0", "matched": 1, "predicted": 1, "gold": 1},
        {"id": "c1", "matched": 0, "predicted": 1, "gold": 1},
    ]


def test_predictions_of_a_text_that_has_changed_since_are_refused(project: Path) -> None:
    test = Path("data/split/test.jsonl")
    test.write_text(test.read_text().replace("Words 1", "Other words"))
    with pytest.raises(InputError, match=r"tuned\.jsonl:2: .*'c1' .*; run infer again"):
        main()
    assert not Path("metrics/score/tuned.json").exists()


def test_params_say_whether_labels_are_codes(project: Path) -> None:
    Path("params.yaml").write_text("prompt: {labels: code}\nscore: {resamples: 100}\n", encoding="utf-8")
    predictions = Path("data/predictions/tuned.jsonl")
    raw = json.dumps([{"label": assign_codes(TAXONOMY)[PAIRING]}])
    predicted = [make_segment_row(Segment(PAIRING), TAXONOMY.levels)]
    right = [{**row, "raw": raw, "segments": predicted} for row in read_jsonl(predictions)]
    write_jsonl(predictions, right)
    main()
    assert read_json("metrics/score/tuned.json")["tuned"]["voc"]["nova_f1"] == 1.0


def test_a_model_without_predictions_has_no_metrics(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/predictions/tuned.jsonl").write_text("")
    main()
    assert read_json("metrics/score/tuned.json") == {"tuned": {}}
    assert Path("metrics/score/tuned.jsonl").read_bytes() == b""
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("score tuned: skipped, ")
