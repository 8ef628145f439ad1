"""Order-free matching equals hand-computed results, a simple count, and scikit-learn."""

import random

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import f1_score

from alloy.formats.comments import Segment
from alloy.formats.taxonomy import LabelPath
from alloy.scoring.matching import (
    Scores,
    as_multiset,
    compute_mean_depth,
    compute_scores,
    compute_scores_with_interval,
    count_emotions,
    count_full,
    count_levels,
    count_matches,
    count_nodes,
)

MATCHES = {
    "all labels": (["a", "b"], ["a", "b"], (2, 2, 2)),
    "all labels in another order": (["a", "b", "c"], ["c", "a", "b"], (3, 3, 3)),
    "one of two labels": (["a", "b"], ["a"], (1, 1, 2)),
    "an extra label": (["a"], ["a", "b"], (1, 2, 1)),
    "predicted twice, gold once": (["a"], ["a", "a"], (1, 2, 1)),
    "predicted once, gold twice": (["a", "a"], ["a"], (1, 1, 2)),
    "predicted twice, gold twice": (["a", "a", "b"], ["a", "b", "a"], (3, 3, 3)),
    "another label": (["a"], ["b"], (0, 1, 1)),
    "no predictions": (["a", "b"], [], (0, 0, 2)),
    "no gold labels": ([], ["a"], (0, 1, 0)),
    "no labels": ([], [], (0, 0, 0)),
}
Labels = list[list[str]]


@pytest.mark.parametrize(("gold", "predicted", "expected"), MATCHES.values(), ids=MATCHES)
def test_labels_are_matched_as_multisets(gold: list[str], predicted: list[str], expected: tuple[int, int, int]) -> None:
    assert count_matches([gold], [predicted]).tolist() == [list(expected)]


def test_only_whole_paths_match() -> None:
    gold, predicted = [[("Setup", "Pairing")]], [[("Setup", "Manual"), ("Pairing", "Setup")]]
    assert count_matches(gold, predicted).tolist() == [[0, 2, 1]]


def test_a_label_is_not_found_in_another_comment() -> None:
    assert count_matches([["a"], ["b"]], [["b"], ["a"]]).tolist() == [[0, 1, 1], [0, 1, 1]]


def test_no_comments_give_no_counts() -> None:
    assert count_matches([], []).shape == (0, 3)


def test_a_missing_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        count_matches([["a"], ["b"]], [["a"]])


def test_scores_match_a_hand_computed_example() -> None:
    # 3 of 4 predicted are right, 3 of 6 are found: F1 = 2 * 3 / (4 + 6).
    assert compute_scores(np.array([[1, 2, 4], [2, 2, 2]])) == Scores(precision=0.75, recall=0.5, f1=0.6)


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    scores = compute_scores(np.array([[3, 5, 4], [0, 2, 3]]))
    assert scores.f1 == pytest.approx(2 * scores.precision * scores.recall / (scores.precision + scores.recall))


@pytest.mark.parametrize("counts", [[[0, 0, 3]], [[0, 3, 0]], [[0, 0, 0]], [[0, 2, 2]]])
def test_scores_are_0_if_nothing_matches(counts: list[list[int]]) -> None:
    assert compute_scores(np.array(counts)) == Scores(0.0, 0.0, 0.0)


def make_labels(seed: int, comments: int = 40, kinds: str = "abcde") -> tuple[Labels, Labels]:
    rng = random.Random(seed)
    sides = [[rng.choices(kinds, k=rng.randrange(5)) for _ in range(comments)] for _ in range(2)]
    return sides[0], sides[1]


def cross_off(gold: Labels, predicted: Labels) -> int:
    """Count matches as a person would: cross each predicted label off the list."""
    matched = 0
    for expected, prediction in zip(gold, predicted, strict=True):
        left = list(expected)
        for label in prediction:
            if label in left:
                left.remove(label)
                matched += 1
    return matched


