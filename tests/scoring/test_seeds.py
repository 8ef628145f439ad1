"""Intervals over seeds and items: their coverage in simulations, and their values in simple cases."""

import numpy as np
import pytest
from scipy import stats

from alloy.scoring.bootstrap import SHARE_STATISTICS, compute_f1, compute_share, estimate_change, estimate_statistic
from alloy.scoring.seeds import (
    compute_item_variance,
    compute_spread,
    estimate_change_over_seeds,
    estimate_difference_over_seeds,
    estimate_mean_of_values,
    estimate_mean_over_seeds,
)

TRUTH, ITEMS, SIMULATIONS, BATCH = 0.5, 400, 12_000, 500
# Variance of the effect of a seed, divided by the variance of the mean of a run over its items.
SEED_TO_ITEM = (0.0, 0.25, 1.0, 3.0, 9.0)
# Share of the item variance that all runs have in common, since some items are hard for all runs.
SHARED_VARIANCE = (0.0, 0.25, 0.5)


def simulate(rng: np.random.Generator, runs: int, ratio: float, shared: float, count: int) -> np.ndarray:
    """Return `count` experiments (count, runs, items): which items each run gets right, TRUTH of them on average.

    Seeds have normal effects; items are Bernoulli draws, each easier or harder by the same amount for all runs.
    """
    variance = TRUTH * (1 - TRUTH)
    seeds = rng.normal(0, np.sqrt(ratio * variance / ITEMS), (count, runs, 1))
    ease = rng.choice([-1, 1], (count, 1, ITEMS)) * np.sqrt(shared * variance)
    return rng.random((count, runs, ITEMS)) < np.clip(TRUTH + seeds + ease, 0, 1)


def compute_covariances(correct: np.ndarray) -> np.ndarray:
    """Return the covariances (count, runs, runs) of shares under draws of items, which the bootstrap estimates."""
    centered = (correct - correct.mean(axis=2, keepdims=True)).astype(np.float32)
    return (centered @ centered.transpose(0, 2, 1)).astype(np.float64) / ITEMS**2


