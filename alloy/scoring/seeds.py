"""Means over training seeds, with 95 % intervals over seeds and test items together.

The same configuration, trained with another seed, gives another model. An interval over the test items of one run does
not include this variation. The intervals here do: they are for the mean over all possible seeds and test items.

Model: run s scores y_si = mean + seed_s + item_i + rest_si on item i. All runs answer the same items. So averaging over
runs reduces the variance of seed_s and rest_si, but not the variance of item_i.

Algorithm, for k runs of one configuration:
1. Compute the statistic of each run on all items: v_1, ..., v_k. The value is their mean.
2. Draw a bootstrap sample of the items, the same sample for all runs; compute the statistic of each run. Repeat
   `resamples` times.
3. Item part = mean covariance, over these draws, of two different runs (0 if it is negative): Var(item) / items.
4. Seed part = sample variance of v_1, ..., v_k, divided by k: (Var(seed) + Var(rest) / items) / k.
5. Variance V = seed part + item part. Degrees of freedom d = (k - 1) * V / seed part.
6. Interval = value -+ t(0.975, d) * sqrt(V); p = 2 * P(T_d > |value| / sqrt(V)).
7. For a difference in which all items changed in one direction (mean over the runs): p is at least that of the sign
   test, and the interval contains 0 unless that p is below 0.05, as for one run (alloy/scoring/bootstrap.py).

Example: three runs with F1 of 0.42, 0.46 and 0.51, item part 0.0002. The value is 0.463, the seed part
0.00203 / 3 = 0.00068, V = 0.00088, d = 2.6, and the interval 0.463 -+ 3.5 * 0.0297 = 0.36 to 0.57.

The difference to the base model is computed by the same steps, from the difference of each run to base: the base is one
model, and it answers the same drawn items. The difference of two configurations adds the seed parts of both (Welch),
and uses the item part of the difference.

Alternatives that were tried (`tests/scoring/test_seeds.py`, `python -m benchmarks.interval_coverage`):

- The plain hierarchical bootstrap draws seeds, then items, and takes percentiles (Davison and Hinkley 1997, section
  3.8; Saravanan et al. 2020). Its coverage is 95 % with many seeds, and lower with three: its variance is too small
  by the factor (k - 1) / k, and percentiles do not have the wider tails of the t distribution.
- Satterthwaite's (1946) degrees of freedom are (k - 1) * (V / seed part)^2. With three seeds, coverage is 92 % at
  worst: if the seed part is small by chance, the square makes the degrees of freedom too large. Without it, as in step
  5, coverage is 94 to 96 %.

With two seeds, coverage is 91 % at worst, so use at least three. For items that all runs share, see also Owen, The
pigeonhole bootstrap, 2007.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alloy.scoring.bootstrap import (
    MIN_ITEMS,
    SHARE_STATISTICS,
    Change,
    Counts,
    Estimate,
    Statistic,
    compute_sign_test_p,
    estimate_change,
    estimate_statistic,
    make_change,
    resample_totals,
    widen_interval,
)

FloatArray = npt.NDArray[np.float64]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """The uncertainty of values: standard errors and their degrees of freedom, two arrays of the same shape (...)."""

    standard_error: FloatArray
    degrees_of_freedom: FloatArray

    @property
    def half_width(self) -> FloatArray:
        """Half of the 95 % interval's width."""
        from scipy import stats

        return stats.t.ppf((1 + CONFIDENCE) / 2, self.degrees_of_freedom) * self.standard_error

    def compute_p_value(self, value: float) -> float:
        """Return the two-sided p of the hypothesis that the true value is 0; the standard error must be one number."""
        from scipy import stats

        if self.standard_error == 0:
            return float(value == 0)
        return float(2 * stats.t.sf(abs(value) / self.standard_error, self.degrees_of_freedom))


def estimate_mean_over_seeds(runs: list[Counts], statistic: Statistic, resamples: int, seed: int) -> Estimate | None:
    """Return the mean of `statistic` over the runs of one configuration, all on the same items in the same order.

    The interval is over items only if there is one run, or if all runs are equal. None if there are too few items.
    """
    if len(runs) == 1 or len(runs[0]) < MIN_ITEMS:
        return estimate_statistic(runs[0], statistic, resamples, seed)
    values, drawn = _resample_runs(runs, statistic, resamples, seed)
    estimate = _combine_groups([values], compute_item_variance(_compute_covariance(drawn)))
    if estimate.low == estimate.high:
        return estimate_statistic(runs[0], statistic, resamples, seed)
    if statistic in SHARE_STATISTICS:
        return Estimate(estimate.value, max(estimate.low, 0.0), min(estimate.high, 1.0))
    return Estimate(estimate.value, estimate.low, estimate.high)


def estimate_change_over_seeds(
    before: Counts, runs: list[Counts], statistic: Statistic, resamples: int, seed: int
) -> Change | None:
    """Return the mean of the runs minus one model `before`, which is the same for all runs.

    None if there are too few items.
    """
    if len(runs) == 1 or len(before) < MIN_ITEMS:
        return estimate_change(before, runs[0], statistic, resamples, seed)
    values, drawn = _resample_runs([before, *runs], statistic, resamples, seed)
    differences = drawn[:, 1:] - drawn[:, :1]
    change = _combine_groups([values[1:] - values[0]], compute_item_variance(_compute_covariance(differences)))
    return _apply_sign_test(change, _compute_item_means(runs, statistic) - statistic(before), statistic)


