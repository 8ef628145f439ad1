"""Means over training seeds, with 95 % intervals over seeds and test items together.

The same configuration, trained with another seed, gives another model. An interval over the test items of one run does
not show that. The intervals here do: they cover the mean over all seeds and all test items, of which a few are seen.

Model: run s scores y_si = mean + seed_s + item_i + rest_si on item i. All runs answer the same items, so averaging over
runs makes the chance of seed_s and rest_si smaller, and leaves that of item_i as it is.

Algorithm, for k runs of one configuration:
1. Compute the statistic of each run on all items: v_1 .. v_k. The value is their mean.
2. Draw as many items as there are, with replacement, the same ones for all runs; compute the statistic of each run.
   Repeat `resamples` times.
3. Item part = mean covariance, over these draws, of two different runs (0 if it is negative): Var(item) / items.
4. Seed part = sample variance of v_1 .. v_k, divided by k: (Var(seed) + Var(rest) / items) / k.
5. Variance V = seed part + item part. Degrees of freedom d = (k - 1) * V / seed part.
6. Interval = value -+ t(0.975, d) * sqrt(V); p = 2 * P(T_d > |value| / sqrt(V)).

Example: three runs with F1 of 0.42, 0.46 and 0.51, item part 0.0002. The value is 0.463, the seed part
0.00203 / 3 = 0.00068, V = 0.00088, d = 2.6, and the interval 0.463 -+ 3.5 * 0.0297 = 0.36 to 0.57.

A difference to the base model is the same with the differences of each run: the base is one model, and it answers the
items that are drawn. The difference of two configurations adds the seed parts of both (Welch), and takes the item part
of the difference.

The plain hierarchical bootstrap (draw seeds, then items, take percentiles: Davison and Hinkley 1997, section 3.8;
Saravanan et al. 2020) covers 95 % when there are many seeds. With three it covers less: the variance of its draws is
(k - 1) / k of what it should be, and percentiles know nothing of t. Satterthwaite's (1946) degrees of freedom,
(k - 1) * (V / seed part)^2, cover 92 % at worst with three seeds, since a seed part that is small by chance raises them
twice over; with the power 1 of step 5 it is 94 to 96 %. With two seeds it is 91 % at worst: take three. See
`tests/scoring/test_seeds.py` and `python -m benchmarks.interval_coverage`. For items that all runs share, see Owen, The
pigeonhole bootstrap, 2007.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alloy.scoring.bootstrap import ENOUGH, SHARES, Change, Counts, Estimate, Statistic, change, estimate, totals

Numbers = npt.NDArray[np.float64]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """How far values may be off: `error` is one standard error, `degrees` its degrees of freedom; any shape."""

    error: Numbers
    degrees: Numbers

    @property
    def half_width(self) -> Numbers:
        """Half of the 95 % interval's width."""
        from scipy import stats

        return stats.t.ppf((1 + CONFIDENCE) / 2, self.degrees) * self.error

    def p(self, value: float) -> float:
        """Return the two-sided p of the hypothesis that a single value is 0 but for chance."""
        from scipy import stats

        if self.error == 0:
            return float(value == 0)
        return float(2 * stats.t.sf(abs(value) / self.error, self.degrees))


def mean_over_seeds(runs: list[Counts], statistic: Statistic, resamples: int, seed: int) -> Estimate | None:
    """Return the mean of `statistic` over the runs of one configuration, each on the same items in the same order.

    One run has the interval over items alone, and so have runs that are all alike. None if the items are too few.
    """
    if len(runs) == 1 or len(runs[0]) < ENOUGH:
        return estimate(runs[0], statistic, resamples, seed)
    values, drawn = _measure(runs, statistic, resamples, seed)
    found = _estimate([values], item_part(_covariance(drawn)))
    if found.low == found.high:
        return estimate(runs[0], statistic, resamples, seed)
    if statistic in SHARES:
        return Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0))
    return Estimate(found.value, found.low, found.high)


