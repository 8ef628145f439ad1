"""Order-free matching: how many labels of a comment were found, wherever they stand in the answer."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]  # (comments, 3): matched, predicted, gold


@dataclass(frozen=True)
class Rates:
    """Micro-averaged precision, recall and F1; 0 where nothing was predicted or nothing is there to find."""

    precision: float
    recall: float
    f1: float


def count_matches(gold: Iterable[Sequence[Hashable]], predicted: Iterable[Sequence[Hashable]]) -> Counts:
    """Return per comment (matched, predicted, gold) labels as multisets: a label counts as often as it stands there."""
    rows = []
    for gold_labels, predicted_labels in zip(gold, predicted, strict=True):
        matched = (Counter(gold_labels) & Counter(predicted_labels)).total()
        rows.append((matched, len(predicted_labels), len(gold_labels)))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def rates(counts: Counts) -> Rates:
    """Return the micro average over all comments of `counts`."""
    matched, predicted, gold = (int(total) for total in counts.sum(axis=0))
    return Rates(
        precision=matched / predicted if predicted else 0.0,
        recall=matched / gold if gold else 0.0,
        f1=2 * matched / (predicted + gold) if predicted + gold else 0.0,
    )


def f1_interval(counts: Counts, resamples: int, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile interval of micro F1 by bootstrap over comments (Efron and Tibshirani, 1993)."""
    rng = np.random.default_rng(seed)
    size = len(counts)
    # A resample is how often each comment was drawn; one at a time, so that memory stays with the comments.
    totals = np.array([rng.multinomial(size, np.full(size, 1 / size)) @ counts for _ in range(resamples)])
    matched, predicted, gold = totals.T
    f1 = 2 * matched / np.maximum(predicted + gold, 1)
    low, high = np.percentile(f1, [2.5, 97.5])
    return float(low), float(high)
