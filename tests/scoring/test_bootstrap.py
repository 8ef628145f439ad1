"""Intervals and paired differences, compared with known binomial results."""

import numpy as np
import pytest
from scipy.stats import binomtest

from alloy.scoring.bootstrap import (
    compute_f1,
    compute_nats_per_token,
    compute_precision,
    compute_recall,
    compute_share,
    estimate_change,
    estimate_statistic,
    resample_totals,
)


def make_coins(heads: int, of: int) -> np.ndarray:
    return np.array([(1, 1)] * heads + [(0, 1)] * (of - heads))


def test_the_interval_of_a_share_matches_the_binomial_interval() -> None:
    interval = estimate_statistic(make_coins(300, 1000), compute_share, resamples=4000, seed=0)
    assert interval.value == 0.3
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert interval.low == pytest.approx(0.3 - half, abs=0.003)
    assert interval.high == pytest.approx(0.3 + half, abs=0.003)


def test_each_draw_has_the_same_number_of_items() -> None:
    assert set(resample_totals(make_coins(3, 10), 50, seed=1)[:, 1]) == {10}


def test_all_columns_of_an_item_are_drawn_together() -> None:
    counts = np.array([(5, 50), (0, 0), (1, 10)] * 20)
    drawn = resample_totals(counts, 100, seed=0)
    assert (drawn[:, 1] == 10 * drawn[:, 0]).all()


def test_the_interval_depends_on_the_seed_and_not_on_the_order_of_items() -> None:
    counts = make_coins(30, 100)
    assert estimate_statistic(counts, compute_share, 200, 7) == estimate_statistic(counts[::-1], compute_share, 200, 7)
    assert estimate_statistic(counts, compute_share, 200, 7) != estimate_statistic(counts, compute_share, 200, 8)


def test_a_model_does_not_differ_from_itself() -> None:
    change = estimate_change(make_coins(30, 100), make_coins(30, 100), compute_share, 500, 0)
    assert (change.value, change.p) == (0.0, 1.0)
    assert change.low == -change.high  # no change in 100 items does not prove that there is never a change
    assert change.high == pytest.approx(1 - binomtest(100, 100).proportion_ci(0.95, "exact").low)


@pytest.mark.parametrize("items", [0, 1, 29])
def test_too_few_items_have_no_interval_and_no_p(items: int) -> None:
    assert estimate_statistic(make_coins(items, items), compute_share, 200, 0) is None
    assert estimate_change(make_coins(0, items), make_coins(items, items), compute_share, 200, 0) is None


@pytest.mark.parametrize(("correct", "value"), [(40, 1.0), (0, 0.0)])
def test_equal_items_have_the_exact_binomial_interval(correct: int, value: float) -> None:
    interval = estimate_statistic(make_coins(correct, 40), compute_share, 200, 0)
    expected = binomtest(correct, 40).proportion_ci(0.95, "exact")
    assert interval is not None
    assert interval.value == value
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_if_all_items_become_wrong_the_interval_is_exact_and_p_matches_the_sign_test() -> None:
    change = estimate_change(make_coins(30, 30), make_coins(0, 30), compute_share, 1000, 0)
    assert change is not None
    assert (change.value, change.low) == (-1.0, -1.0)
    assert change.high == pytest.approx(1 - 2 * binomtest(30, 30).proportion_ci(0.95, "exact").low)
    assert change.p == pytest.approx(binomtest(0, 30).pvalue)


@pytest.mark.parametrize("changes", [1, 3, 5, 6, 20])
def test_changes_in_one_direction_match_mcnemars_test(changes: int) -> None:
    for before, after in ((50, 50 + changes), (50 + changes, 50)):
        change = estimate_change(make_coins(before, 100), make_coins(after, 100), compute_share, 1000, 0)
        assert change is not None
        assert change.p == pytest.approx(binomtest(0, changes).pvalue)
        assert (change.p < 0.05) is not (change.low <= 0 <= change.high)


def test_an_f1_that_is_equal_in_all_comments_has_a_wide_interval() -> None:
    counts = np.array([(1, 1, 1), (2, 2, 2)] * 30)
    interval = estimate_statistic(counts, compute_f1, 200, 0)
    assert interval is not None
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert 0.9 < interval.low < 0.95


def test_a_paired_difference_is_significant_where_two_intervals_overlap() -> None:
    # The second model answers the same questions right and eight more; the two intervals overlap widely.
    before, after = make_coins(500, 1000), make_coins(508, 1000)
    assert (
        estimate_statistic(before, compute_share, 1000, 0).high > estimate_statistic(after, compute_share, 1000, 0).low
    )
    change = estimate_change(before, after, compute_share, 1000, 0)
    assert change.value == pytest.approx(0.008)
    assert 0 < change.low < change.high < 0.02
    assert change.p < 0.01


def test_p_of_a_difference_by_chance_is_large() -> None:
    rng = np.random.default_rng(0)
    sides = [np.stack([rng.integers(0, 2, 400), np.ones(400, int)], axis=1) for _ in range(2)]
    assert estimate_change(*sides, compute_share, 1000, 0).p > 0.05


def test_rates_are_computed_from_totals() -> None:
    counts = np.array([(2, 4, 8), (0, 0, 0)])
    assert compute_f1(counts).tolist() == [pytest.approx(4 / 12), 0]
    assert compute_precision(counts).tolist() == [0.5, 0]
    assert compute_recall(counts).tolist() == [0.25, 0]
    assert compute_nats_per_token(np.array([(7_000_000, 2), (0, 0)])).tolist() == [3.5, 0]