def estimate_difference_over_seeds(
    first: list[Counts], second: list[Counts], statistic: Statistic, resamples: int, seed: int
) -> Change | None:
    """Return the mean of the runs `first` minus the mean of `second`, two configurations on the same items.

    The interval is over items only if one of them has a single run. None if there are too few items.
    """
    if len(first) == len(second) == 1 or len(first[0]) < MIN_ITEMS:
        return estimate_change(second[0], first[0], statistic, resamples, seed)
    values, drawn = _resample_runs([*second, *first], statistic, resamples, seed)
    item_differences = _compute_item_means(first, statistic) - _compute_item_means(second, statistic)
    second_count = len(second)
    if min(second_count, len(first)) == 1:
        means = drawn[:, second_count:].mean(axis=1) - drawn[:, :second_count].mean(axis=1)
        difference = make_change(float(values[second_count:].mean() - values[:second_count].mean()), means)
        return _apply_sign_test(difference, item_differences, statistic)
    covariance = _compute_covariance(drawn)
    within = compute_item_variance(covariance[:second_count, :second_count]) + compute_item_variance(
        covariance[second_count:, second_count:]
    )
    between = covariance[:second_count, second_count:].mean()
    item_variance = np.maximum(within - 2 * between, 0.0)
    difference = _combine_groups([values[second_count:], -values[:second_count]], item_variance)
    return _apply_sign_test(difference, item_differences, statistic)


def _compute_item_means(runs: list[Counts], statistic: Statistic) -> FloatArray:
    """Return the mean over the runs of the statistic of each item (items)."""
    return np.mean([statistic(run) for run in runs], axis=0)


def _apply_sign_test(change: Change, item_differences: FloatArray, statistic: Statistic) -> Change:
    """Return the change with a p of at least that of the sign test, if all items changed in one direction (step 7)."""
    widened = widen_interval(change, item_differences, statistic)
    p = max(widened.p, compute_sign_test_p(item_differences) or 0.0)
    return Change(widened.value, widened.low, widened.high, p)


def estimate_mean_of_values(values: list[float]) -> Estimate:
    """Return the mean of two or more values, with its t interval over seeds; for runs whose items are not known."""
    estimate = _combine_groups([np.array(values)], np.array(0.0))
    return Estimate(estimate.value, estimate.low, estimate.high)


def compute_spread(groups: list[FloatArray], item_variance: FloatArray) -> Spread:
    """Return the spread of a sum of means (steps 4 and 5); a group is (..., runs) values, with its mean over the runs.

    `item_variance` (...) is the item part of the sum. The degrees of freedom are V * sum(A_g) / sum(A_g^2 / (k_g - 1)),
    where A_g is the seed part and k_g the number of runs of group g. They are infinite if all seed parts are 0.
    """
    seed_variances = [values.var(axis=-1, ddof=1) / values.shape[-1] for values in groups]
    variance = sum(seed_variances, start=item_variance)
    weights = np.asarray(
        sum(
            seed_variance**2 / (values.shape[-1] - 1)
            for seed_variance, values in zip(seed_variances, groups, strict=True)
        )
    )
    infinite = np.full(weights.shape, np.inf)
    degrees = np.divide(variance * sum(seed_variances), weights, out=infinite, where=weights > 0)
    return Spread(np.sqrt(variance), degrees)


def compute_item_variance(covariance: FloatArray) -> FloatArray:
    """Return the item part (...): the mean covariance of two different runs, at least 0 (step 3).

    `covariance` is (..., runs, runs).
    """
    runs = covariance.shape[-1]
    off_diagonal = covariance.sum(axis=(-2, -1)) - np.trace(covariance, axis1=-2, axis2=-1)
    return np.maximum(off_diagonal / (runs * (runs - 1)), 0.0)


def _resample_runs(
    runs: list[Counts], statistic: Statistic, resamples: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Return `statistic` of each run (runs), and of each draw of the items (resamples, runs) (steps 1 and 2).

    One draw serves all runs. Its cost grows with the number of distinct rows, not with the number of runs.
    """
    drawn = resample_totals(np.hstack(runs), resamples, seed)
    columns = np.cumsum([run.shape[1] for run in runs])[:-1]
    values = [statistic(run.sum(axis=0, keepdims=True))[0] for run in runs]
    return np.array(values), np.stack(
        [statistic(run_totals) for run_totals in np.split(drawn, columns, axis=1)], axis=1
    )


def _compute_covariance(drawn: FloatArray) -> FloatArray:
    return np.atleast_2d(np.cov(drawn, rowvar=False)).astype(np.float64)


def _combine_groups(groups: list[FloatArray], item_variance: FloatArray) -> Change:
    """Return the sum of the means of the groups, with interval and p (step 6)."""
    value = float(sum(values.mean() for values in groups))
    spread = compute_spread(groups, item_variance)
    half_width = float(spread.half_width)
    return Change(value, value - half_width, value + half_width, spread.compute_p_value(value))
