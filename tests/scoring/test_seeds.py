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
# Variance of a seed's effect, over that of a run's mean by its items.
SEED_TO_ITEM = (0.0, 0.25, 1.0, 3.0, 9.0)
# How much of the items' variance is shared by all runs: items that are hard for all.
SHARED = (0.0, 0.25, 0.5)


def simulate(rng: np.random.Generator, runs: int, ratio: float, shared: float, count: int) -> np.ndarray:
    """Return `count` experiments (count, runs, items): which items each run gets right, TRUTH of them on average.

    Seeds have normal effects; items are Bernoulli draws, each easier or harder by the same amount for all runs.
    """
    variance = TRUTH * (1 - TRUTH)
    seeds = rng.normal(0, np.sqrt(ratio * variance / ITEMS), (count, runs, 1))
    ease = rng.choice([-1, 1], (count, 1, ITEMS)) * np.sqrt(shared * variance)
    return rng.random((count, runs, ITEMS)) < np.clip(TRUTH + seeds + ease, 0, 1)


def compute_covariances(right: np.ndarray) -> np.ndarray:
    """Return the covariances (count, runs, runs) of shares under draws of items, which the bootstrap estimates."""
    centered = (right - right.mean(axis=2, keepdims=True)).astype(np.float32)
    return (centered @ centered.transpose(0, 2, 1)).astype(np.float64) / ITEMS**2