@pytest.mark.parametrize("runs", [3, 5])
@pytest.mark.parametrize("shared", SHARED_VARIANCE)
@pytest.mark.parametrize("ratio", SEED_TO_ITEM)
def test_the_interval_covers_the_true_mean_in_93_to_97_percent_of_experiments(
    runs: int, ratio: float, shared: float
) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(SIMULATIONS // BATCH):
        correct = simulate(rng, runs, ratio, shared, BATCH)
        values = correct.mean(axis=2)
        half = compute_spread([values], compute_item_variance(compute_covariances(correct))).half_width
        covered += list(np.abs(values.mean(axis=1) - TRUTH) <= half)
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize("runs", [3, 5])
@pytest.mark.parametrize("ratio", SEED_TO_ITEM)
def test_the_interval_covers_the_true_difference_of_two_configurations(runs: int, ratio: float) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(SIMULATIONS // BATCH):
        correct = simulate(rng, 2 * runs, ratio, 0.5, BATCH)
        values, covariance = correct.mean(axis=2), compute_covariances(correct)
        first, second = values[:, :runs], values[:, runs:]
        within = compute_item_variance(covariance[:, :runs, :runs]) + compute_item_variance(covariance[:, runs:, runs:])
        shared = np.maximum(within - 2 * covariance[:, :runs, runs:].mean(axis=(1, 2)), 0)
        half = compute_spread([first, -second], shared).half_width
        covered += list(np.abs(first.mean(axis=1) - second.mean(axis=1)) <= half)
    assert 0.93 <= np.mean(covered) <= 0.97


def make_columns(correct: np.ndarray) -> list[np.ndarray]:
    """Return the counts of each run of one experiment (runs, items)."""
    return [np.stack([run, np.ones(len(run))], axis=1).astype(np.int64) for run in correct]


def test_the_bootstrap_over_items_has_the_coverage_of_the_formula() -> None:
    rng, covered = np.random.default_rng(0), 0
    for correct in simulate(rng, 3, 1.0, 0.3, 1500):
        interval = estimate_mean_over_seeds(make_columns(correct), compute_share, 200, 0)
        covered += interval.low <= TRUTH <= interval.high
    assert 0.93 <= covered / 1500 <= 0.97


def test_percentiles_over_three_seeds_have_a_lower_coverage() -> None:
    # The reason for our own method: draw seeds with replacement, then items, without a correction.
    rng, covered = np.random.default_rng(0), 0
    for correct in simulate(rng, 3, 9.0, 0.25, 500):
        weights = rng.multinomial(ITEMS, np.full(ITEMS, 1 / ITEMS), size=300)
        runs = weights @ correct.T / ITEMS
        means = np.take_along_axis(runs, rng.integers(0, 3, (300, 3)), axis=1).mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        covered += low <= TRUTH <= high
    assert covered / 500 < 0.87


def test_the_spread_matches_a_hand_computed_example() -> None:
    spread = compute_spread([np.array([0.42, 0.46, 0.51])], np.array(0.0002))
    seed_part = np.var([0.42, 0.46, 0.51], ddof=1) / 3
    assert spread.standard_error == pytest.approx(np.sqrt(seed_part + 0.0002))
    assert spread.degrees_of_freedom == pytest.approx(2 * (seed_part + 0.0002) / seed_part)
    assert spread.half_width == pytest.approx(0.104, abs=0.001)
    assert spread.compute_p_value(float(spread.half_width)) == pytest.approx(0.05)


def make_coins(heads: int, of: int = 100) -> np.ndarray:
    return np.array([(1, 1)] * heads + [(0, 1)] * (of - heads))


def test_one_run_has_the_interval_over_only_items() -> None:
    assert estimate_mean_over_seeds([make_coins(30)], compute_share, 500, 0) == estimate_statistic(
        make_coins(30), compute_share, 500, 0
    )
    assert estimate_change_over_seeds(make_coins(20), [make_coins(30)], compute_share, 500, 0) == estimate_change(
        make_coins(20), make_coins(30), compute_share, 500, 0
    )


def test_equal_runs_have_the_interval_over_items() -> None:
    # No variation between seeds, and all runs share the test items: more seeds do not narrow the interval.
    single = estimate_statistic(make_coins(300, 1000), compute_share, 4000, 0)
    interval = estimate_mean_over_seeds([make_coins(300, 1000)] * 3, compute_share, 4000, 0)
    assert (interval.value, interval.low, interval.high) == pytest.approx(
        (single.value, single.low, single.high), abs=0.002
    )


def test_different_runs_have_a_wider_interval_than_a_single_run() -> None:
    interval = estimate_mean_over_seeds([make_coins(heads) for heads in (42, 46, 61)], compute_share, 1000, 0)
    single = estimate_statistic(make_coins(46), compute_share, 1000, 0)
    assert interval.value == pytest.approx(149 / 300)
    assert interval.high - interval.low > single.high - single.low


def test_a_mean_share_stays_within_0_and_1() -> None:
    interval = estimate_mean_over_seeds([make_coins(0), make_coins(1), make_coins(6)], compute_share, 1000, 0)
    assert compute_share in SHARE_STATISTICS
    assert interval.low == 0
    assert estimate_mean_over_seeds([make_coins(0)] * 3, compute_share, 200, 0) == estimate_statistic(
        make_coins(0), compute_share, 200, 0
    )


def test_the_change_from_the_base_model_is_paired_for_all_runs() -> None:
    change = estimate_change_over_seeds(
        make_coins(500, 1000), [make_coins(n, 1000) for n in (508, 509, 510)], compute_share, 1000, 0
    )
    assert change.value == pytest.approx(0.009)
    assert 0 < change.low < change.high < 0.02  # the interval of each model is 0.06 wide
    assert change.p < 0.05


def test_configurations_differ_significantly_only_if_their_seeds_agree() -> None:
    runs, near_runs, far_runs = (
        [make_coins(n) for n in (50, 51, 52)],
        [make_coins(n) for n in (20, 21, 22)],
        [make_coins(n) for n in (5, 20, 60)],
    )
    assert estimate_difference_over_seeds(runs, near_runs, compute_share, 1000, 0).p < 0.01
    difference = estimate_difference_over_seeds(runs, far_runs, compute_share, 1000, 0)
    assert difference.value == pytest.approx(0.51 - 0.85 / 3)
    assert difference.low < 0 < difference.high
    assert difference.p > 0.05


@pytest.mark.parametrize("value", [0.02, 0.05, 0.1, 0.3])
def test_p_is_below_5_percent_if_and_only_if_the_interval_excludes_0(value: float) -> None:
    runs = [make_coins(round(1000 * (0.4 + value + step)), 1000) for step in (-0.02, 0, 0.02)]
    change = estimate_change_over_seeds(make_coins(400, 1000), runs, compute_share, 500, 0)
    assert (change.p < 0.05) is not (change.low <= 0 <= change.high)


def test_a_configuration_of_one_run_is_compared_over_only_items() -> None:
    difference = estimate_difference_over_seeds(
        [make_coins(50)], [make_coins(40), make_coins(41), make_coins(42)], compute_share, 500, 0
    )
    assert difference.value == pytest.approx(0.09)
    assert difference.low > 0
    single = estimate_difference_over_seeds([make_coins(50)], [make_coins(40)], compute_share, 500, 0)
    assert single == estimate_change(make_coins(40), make_coins(50), compute_share, 500, 0)


def test_values_without_items_have_a_t_interval() -> None:
    values = [0.42, 0.46, 0.51]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    interval = estimate_mean_of_values(values)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_a_statistic_of_totals_is_averaged_over_runs() -> None:
    runs = [np.array([(2, 4, 8), (1, 1, 1)] * 20), np.array([(8, 8, 8), (0, 1, 1)] * 20)]
    assert estimate_mean_over_seeds(runs, compute_f1, 200, 0).value == pytest.approx((6 / 14 + 16 / 18) / 2)


def test_the_same_seed_gives_the_same_interval() -> None:
    runs = [make_coins(heads) for heads in (42, 46, 61)]
    assert estimate_mean_over_seeds(runs, compute_share, 200, 7) == estimate_mean_over_seeds(
        runs, compute_share, 200, 7
    )


@pytest.mark.parametrize(("changed", "p"), [(1, 1.0), (4, 0.125), (5, 0.0625), (6, 0.03125)])
@pytest.mark.parametrize(("first", "second"), [(3, 1), (1, 3), (2, 2)])
def test_changes_in_one_direction_are_no_more_significant_than_in_one_run(
    changed: int, p: float, first: int, second: int
) -> None:
    """40 items, of which only a few changed, all of them from wrong to right, in all runs alike."""
    none, some = (np.column_stack([np.arange(40) < count, np.ones(40)]).astype(np.int64) for count in (0, changed))
    changes = [estimate_difference_over_seeds([some] * first, [none] * second, compute_share, 500, 0)]
    if second == 1:
        changes.append(estimate_change_over_seeds(none, [some] * first, compute_share, 500, 0))
    for change in changes:
        assert change.value == pytest.approx(changed / 40)
        assert change.p == pytest.approx(p, abs=0.003)
        assert (change.low <= 0) is (p >= 0.05)


def test_if_all_items_changed_alike_the_interval_has_a_width() -> None:
    none, everything = (np.column_stack([np.full(40, count), np.ones(40)]).astype(np.int64) for count in (0, 1))
    change = estimate_difference_over_seeds([everything] * 2, [none], compute_share, 500, 0)
    assert 0.8 < change.low < change.value == change.high == 1.0