@pytest.mark.parametrize("seed", range(20))
def test_counts_equal_a_simple_count(seed: int) -> None:
    gold, predicted = make_labels(seed)
    expected = [cross_off(gold, predicted), sum(map(len, predicted)), sum(map(len, gold))]
    assert count_matches(gold, predicted).sum(axis=0).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_labels_and_comments_does_not_matter(seed: int) -> None:
    gold, predicted = make_labels(seed)
    expected = compute_scores(count_matches(gold, predicted))
    rng = random.Random(seed)
    shuffled = [rng.sample(labels, len(labels)) for labels in predicted]
    assert compute_scores(count_matches(gold, shuffled)) == expected
    assert compute_scores(count_matches(gold[::-1], predicted[::-1])) == expected


@pytest.mark.parametrize("seed", range(5))
def test_swapping_gold_and_predicted_swaps_precision_and_recall(seed: int) -> None:
    gold, predicted = make_labels(seed)
    scores, swapped = compute_scores(count_matches(gold, predicted)), compute_scores(count_matches(predicted, gold))
    assert (scores.precision, scores.recall, scores.f1) == (swapped.recall, swapped.precision, swapped.f1)


@pytest.mark.parametrize("seed", range(5))
def test_with_one_label_per_comment_f1_equals_micro_f1_of_scikit_learn(seed: int) -> None:
    rng = random.Random(seed)
    gold = rng.choices("abcdefgh", [8, 4, 2, 1, 1, 1, 1, 1], k=300)
    predicted = [label if rng.random() < 0.6 else rng.choice("abcdefgh") for label in gold]
    scores = compute_scores(count_matches([[label] for label in gold], [[label] for label in predicted]))
    assert scores.f1 == pytest.approx(f1_score(gold, predicted, average="micro"))
    assert 0.5 < scores.f1 < 0.8


def test_with_different_labels_f1_equals_micro_f1_of_scikit_learn() -> None:
    gold, predicted = ([sorted(set(labels)) for labels in side] for side in make_labels(7))
    table = [[[kind in labels for kind in "abcde"] for labels in side] for side in (gold, predicted)]
    expected = f1_score(np.array(table[0]), np.array(table[1]), average="micro")
    assert compute_scores(count_matches(gold, predicted)).f1 == pytest.approx(expected)


def test_a_multiset_as_a_set_has_an_element_for_each_occurrence() -> None:
    assert as_multiset(["a", "b", "a", "a"]) == {"a", "b", ("a", 1), ("a", 2)}
    assert as_multiset([]) == set()


def test_scores_with_an_interval_are_named_with_a_suffix() -> None:
    counts = np.array([[1, 1, 1], [0, 1, 1]] * 20)
    scores = compute_scores_with_interval(counts, 200, 0, "_full")
    assert list(scores) == ["precision_full", "recall_full", "f1_full", "f1_full_low", "f1_full_high"]
    assert scores["f1_full_low"] < scores["f1_full"] == 0.5 < scores["f1_full_high"]
    assert list(compute_scores_with_interval(counts, 200, 0)) == ["precision", "recall", "f1", "f1_low", "f1_high"]


def make_paths(*texts: str) -> list[LabelPath]:
    """Return paths with a letter for each label; a dash is an empty label."""
    return [tuple(label.replace("-", "") for label in text) for text in texts]


def test_a_level_is_right_if_all_labels_down_to_it_are() -> None:
    gold, predicted = [make_paths("abc", "xyz")], [make_paths("abd", "wyz", "a--")]
    assert [level.tolist() for level in count_levels(gold, predicted, 3)] == [[[1, 3, 2]], [[1, 3, 2]], [[0, 3, 2]]]


def test_a_prefix_counts_once_per_segment() -> None:
    gold, predicted = [make_paths("ab", "ac"), make_paths("ab")], [make_paths("ad", "ae", "af"), make_paths("ab", "ab")]
    assert [level.tolist() for level in count_levels(gold, predicted, 2)] == [
        [[2, 3, 2], [1, 2, 1]],
        [[0, 3, 2], [1, 2, 1]],
    ]


def test_the_nodes_of_a_comment_are_its_labels_and_their_ancestors() -> None:
    # Gold: a, ab, abc. Predicted: a, ab, abd, and a again.
    gold, predicted = [make_paths("abc")], [make_paths("abd", "a--")]
    assert count_nodes(count_levels(gold, predicted, 3), predicted).tolist() == [[2, 4, 3]]


