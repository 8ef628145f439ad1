"""The score of the article equals the output of the published scorer, and follows its rules."""

import json
from pathlib import Path

import pytest
from sklearn.metrics import precision_recall_fscore_support

from alloy.core.files import read_json, read_jsonl
from alloy.scoring.article_score import compute_article_scores

FIXTURE = Path(__file__).parents[3] / "shared/fixtures/nova_scorer"
ZERO, ONE = ({"precision": value, "recall": value, "f1": value} for value in (0.0, 1.0))


def make_answer(*leaves: str) -> str:
    """Return an answer with segments that differ only in their last label."""
    return json.dumps([{"L1": "Area", "L2": "Topic", "L3": "Aspect", "L4": leaf} for leaf in leaves])


def score_leaf(gold: str, predicted: str) -> dict[str, float]:
    return compute_article_scores([gold], [predicted])["L4"]


def compute_f1(gold: list[str], predicted: list[str]) -> float:
    return score_leaf(make_answer(*gold), make_answer(*predicted))["f1"]


@pytest.fixture(scope="module")
def published_scores():
    if not FIXTURE.is_dir():
        pytest.skip(f"{FIXTURE} is absent: the published scorer's pairs and output")
    pairs, printed = read_jsonl(FIXTURE / "in.jsonl"), read_json(FIXTURE / "expected.json")
    expected = {f"L{row.pop('level')[1:]}": row for row in printed}
    return [pair["gold"] for pair in pairs], [pair["inference"] for pair in pairs], expected


def test_scores_equal_the_published_scorer_exactly(published_scores):
    gold, predicted, expected = published_scores
    assert len(gold) == 120
    assert compute_article_scores(gold, predicted) == expected


def test_scores_are_the_same_with_our_level_names(published_scores):
    gold, predicted, expected = published_scores
    ours = [[text.replace('"E', '"L') for text in texts] for texts in (gold, predicted)]
    assert all('"E1"' not in text for texts in ours for text in texts)
    assert compute_article_scores(*ours) == expected


def test_the_right_answer_scores_1_at_every_level():
    scores = compute_article_scores([make_answer("a", "b")], [make_answer("a", "b")])
    assert scores == {"L1": ONE, "L2": ONE, "L3": ONE, "L4": ONE}


def test_labels_are_compared_by_position():
    assert compute_f1(["a", "b", "c"], ["b", "c", "a"]) == 0.0
    assert compute_f1(["a", "b", "c"], ["a", "c", "b"]) == pytest.approx(1 / 3)


def test_predictions_beyond_the_gold_labels_are_ignored():
    assert compute_f1(["a"], ["a", "x", "y"]) == 1.0


def test_missing_predictions_count_as_empty_labels():
    scores = score_leaf(make_answer("a", "b"), make_answer("a"))
    # a: precision and recall 1. b: never predicted, so 0. Each has half of the gold labels.
    assert scores == {"precision": 0.5, "recall": 0.5, "f1": 0.5}


def test_a_label_counts_once_per_comment():
    assert compute_f1(["a", "a", "b"], ["a", "b"]) == 1.0
    assert compute_f1(["a", "b"], ["a", "a", "a", "b"]) == 1.0


def test_the_first_ten_different_labels_count():
    labels = [f"leaf {number}" for number in range(12)]
    assert compute_f1(labels, labels[:10]) == 1.0
    assert compute_f1(labels, [*labels[:10], "x", "y"]) == 1.0
    assert compute_f1(labels, labels[:9]) == pytest.approx(0.9)
    # Repeated labels are skipped, so the tenth different label counts.
    assert compute_f1(["a", "a", *labels[:9]], ["a", *labels[:9]]) == 1.0
    assert compute_f1(["a", "a", *labels[:9]], ["a", *labels[:8]]) == pytest.approx(0.9)