@pytest.mark.parametrize("runs", [3, 5])
@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("ratio", SEED_TO_ITEM)
def test_the_interval_covers_the_true_mean_in_93_to_97_percent(runs: int, ratio: float, shared: float) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(SIMULATIONS // BATCH):
        right = simulate(rng, runs, ratio, shared, BATCH)
        values = right.mean(axis=2)
        half = compute_spread([values], compute_item_variance(compute_covariances(right))).half_width
        covered += list(np.abs(values.mean(axis=1) - TRUTH) <= half)
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize("runs", [3, 5])
@pytest.mark.parametrize("ratio", SEED_TO_ITEM)
def test_the_difference_of_two_configurations_is_covered_as_well(runs: int, ratio: float) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(SIMULATIONS // BATCH):
        right = simulate(rng, 2 * runs, ratio, 0.5, BATCH)
        values, covariance = right.mean(axis=2), compute_covariances(right)
        one, other = values[:, :runs], values[:, runs:]
        within = compute_item_variance(covariance[:, :runs, :runs]) + compute_item_variance(covariance[:, runs:, runs:])
        shared = np.maximum(within - 2 * covariance[:, :runs, runs:].mean(axis=(1, 2)), 0)
        half = compute_spread([one, -other], shared).half_width
        covered += list(np.abs(one.mean(axis=1) - other.mean(axis=1)) <= half)
    assert 0.93 <= np.mean(covered) <= 0.97


def make_columns(right: np.ndarray) -> list[np.ndarray]:
    """Return the counts of each run of one experiment (runs, items)."""
    return [np.stack([run, np.ones(len(run))], axis=1).astype(np.int64) for run in right]


def test_the_bootstrap_over_items_has_the_coverage_of_the_formula() -> None:
    rng, covered = np.random.default_rng(0), 0
    for right in simulate(rng, 3, 1.0, 0.3, 1500):
        found = estimate_mean_over_seeds(make_columns(right), compute_share, 200, 0)
        covered += found.low <= TRUTH <= found.high
    assert 0.93 <= covered / 1500 <= 0.97


def test_percentiles_over_three_seeds_have_a_lower_coverage() -> None:
    # Why there is a method of our own: seeds drawn with replacement, then items, without correction.
    rng, covered = np.random.default_rng(0), 0
    for right in simulate(rng, 3, 9.0, 0.25, 500):
        weights = rng.multinomial(ITEMS, np.full(ITEMS, 1 / ITEMS), size=300)
        runs = weights @ right.T / ITEMS
        means = np.take_along_axis(runs, rng.integers(0, 3, (300, 3)), axis=1).mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        covered += low <= TRUTH <= high
    assert covered / 500 < 0.87


def test_an_example_by_hand() -> None:
    spread = compute_spread([np.array([0.42, 0.46, 0.51])], np.array(0.0002))
    seed_part = np.var([0.42, 0.46, 0.51], ddof=1) / 3
    assert spread.standard_error == pytest.approx(np.sqrt(seed_part + 0.0002))
    assert spread.degrees_of_freedom == pytest.approx(2 * (seed_part + 0.0002) / seed_part)
    assert spread.half_width == pytest.approx(0.104, abs=0.001)
    assert spread.compute_p_value(float(spread.half_width)) == pytest.approx(0.05)


def make_coins(heads: int, of: int = 100) -> np.ndarray:
    return np.array([(1, 1)] * heads + [(0, 1)] * (of - heads))


def test_one_run_has_the_interval_over_items_alone() -> None:
    assert estimate_mean_over_seeds([make_coins(30)], compute_share, 500, 0) == estimate_statistic(
        make_coins(30), compute_share, 500, 0
    )
    assert estimate_change_over_seeds(make_coins(20), [make_coins(30)], compute_share, 500, 0) == estimate_change(
        make_coins(20), make_coins(30), compute_share, 500, 0
    )


def test_equal_runs_have_the_interval_over_items() -> None:
    # No variation between seeds, and all runs share the test items: more seeds do not narrow the interval.
    one = estimate_statistic(make_coins(300, 1000), compute_share, 4000, 0)
    found = estimate_mean_over_seeds([make_coins(300, 1000)] * 3, compute_share, 4000, 0)
    assert (found.value, found.low, found.high) == pytest.approx((one.value, one.low, one.high), abs=0.002)


def test_runs_that_differ_have_a_wider_interval_than_each_of_them() -> None:
    found = estimate_mean_over_seeds([make_coins(heads) for heads in (42, 46, 61)], compute_share, 1000, 0)
    alone = estimate_statistic(make_coins(46), compute_share, 1000, 0)
    assert found.value == pytest.approx(149 / 300)
    assert found.high - found.low > alone.high - alone.low


def test_a_mean_share_stays_within_0_and_1() -> None:
    found = estimate_mean_over_seeds([make_coins(0), make_coins(1), make_coins(6)], compute_share, 1000, 0)
    assert compute_share in SHARE_STATISTICS
    assert found.low == 0
    assert estimate_mean_over_seeds([make_coins(0)] * 3, compute_share, 200, 0) == estimate_statistic(
        make_coins(0), compute_share, 200, 0
    )


def test_the_difference_to_base_is_paired_with_the_same_base_for_all_runs() -> None:
    found = estimate_change_over_seeds(
        make_coins(500, 1000), [make_coins(n, 1000) for n in (508, 509, 510)], compute_share, 1000, 0
    )
    assert found.value == pytest.approx(0.009)
    assert 0 < found.low < found.high < 0.02  # apart, the interval of each is 0.06 wide
    assert found.p < 0.05


def test_configurations_differ_significantly_only_if_their_seeds_agree() -> None:
    one, near, far = (
        [make_coins(n) for n in (50, 51, 52)],
        [make_coins(n) for n in (20, 21, 22)],
        [make_coins(n) for n in (5, 20, 60)],
    )
    assert estimate_difference_over_seeds(one, near, compute_share, 1000, 0).p < 0.01
    apart = estimate_difference_over_seeds(one, far, compute_share, 1000, 0)
    assert apart.value == pytest.approx(0.51 - 0.85 / 3)
    assert apart.low < 0 < apart.high
    assert apart.p > 0.05


@pytest.mark.parametrize("value", [0.02, 0.05, 0.1, 0.3])
def test_p_is_below_5_percent_exactly_if_the_interval_excludes_0(value: float) -> None:
    runs = [make_coins(round(1000 * (0.4 + value + step)), 1000) for step in (-0.02, 0, 0.02)]
    found = estimate_change_over_seeds(make_coins(400, 1000), runs, compute_share, 500, 0)
    assert (found.p < 0.05) is not (found.low <= 0 <= found.high)


def test_a_configuration_of_one_run_is_compared_over_items_alone() -> None:
    found = estimate_difference_over_seeds(
        [make_coins(50)], [make_coins(40), make_coins(41), make_coins(42)], compute_share, 500, 0
    )
    assert found.value == pytest.approx(0.09)
    assert found.low > 0
    alone = estimate_difference_over_seeds([make_coins(50)], [make_coins(40)], compute_share, 500, 0)
    assert alone == estimate_change(make_coins(40), make_coins(50), compute_share, 500, 0)


def test_values_without_items_have_a_t_interval() -> None:
    values = [0.42, 0.46, 0.51]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    found = estimate_mean_of_values(values)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_statistic_of_totals_is_averaged_over_runs() -> None:
    runs = [np.array([(2, 4, 8), (1, 1, 1)] * 20), np.array([(8, 8, 8), (0, 1, 1)] * 20)]
    assert estimate_mean_over_seeds(runs, compute_f1, 200, 0).value == pytest.approx((6 / 14 + 16 / 18) / 2)


def test_the_same_seed_gives_the_same_interval() -> None:
    runs = [make_coins(heads) for heads in (42, 46, 61)]
    assert estimate_mean_over_seeds(runs, compute_share, 200, 7) == estimate_mean_over_seeds(
        runs, compute_share, 200, 7
    )