def test_an_empty_label_is_not_a_node_but_labels_below_it_are() -> None:
    gold, predicted = [make_paths("abc")], [make_paths("a-c")]
    assert count_nodes(count_levels(gold, predicted, 3), predicted).tolist() == [[1, 2, 3]]


def draw_paths(seed: int, comments: int, max_segments: int) -> list[list[LabelPath]]:
    rng = random.Random(seed)
    # Each label includes its ancestors, so all nodes of the taxonomy have different names.
    letters = [[rng.choices("ab", k=3) for _ in range(rng.randint(1, max_segments))] for _ in range(comments)]
    return [[("".join(path[:1]), "".join(path[:2]), "".join(path)) for path in rows] for rows in letters]


@pytest.mark.parametrize("seed", range(5))
def test_with_one_label_per_comment_hierarchical_scores_equal_hiclass(seed: int) -> None:
    from hiclass import metrics

    gold, predicted = draw_paths(seed, 80, 1), draw_paths(seed + 100, 80, 1)
    # Two predictions that end above a leaf.
    predicted[0] = [(predicted[0][0][0], "", "")]
    predicted[1] = [(*predicted[1][0][:2], "")]
    scores = compute_scores(count_nodes(count_levels(gold, predicted, 3), predicted))
    sides = [np.array([paths[0] for paths in side]) for side in (gold, predicted)]
    expected = [getattr(metrics, name)(*sides) for name in ("precision", "recall", "f1")]
    assert [scores.precision, scores.recall, scores.f1] == pytest.approx(expected)
    assert scores.precision != scores.recall


def test_with_two_labels_without_a_shared_ancestor_hierarchical_scores_equal_hiclass() -> None:
    from hiclass import metrics

    gold = [[("a", "ab"), ("c", "cd")], [("a", "ae"), ("c", "cd")]]
    predicted = [[("c", "cf"), ("a", "ab")], [("g", "gh"), ("a", "ab")]]
    scores = compute_scores(count_nodes(count_levels(gold, predicted, 2), predicted))
    expected = [getattr(metrics, name)(np.array(gold), np.array(predicted)) for name in ("precision", "recall", "f1")]
    assert [scores.precision, scores.recall, scores.f1] == pytest.approx(expected)


def test_mean_depth_matches_a_hand_computed_example() -> None:
    # The first path is right down to c, the second only in x, the third in no label.
    gold, predicted = [make_paths("abc", "xyz"), make_paths("qrs")], [make_paths("xab", "abc"), []]
    assert compute_mean_depth(count_levels(gold, predicted, 3)) == pytest.approx((3 + 1 + 0) / 3)


def test_a_predicted_segment_counts_for_only_one_gold_segment() -> None:
    assert compute_mean_depth(count_levels([make_paths("abc", "abd")], [make_paths("abc")], 3)) == 1.5


@pytest.mark.parametrize("seed", range(30))
def test_mean_depth_uses_the_best_assignment(seed: int) -> None:
    gold, predicted = draw_paths(seed, 10, 5), draw_paths(seed + 100, 10, 5)
    total = 0
    for gold_paths, paths in zip(gold, predicted, strict=True):
        depths = np.array([[sum(a == b for a, b in zip(first, second)) for second in paths] for first in gold_paths])  # noqa: B905
        total += depths[linear_sum_assignment(depths, maximize=True)].sum()
    assert compute_mean_depth(count_levels(gold, predicted, 3)) == pytest.approx(total / sum(map(len, gold)))


def make_segments(*labels: tuple[str, str | None]) -> list[Segment]:
    return [Segment((path,), None, emotion) for path, emotion in labels]


