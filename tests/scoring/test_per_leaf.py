"""Metrics per leaf equal hand-computed results and scikit-learn."""

import random
from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from alloy.scoring.per_leaf import average_over_leaves, compute_group_scores, count_leaves

LEAVES = [(letter,) for letter in "abcdefgh"]


def test_leaves_are_counted_over_all_comments_as_multisets():
    a, b, c = LEAVES[:3]
    gold, predicted = [[a, a, b], [a]], [[a, b, b], [b, ("x",)]]
    assert count_leaves(gold, predicted, [a, b, c]).tolist() == [[1, 1, 3], [1, 3, 1], [0, 0, 0]]


@pytest.mark.parametrize("seed", range(5))
def test_with_one_label_per_comment_averages_equal_scikit_learn(seed):
    rng = random.Random(seed)
    gold = rng.choices("abcdefg", [8, 4, 2, 1, 1, 1, 1], k=60)  # h is in neither, and x is not a leaf
    predicted = [label if rng.random() < 0.6 else rng.choice("abcdefx") for label in gold]
    counts = count_leaves([[(label,)] for label in gold], [[(label,)] for label in predicted], LEAVES)
    present = sorted({*gold, *predicted} - {"x"})
    averages = average_over_leaves(counts)
    for average in ("macro", "weighted"):
        expected = precision_recall_fscore_support(gold, predicted, labels=present, average=average, zero_division=0)
        values = [averages[f"{average}_{name}"] for name in ("precision", "recall", "f1")]
        assert values == pytest.approx(expected[:3])
    assert averages["macro_f1"] != pytest.approx(averages["weighted_f1"], abs=0.01)


def test_averages_match_a_hand_computed_example():
    # (matched, predicted, gold): precision 1, 1/2, 0; recall 1/3, 1, 0; F1 1/2, 2/3, 0. The last is in neither.
    averages = average_over_leaves(np.array([[1, 1, 3], [1, 2, 1], [0, 1, 0], [0, 0, 0]]))
    macro = [averages[f"macro_{name}"] for name in ("precision", "recall", "f1")]
    weighted = [averages[f"weighted_{name}"] for name in ("precision", "recall", "f1")]
    assert macro == pytest.approx([1.5 / 3, 4 / 9, 7 / 18])
    assert weighted == pytest.approx([3.5 / 4, 2 / 4, (1.5 + 2 / 3) / 4])


def test_averages_of_zero_counts_are_0():
    assert set(average_over_leaves(np.zeros((2, 3), dtype=np.int64)).values()) == {0.0}


def test_leaves_are_grouped_by_their_training_segments():
    training = Counter({("a",): 101, ("b",): 100, ("c",): 20, ("d",): 19, ("e",): 1})
    groups = compute_group_scores(np.zeros((8, 3), dtype=np.int64), LEAVES, training, head=100, tail=20)
    assert {name: group["leaves"] for name, group in groups.items()} == {"head": 1, "middle": 2, "tail": 2, "unseen": 3}


def test_a_group_has_the_rates_of_its_leaves():
    counts = np.array([[3, 4, 6], [1, 2, 1], [0, 0, 2]])
    groups = compute_group_scores(counts, LEAVES[:3], Counter({("a",): 9, ("b",): 8}), head=7, tail=2)
    assert groups == {
        "head": {"leaves": 2, "gold": 7, "precision": 4 / 6, "recall": 4 / 7, "f1": 8 / 13},
        "middle": {"leaves": 0, "gold": 0, "precision": None, "recall": None, "f1": None},
        "tail": {"leaves": 0, "gold": 0, "precision": None, "recall": None, "f1": None},
        "unseen": {"leaves": 1, "gold": 2, "precision": 0.0, "recall": 0.0, "f1": 0.0},
    }
