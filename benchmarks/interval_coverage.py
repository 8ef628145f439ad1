"""Compute the coverage of 95 % intervals for a mean over seeds, for several rules.

    python -m benchmarks.interval_coverage

Seed and item effects are normally distributed. The item part of the variance is known, the seed part is estimated from
k runs. The coverage is the normal probability of the interval, averaged over the chi-squared distribution of the
estimate. alloy/scoring/seeds.py uses the t-interval with power 1.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

Numbers = npt.NDArray[np.float64]
Rule = Callable[[Numbers, float, int], Numbers]  # from estimated seed part, item part, runs to the half-width
ITEM_TO_SEED_RATIOS = (0, 0.03, 0.1, 0.2, 0.4, 0.7, 1, 2, 4, 8, 20, 100)  # item part over the true seed part
QUANTILE = 0.975


def make_t_rule(power: float) -> Rule:
    """Return the t-interval with (k - 1) * (V / seed part) ** power degrees of freedom."""

    def compute_half_width(seed: Numbers, item: float, runs: int) -> Numbers:
        whole = seed + item
        return stats.t.ppf(QUANTILE, (runs - 1) * (whole / seed) ** power) * np.sqrt(whole)

    return compute_half_width


def compute_behrens_fisher(seed: Numbers, item: float, runs: int) -> Numbers:
    """Return the quantile of t(k - 1) * sqrt(seed part) + z * sqrt(item part), by bisection."""
    points = stats.t.ppf((np.arange(400) + 0.5) / 400, runs - 1)
    low, high = np.zeros(len(seed)), 20 * np.sqrt(seed + item)
    for _ in range(30):
        middle = (low + high) / 2
        below = stats.norm.cdf((middle[:, None] - points * np.sqrt(seed)[:, None]) / np.sqrt(item + 1e-12)).mean(axis=1)
        low, high = np.where(below < QUANTILE, middle, low), np.where(below < QUANTILE, high, middle)
    return high


def compute_coverage(rule: Rule, runs: int, item: float) -> float:
    """Return the coverage of the interval if the true seed part is 1."""
    seed = stats.chi2.ppf((np.arange(500) + 0.5) / 500, runs - 1) / (runs - 1)
    return float((2 * stats.norm.cdf(rule(seed, item, runs) / np.sqrt(1 + item)) - 1).mean())


def main() -> None:
    """Print the lowest and the highest coverage of each rule."""
    rules = {
        "t, power 2 (Satterthwaite)": make_t_rule(2),
        "t, power 1 (used)": make_t_rule(1),
        "Behrens-Fisher": compute_behrens_fisher,
    }
    for runs in (2, 3, 5, 10):
        for name, rule in rules.items():
            coverages = [compute_coverage(rule, runs, item) for item in ITEM_TO_SEED_RATIOS]
            print(f"{runs:2} seeds  {name:28} {min(coverages):.3f} to {max(coverages):.3f}")


if __name__ == "__main__":
    main()