EMOTIONS = {
    "the right emotion": (make_segments(("a", "joy")), make_segments(("a", "joy")), (1, 1)),
    "another emotion": (make_segments(("a", "joy")), make_segments(("a", "anger")), (0, 1)),
    "no predicted emotion": (make_segments(("a", "joy")), make_segments(("a", None)), (0, 1)),
    "the right emotion of another path": (make_segments(("a", "joy")), make_segments(("b", "joy")), (0, 0)),
    "two equal paths, emotions in another order": (
        make_segments(("a", "joy"), ("a", "anger")),
        make_segments(("a", "anger"), ("a", "joy")),
        (2, 2),
    ),
    "two equal paths, one right emotion": (
        make_segments(("a", "joy"), ("a", "joy")),
        make_segments(("a", "anger"), ("a", "joy")),
        (1, 2),
    ),
    "one predicted and two gold segments": (
        make_segments(("a", "joy"), ("a", "anger")),
        make_segments(("a", "anger")),
        (1, 1),
    ),
    "two predicted and one gold segment": (
        make_segments(("a", "joy")),
        make_segments(("a", "anger"), ("a", "joy")),
        (1, 1),
    ),
    "no gold emotion": (make_segments(("a", None)), make_segments(("a", "joy")), (0, 0)),
    "spaces around the emotion": (make_segments(("a", " joy ")), make_segments(("a", "joy")), (1, 1)),
}


@pytest.mark.parametrize(("gold", "predicted", "expected"), EMOTIONS.values(), ids=EMOTIONS)
def test_emotions_count_where_the_path_is_right(gold: list[Segment], predicted: list[Segment], expected: tuple) -> None:
    assert count_emotions([gold], [predicted]) == expected


FULL_LABELS = {
    "the right emotion": (make_segments(("a", "joy")), make_segments(("a", "joy")), (1, 1, 1)),
    "another emotion": (make_segments(("a", "joy")), make_segments(("a", "anger")), (0, 1, 1)),
    "another path": (make_segments(("a", "joy")), make_segments(("b", "joy")), (0, 1, 1)),
    "in another order": (
        make_segments(("a", "joy"), ("b", "anger")),
        make_segments(("b", "anger"), ("a", "joy")),
        (2, 2, 2),
    ),
    "emotions swapped": (
        make_segments(("a", "joy"), ("b", "anger")),
        make_segments(("a", "anger"), ("b", "joy")),
        (0, 2, 2),
    ),
    "one path twice, both emotions": (
        make_segments(("a", "joy"), ("a", "anger")),
        make_segments(("a", "anger"), ("a", "joy")),
        (2, 2, 2),
    ),
    "one path twice, one emotion": (
        make_segments(("a", "joy"), ("a", "anger")),
        make_segments(("a", "joy"), ("a", "joy")),
        (1, 2, 2),
    ),
    "predicted twice, gold once": (make_segments(("a", "joy")), make_segments(("a", "joy"), ("a", "joy")), (1, 2, 1)),
    "no predicted emotion": (make_segments(("a", "joy")), make_segments(("a", None)), (0, 1, 1)),
    "no emotion in gold and prediction": (make_segments(("a", None)), make_segments(("a", None)), (1, 1, 1)),
    "no gold emotion": (make_segments(("a", None)), make_segments(("a", "joy")), (0, 1, 1)),
    "an empty emotion": (make_segments(("a", None)), make_segments(("a", " ")), (1, 1, 1)),
    "spaces around the emotion": (make_segments(("a", " joy ")), make_segments(("a", "joy")), (1, 1, 1)),
    "no predictions": (make_segments(("a", "joy")), [], (0, 0, 1)),
}


@pytest.mark.parametrize(("gold", "predicted", "expected"), FULL_LABELS.values(), ids=FULL_LABELS)
def test_a_segment_matches_only_if_path_and_emotion_are_right(
    gold: list[Segment], predicted: list[Segment], expected: tuple
) -> None:
    assert count_full([gold], [predicted]).tolist() == [list(expected)]


@pytest.mark.parametrize("seed", range(5))
def test_emotions_never_add_matches(seed: int) -> None:
    rng = random.Random(seed)
    sides = [
        [make_segments(*((path, rng.choice("xy")) for path in paths)) for paths in side] for side in make_labels(seed)
    ]
    full = count_full(*sides)
    paths = count_matches(*([[segment.path for segment in segments] for segments in side] for side in sides))
    assert (full[:, 0] <= paths[:, 0]).all()
    assert (full[:, 1:] == paths[:, 1:]).all()
