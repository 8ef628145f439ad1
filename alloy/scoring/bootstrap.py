"""95 % intervals, and the significance of a difference, by bootstrap over comments, questions or prompts.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993; paired as by Koehn, Statistical Significance Tests for
Machine Translation Evaluation, 2004.

Algorithm:

1. Draw as many items as there are, with replacement. Repeat `resamples` times.
2. Compute the statistic of each draw. For a difference: draw the same items for both models, and subtract.
3. Interval = the 2.5th and the 97.5th percentile of these values.
4. p of a difference = 2 * (draws in the smaller tail + 1) / (resamples + 1). The smaller tail is the draws at or below
   0, or those at or above 0, whichever are fewer.

Example: 100 items, of which 30 are right. The share is 0.30, and its interval about 0.21 to 0.39.

Exact tests replace the bootstrap in three cases:

- Fewer than `MIN_ITEMS` items: no interval and no p.
- All items are equal, so every draw gives the same value. The interval is that of the binomial distribution (Clopper
  and Pearson, 1934). If all of n items are right, at least the share L = 0.025 ** (1 / n) of all possible items is.
- All items that changed did so in one direction, so draws hardly reach 0. p is that of the sign test; for right and
  wrong answers, this is the exact McNemar test. The interval is widened to contain 0 unless p < `ALPHA`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MIN_ITEMS = 30  # fewer items have no interval, no p and no verdict
ALPHA = 0.05  # level of significance, of p and of intervals
EPSILON = 1e-9  # values that differ by less are equal
Counts = npt.NDArray[np.int64]  # (items, columns): what each comment, question or prompt adds to the totals
Statistic = Callable[[Counts], npt.NDArray[np.float64]]  # from totals (draws, columns) to one value per draw


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Change(Estimate):
    """The difference of two models on the same items; `p` is two-sided, of the hypothesis that it is 0."""

    p: float


def estimate_statistic(counts: Counts, statistic: Statistic, resamples: int, seed: int) -> Estimate | None:
    """Return `statistic` of all items with its interval; None if there are fewer than `MIN_ITEMS`."""
    if len(counts) < MIN_ITEMS:
        return None
    value = _compute_value(counts, statistic)
    low, high = _compute_percentile_interval(statistic(resample_totals(counts, resamples, seed)))
    if high - low < EPSILON and statistic in SHARE_STATISTICS:
        least = _compute_least_share(len(counts))
        low, high = least * value, least * value + (1 - least)
    return Estimate(value, low, high)


def estimate_change(before: Counts, after: Counts, statistic: Statistic, resamples: int, seed: int) -> Change | None:
    """Return the difference of `statistic`, `after` minus `before`; None if there are fewer than `MIN_ITEMS` items.

    Row i of both is the same item, so the two rows are always drawn together.
    """
    if len(before) < MIN_ITEMS:
        return None
    columns = before.shape[1]
    drawn = resample_totals(np.hstack([before, after]), resamples, seed)
    differences = statistic(drawn[:, columns:]) - statistic(drawn[:, :columns])
    value = _compute_value(after, statistic) - _compute_value(before, statistic)
    item_differences = statistic(after) - statistic(before)
    change = widen_interval(make_change(value, differences), item_differences, statistic)
    sign_test_p = compute_sign_test_p(item_differences)
    return change if sign_test_p is None else Change(change.value, change.low, change.high, sign_test_p)


def make_change(value: float, drawn: npt.NDArray[np.float64]) -> Change:
    """Return a difference with the interval and p (steps 3 and 4) of its bootstrap draws (resamples)."""
    low, high = _compute_percentile_interval(drawn)
    draws_in_smaller_tail = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return Change(value, low, high, p=float(min(1.0, 2 * (draws_in_smaller_tail + 1) / (len(drawn) + 1))))


def compute_sign_test_p(item_differences: npt.NDArray[np.float64]) -> float | None:
    """Return p of the sign test if all items (items) that changed did so in one direction; otherwise None."""
    better, worse = int((item_differences > 0).sum()), int((item_differences < 0).sum())
    return None if better and worse else min(1.0, 2.0 * 0.5 ** (better + worse))


def widen_interval(change: Change, item_differences: npt.NDArray[np.float64], statistic: Statistic) -> Change:
    """Return a change with the exact interval if all items (items) changed alike, or all changes have one direction."""
    value, low, high = change.value, change.low, change.high
    if high - low < EPSILON and statistic in SHARE_STATISTICS:
        least = _compute_least_share(len(item_differences))
        low, high = max(least * value - (1 - least), -1.0), min(least * value + (1 - least), 1.0)
    sign_test_p = compute_sign_test_p(item_differences)
    if sign_test_p is not None and sign_test_p >= ALPHA:
        low, high = min(low, 0.0), max(high, 0.0)
    return Change(value, low, high, change.p)


def _compute_least_share(items: int) -> float:
    """Return the lower end of the 95 % interval of a share if all of the items have the property (Clopper, Pearson)."""
    return (ALPHA / 2) ** (1 / items)


def resample_totals(counts: Counts, resamples: int, seed: int) -> Counts:
    """Return the column sums (resamples, columns) of draws with replacement, each of as many items as there are.

    Items with equal rows are drawn as one group, by a multinomial distribution over the distinct rows. The distribution
    of the sums is the same, and the cost grows only with the number of distinct rows.
    """
    distinct, repetitions = np.unique(counts, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(counts), repetitions / len(counts), size=resamples)
    return drawn @ distinct


def _compute_value(counts: Counts, statistic: Statistic) -> float:
    return float(statistic(counts.sum(axis=0, keepdims=True))[0])


def _compute_percentile_interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def compute_f1(counts: Counts) -> npt.NDArray[np.float64]:
    """Return micro F1 of totals (matched, predicted, gold); 0 if both predicted and gold are 0."""
    matched, predicted, gold = counts.T
    return 2 * matched / np.maximum(predicted + gold, 1)


def compute_share(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the share of totals (items with the property, items)."""
    with_property, items = counts.T
    return with_property / np.maximum(items, 1)


def compute_nats_per_token(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the mean over tokens of totals (millionths of a nat, tokens)."""
    micronats, tokens = counts.T
    return micronats / np.maximum(tokens, 1) / 1e6


def compute_precision(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the share of predicted labels that match, of totals (matched, predicted, gold)."""
    return counts[:, 0] / np.maximum(counts[:, 1], 1)


def compute_recall(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the share of gold labels that are matched, of totals (matched, predicted, gold)."""
    return counts[:, 0] / np.maximum(counts[:, 2], 1)


# Statistics from 0 to 1:
SHARE_STATISTICS = frozenset[Statistic]({compute_f1, compute_share, compute_precision, compute_recall})