def test_only_labels_of_the_last_level_are_cut_at_a_colon():
    assert compute_f1(["App: slow"], ["App : fast"]) == 1.0
    colon = [json.dumps([{"L1": f"Area: {end}", "L2": "b"}]) for end in ("x", "y")]
    assert compute_article_scores(colon[:1], colon[1:], ("L1", "L2")) == {"L1": ZERO, "L2": ONE}
    assert compute_article_scores(colon[:1], colon[1:], ("L1",)) == {"L1": ONE}


def test_labels_that_are_equal_before_the_colon_count_once():
    assert compute_f1(["App: slow", "App: dear", "b"], ["App", "b"]) == 1.0


def test_every_level_is_scored_separately():
    answer = json.dumps([{"L1": "Elsewhere", "L2": "Topic", "L3": "Aspect", "L4": "a"}])
    assert compute_article_scores([make_answer("a")], [answer]) == {"L1": ZERO, "L2": ONE, "L3": ONE, "L4": ONE}


def test_precision_and_recall_are_weighted_by_gold():
    # Gold a a a b, predicted a a b a. a: 2 of 3 predicted, 2 of 3 gold; b: 0 of 1. Weights 3/4 and 1/4.
    gold, predicted = [make_answer(label) for label in "aaab"], [make_answer(label) for label in "aaba"]
    half = pytest.approx(0.75 * 2 / 3)
    assert compute_article_scores(gold, predicted)["L4"] == {"precision": half, "recall": half, "f1": half}


def test_scores_equal_weighted_averages_of_scikit_learn():
    gold, predicted = [*"aabbbccz"], [*"abbbbcxa"]
    scores = compute_article_scores(
        [make_answer(label) for label in gold], [make_answer(label) for label in predicted]
    )["L4"]
    expected = precision_recall_fscore_support(gold, predicted, average="weighted", zero_division=0)[:3]
    assert tuple(scores.values()) == expected


@pytest.mark.parametrize("predicted", ["Sure! Here it is:\n{}\nDone.", "```json\n{}\n```", "{}"])
def test_json_is_read_from_the_first_bracket_to_the_last(predicted):
    assert score_leaf(make_answer("a"), predicted.replace("{}", make_answer("a"))) == ONE


@pytest.mark.parametrize(
    "predicted",
    [
        make_answer("a", "b")[:-1],  # cut off
        make_answer("a", "b")[:-2],
        make_answer("a", "b") + " and so on]",
        'L4: "L4": "a", then "L4":"b"',
        '{"L4": "a"} {"L4": "b"}',
        '["L4", {"L4": "a"}, {"L4": "b"}]',  # not all are objects
    ],
)
def test_without_json_labels_are_found_after_their_keys(predicted):
    assert score_leaf(make_answer("a", "b"), predicted) == ONE


def test_a_label_that_is_cut_off_is_lost():
    text = '[{"L4": "a"}, {"L4": "b'
    assert score_leaf(make_answer("a", "b"), text) == {"precision": 0.5, "recall": 0.5, "f1": 0.5}


@pytest.mark.parametrize(
    "predicted", ["", "I cannot tell.", "[]", '[{"L1": "Area"}]', '[{"L4": null}, {"L4": ""}]', "[" * 9999]
)
def test_an_answer_without_labels_scores_0(predicted):
    assert score_leaf(make_answer("a"), predicted) == ZERO


def test_without_gold_labels_nothing_is_compared():
    assert compute_article_scores(["[]"], [make_answer("a")])["L4"] == ZERO
    assert compute_article_scores(["[]", make_answer("a")], [make_answer("x"), make_answer("a")])["L4"] == ONE


def test_a_taxonomy_may_have_other_depths():
    gold, predicted = ['[{"L1": "a", "L2": "b: c"}]'], ['[{"E1": "a", "E2": "b"}]']
    assert compute_article_scores(gold, predicted, ("L1", "L2")) == {"L1": ONE, "L2": ONE}


def test_a_missing_answer_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        compute_article_scores([make_answer("a")] * 2, [make_answer("a")])