def change_over_seeds(
    before: Counts, runs: list[Counts], statistic: Statistic, resamples: int, seed: int
) -> Change | None:
    """Return by how much the mean of the runs differs from one model, which is the same for all of them.

    None if the items are too few.
    """
    if len(runs) == 1 or len(before) < ENOUGH:
        return change(before, runs[0], statistic, resamples, seed)
    values, drawn = _measure([before, *runs], statistic, resamples, seed)
    differences = drawn[:, 1:] - drawn[:, :1]
    found = _estimate([values[1:] - values[0]], item_part(_covariance(differences)))
    return change(before, runs[0], statistic, resamples, seed) if found.low == found.high else found


def difference_of_seeds(
    one: list[Counts], other: list[Counts], statistic: Statistic, resamples: int, seed: int
) -> Change | None:
    """Return by how much the mean of one configuration's runs exceeds that of another's, on the same items.

    If either has a single run, the interval is over items alone. None if the items are too few.
    """
    if len(one) == len(other) == 1 or len(one[0]) < ENOUGH:
        return change(other[0], one[0], statistic, resamples, seed)
    values, drawn = _measure([*other, *one], statistic, resamples, seed)
    split = len(other)
    if min(split, len(one)) == 1:
        means = drawn[:, split:].mean(axis=1) - drawn[:, :split].mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        one_side = min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
        value = values[split:].mean() - values[:split].mean()
        return Change(float(value), float(low), float(high), p=min(1.0, 2 * (one_side + 1) / (resamples + 1)))
    covariance = _covariance(drawn)
    within = item_part(covariance[:split, :split]) + item_part(covariance[split:, split:])
    between = covariance[:split, split:].mean()
    shared = np.maximum(within - 2 * between, 0.0)
    found = _estimate([values[split:], -values[:split]], shared)
    return change(other[0], one[0], statistic, resamples, seed) if found.low == found.high else found


def mean_of_values(values: list[float]) -> Estimate:
    """Return the mean of values of which no items are known, with its t-interval over seeds; two or more."""
    found = _estimate([np.array(values)], np.array(0.0))
    return Estimate(found.value, found.low, found.high)


def spread_of_means(groups: list[Numbers], shared: Numbers) -> Spread:
    """Return the spread of a sum of means (steps 4 and 5): of each group's values (.., runs) over its last axis.

    `shared` (..) is the item part of the sum. Degrees of freedom d = V * sum(A_g) / sum(A_g^2 / (k_g - 1)) with the
    seed part A_g and the number of runs k_g of group g; infinite if all seed parts are 0.
    """
    parts = [values.var(axis=-1, ddof=1) / values.shape[-1] for values in groups]
    whole = sum(parts, start=shared)
    weights = np.asarray(sum(part**2 / (values.shape[-1] - 1) for part, values in zip(parts, groups, strict=True)))
    infinite = np.full(weights.shape, np.inf)
    degrees = np.divide(whole * sum(parts), weights, out=infinite, where=weights > 0)
    return Spread(np.sqrt(whole), degrees)


def item_part(covariance: Numbers) -> Numbers:
    """Return the mean covariance (..) of two different runs, of covariances (.., runs, runs); at least 0 (step 3)."""
    runs = covariance.shape[-1]
    apart = covariance.sum(axis=(-2, -1)) - np.trace(covariance, axis1=-2, axis2=-1)
    return np.maximum(apart / (runs * (runs - 1)), 0.0)


def _measure(runs: list[Counts], statistic: Statistic, resamples: int, seed: int) -> tuple[Numbers, Numbers]:
    """Return `statistic` of each run (runs), and that of draws of the items (resamples, runs) (steps 1 and 2).

    Draws cost as many multinomial numbers as there are distinct rows over all runs, whatever the number of runs.
    """
    drawn = totals(np.hstack(runs), resamples, seed)
    columns = np.cumsum([run.shape[1] for run in runs])[:-1]
    values = [statistic(run.sum(axis=0, keepdims=True))[0] for run in runs]
    return np.array(values), np.stack([statistic(own) for own in np.split(drawn, columns, axis=1)], axis=1)


def _covariance(drawn: Numbers) -> Numbers:
    return np.atleast_2d(np.cov(drawn, rowvar=False)).astype(np.float64)


def _estimate(groups: list[Numbers], shared: Numbers) -> Change:
    """Return the sum of the groups' means with interval and p (step 6)."""
    value = float(sum(values.mean() for values in groups))
    spread = spread_of_means(groups, shared)
    half = float(spread.half_width)
    return Change(value, value - half, value + half, spread.p(value))
