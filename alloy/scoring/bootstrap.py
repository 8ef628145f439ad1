"""95 % intervals, and the significance of a difference, by bootstrap over comments, questions or prompts.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993; paired as by Koehn, Statistical Significance Tests for
Machine Translation Evaluation, 2004.

Where the bootstrap says nothing, exact tests take its place:

- Fewer than `ENOUGH` items have no interval and no p.
- If all items are alike, every draw gives the same value. The interval is then that of the binomial distribution
  (Clopper and Pearson, 1934): of n items that are alike, at least the share L = 0.025 ** (1 / n) of all items is so.
- If all items that changed did so in one direction, draws hardly reach 0. p is then that of the sign test, which for
  right and wrong answers is the exact McNemar test; and an interval does not exclude 0 unless p does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ENOUGH = 30  # items; fewer have no interval, no p and no verdict
ALPHA = 0.05  # for p and intervals
EQUAL = 1e-9  # values that are nearer than this are equal
Counts = npt.NDArray[np.int64]  # (units, columns): what each comment, question or prompt adds to the totals
Statistic = Callable[[Counts], npt.NDArray[np.float64]]  # from totals (draws, columns) to a value a draw


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Change(Estimate):
    """The difference of two models on the same units; `p` is two-sided, of the hypothesis that there is none."""

    p: float


def estimate(counts: Counts, statistic: Statistic, resamples: int, seed: int) -> Estimate | None:
    """Return `statistic` of all units with its interval; None if the units are too few."""
    if len(counts) < ENOUGH:
        return None
    value = _value(counts, statistic)
    low, high = _interval(statistic(totals(counts, resamples, seed)))
    if high - low < EQUAL and statistic in SHARES:
        alike = _least_share(len(counts))
        low, high = alike * value, alike * value + (1 - alike)
    return Estimate(value, low, high)


def change(before: Counts, after: Counts, statistic: Statistic, resamples: int, seed: int) -> Change | None:
    """Return how `statistic` differs between two models; row by row, both are of the same unit, drawn together.

    None if the units are too few.
    """
    if len(before) < ENOUGH:
        return None
    columns = before.shape[1]
    drawn = totals(np.hstack([before, after]), resamples, seed)
    differences = statistic(drawn[:, columns:]) - statistic(drawn[:, :columns])
    value = _value(after, statistic) - _value(before, statistic)
    low, high = _interval(differences)
    if high - low < EQUAL and statistic in SHARES:
        alike = _least_share(len(before))
        low, high = max(alike * value - (1 - alike), -1.0), min(alike * value + (1 - alike), 1.0)
    steps = statistic(after) - statistic(before)  # of each unit
    better, worse = int((steps > 0).sum()), int((steps < 0).sum())
    if better and worse:
        one_side = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
        return Change(value, low, high, p=min(1.0, 2 * (one_side + 1) / (resamples + 1)))
    p = min(1.0, 2.0 * 0.5 ** (better + worse))
    return Change(value, low, high, p) if p < ALPHA else Change(value, min(low, 0.0), max(high, 0.0), p)


def _least_share(units: int) -> float:
    """Return the lower end of the 95 % interval of a share that all of so many units have."""
    return (ALPHA / 2) ** (1 / units)


def totals(counts: Counts, resamples: int, seed: int) -> Counts:
    """Return the column sums (resamples, columns) of draws with replacement, each of as many units as there are.

    Units with the same counts are drawn together, by a multinomial over the distinct ones: the same distribution, at a
    cost that grows with the distinct ones alone.
    """
    distinct, times = np.unique(counts, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(counts), times / len(counts), size=resamples)
    return drawn @ distinct


def _value(counts: Counts, statistic: Statistic) -> float:
    return float(statistic(counts.sum(axis=0, keepdims=True))[0])


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def f1(counts: Counts) -> npt.NDArray[np.float64]:
    """Return micro F1 of totals (matched, predicted, gold); 0 where nothing was predicted and nothing is there."""
    matched, predicted, gold = counts.T
    return 2 * matched / np.maximum(predicted + gold, 1)


def share(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the share that totals (held, units) say."""
    held, units = counts.T
    return held / np.maximum(units, 1)


def nats_per_token(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the mean over tokens of totals (millionths of a nat, tokens)."""
    micronats, tokens = counts.T
    return micronats / np.maximum(tokens, 1) / 1e6


def precision(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the share of predicted labels that match, of totals (matched, predicted, gold)."""
    return counts[:, 0] / np.maximum(counts[:, 1], 1)


def recall(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the share of gold labels that are matched, of totals (matched, predicted, gold)."""
    return counts[:, 0] / np.maximum(counts[:, 2], 1)


SHARES = frozenset[Statistic]({f1, share, precision, recall})  # statistics that are from 0 to 1
