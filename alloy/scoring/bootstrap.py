"""95 % intervals, and the significance of a difference, by bootstrap over comments, questions or prompts.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993; paired as by Koehn, Statistical Significance Tests for
Machine Translation Evaluation, 2004.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


def estimate(counts: Counts, statistic: Statistic, resamples: int, seed: int) -> Estimate:
    """Return `statistic` of all units with its interval."""
    values = statistic(totals(counts, resamples, seed))
    return Estimate(_value(counts, statistic), *_interval(values))


def change(before: Counts, after: Counts, statistic: Statistic, resamples: int, seed: int) -> Change:
    """Return how `statistic` differs between two models; row by row, both are of the same unit, drawn together."""
    columns = before.shape[1]
    drawn = totals(np.hstack([before, after]), resamples, seed)
    differences = statistic(drawn[:, columns:]) - statistic(drawn[:, :columns])
    one_side = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return Change(
        _value(after, statistic) - _value(before, statistic),
        *_interval(differences),
        p=min(1.0, 2 * (one_side + 1) / (resamples + 1)),
    )


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
