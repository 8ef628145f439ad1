"""Order-free matching, by hand, against an obvious count, and against scikit-learn where both say the same."""

import random

import numpy as np
import pytest
from sklearn.metrics import f1_score

from stages.matching import Rates, count_matches, f1_interval, rates

CASES = {
    "all found": (["a", "b"], ["a", "b"], (2, 2, 2)),
    "found in another order": (["a", "b", "c"], ["c", "a", "b"], (3, 3, 3)),
    "one of two found": (["a", "b"], ["a"], (1, 1, 2)),
    "one too many": (["a"], ["a", "b"], (1, 2, 1)),
    "the same twice, there once": (["a"], ["a", "a"], (1, 2, 1)),
    "the same once, there twice": (["a", "a"], ["a"], (1, 1, 2)),
    "the same twice, there twice": (["a", "a", "b"], ["a", "b", "a"], (3, 3, 3)),
    "none found": (["a"], ["b"], (0, 1, 1)),
    "nothing said": (["a", "b"], [], (0, 0, 2)),
    "nothing to find": ([], ["a"], (0, 1, 0)),
    "nothing at all": ([], [], (0, 0, 0)),
}
Labels = list[list[str]]


@pytest.mark.parametrize(("gold", "predicted", "wanted"), CASES.values(), ids=CASES)
def test_labels_are_matched_as_multisets(gold: list[str], predicted: list[str], wanted: tuple[int, int, int]) -> None:
    assert count_matches([gold], [predicted]).tolist() == [list(wanted)]


def test_paths_match_whole_or_not_at_all() -> None:
    gold, predicted = [[("Setup", "Pairing")]], [[("Setup", "Manual"), ("Pairing", "Setup")]]
    assert count_matches(gold, predicted).tolist() == [[0, 2, 1]]


def test_a_label_is_not_found_in_another_comment() -> None:
    assert count_matches([["a"], ["b"]], [["b"], ["a"]]).tolist() == [[0, 1, 1], [0, 1, 1]]


def test_no_comments_give_no_counts() -> None:
    assert count_matches([], []).shape == (0, 3)


def test_an_answer_too_few_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        count_matches([["a"], ["b"]], [["a"]])


def test_rates_by_hand() -> None:
    # 3 of 4 predicted are right, 3 of 6 are found: F1 = 2 * 3 / (4 + 6).
    assert rates(np.array([[1, 2, 4], [2, 2, 2]])) == Rates(precision=0.75, recall=0.5, f1=0.6)


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    found = rates(np.array([[3, 5, 4], [0, 2, 3]]))
    assert found.f1 == pytest.approx(2 * found.precision * found.recall / (found.precision + found.recall))


@pytest.mark.parametrize("counts", [[[0, 0, 3]], [[0, 3, 0]], [[0, 0, 0]], [[0, 2, 2]]])
def test_rates_are_0_where_nothing_matches(counts: list[list[int]]) -> None:
    assert rates(np.array(counts)) == Rates(0.0, 0.0, 0.0)


def made(seed: int, comments: int = 40, kinds: str = "abcde") -> tuple[Labels, Labels]:
    rng = random.Random(seed)
    draw = [[rng.choices(kinds, k=rng.randrange(5)) for _ in range(comments)] for _ in range(2)]
    return draw[0], draw[1]


def cross_off(gold: Labels, predicted: Labels) -> int:
    """Count matches as a person would: cross each predicted label off the list."""
    matched = 0
    for wanted, said in zip(gold, predicted, strict=True):
        left = list(wanted)
        for label in said:
            if label in left:
                left.remove(label)
                matched += 1
    return matched


@pytest.mark.parametrize("seed", range(20))
def test_the_count_is_that_of_crossing_labels_off_a_list(seed: int) -> None:
    gold, predicted = made(seed)
    wanted = [cross_off(gold, predicted), sum(map(len, predicted)), sum(map(len, gold))]
    assert count_matches(gold, predicted).sum(axis=0).tolist() == wanted


@pytest.mark.parametrize("seed", range(5))
def test_neither_the_order_of_labels_nor_of_comments_matters(seed: int) -> None:
    gold, predicted = made(seed)
    whole = rates(count_matches(gold, predicted))
    rng = random.Random(seed)
    shuffled = [rng.sample(labels, len(labels)) for labels in predicted]
    assert rates(count_matches(gold, shuffled)) == whole
    assert rates(count_matches(gold[::-1], predicted[::-1])) == whole


@pytest.mark.parametrize("seed", range(5))
def test_swapping_gold_and_predicted_swaps_precision_and_recall(seed: int) -> None:
    gold, predicted = made(seed)
    there, back = rates(count_matches(gold, predicted)), rates(count_matches(predicted, gold))
    assert (there.precision, there.recall, there.f1) == (back.recall, back.precision, back.f1)


@pytest.mark.parametrize("seed", range(5))
def test_with_one_label_a_comment_it_is_the_micro_f1_of_scikit_learn(seed: int) -> None:
    rng = random.Random(seed)
    gold = rng.choices("abcdefgh", [8, 4, 2, 1, 1, 1, 1, 1], k=300)
    predicted = [label if rng.random() < 0.6 else rng.choice("abcdefgh") for label in gold]
    ours = rates(count_matches([[label] for label in gold], [[label] for label in predicted]))
    assert ours.f1 == pytest.approx(f1_score(gold, predicted, average="micro"))
    assert 0.5 < ours.f1 < 0.8


def test_with_several_labels_it_is_the_micro_f1_of_scikit_learn_where_none_stands_twice() -> None:
    gold, predicted = ([sorted(set(labels)) for labels in side] for side in made(7))
    table = [[[kind in labels for kind in "abcde"] for labels in side] for side in (gold, predicted)]
    wanted = f1_score(np.array(table[0]), np.array(table[1]), average="micro")
    assert rates(count_matches(gold, predicted)).f1 == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_holds_the_estimate(seed: int) -> None:
    counts = count_matches(*made(seed, comments=200))
    low, high = f1_interval(counts, 300, seed=0)
    assert low < rates(counts).f1 < high
    assert high - low < 0.15


def test_the_interval_is_that_of_drawing_comments_again_and_again() -> None:
    counts = count_matches(*made(3, comments=100))
    rng = np.random.default_rng(1)
    draws = [rates(counts[rng.integers(0, 100, 100)]).f1 for _ in range(3000)]
    wanted = np.percentile(draws, [2.5, 97.5])
    assert f1_interval(counts, 3000, seed=0) == pytest.approx(wanted, abs=0.01)


def test_more_comments_narrow_the_interval() -> None:
    few, many = (f1_interval(count_matches(*made(0, comments=size)), 300, seed=0) for size in (50, 800))
    assert many[1] - many[0] < 0.5 * (few[1] - few[0])


def test_the_interval_is_the_same_for_the_same_seed() -> None:
    counts = count_matches(*made(0))
    assert f1_interval(counts, 200, seed=5) == f1_interval(counts, 200, seed=5)
    assert f1_interval(counts, 200, seed=5) != f1_interval(counts, 200, seed=6)


@pytest.mark.parametrize(
    ("gold", "predicted", "wanted"),
    [(["a", "b"], ["a", "b"], 1.0), (["a"], ["b"], 0.0), (["a"], [], 0.0), ([], [], 0.0)],
)
def test_the_interval_is_a_point_where_all_comments_are_alike(
    gold: list[str], predicted: list[str], wanted: float
) -> None:
    assert f1_interval(count_matches([gold] * 30, [predicted] * 30), 100, seed=0) == (wanted, wanted)


def test_the_interval_of_a_single_comment_is_its_own_f1() -> None:
    assert f1_interval(np.array([[1, 2, 2]]), 100, seed=0) == (0.5, 0.5)
