"""Configurations: runs that differ in their seed alone, as one row with means and intervals."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import fmean

from alloy.comparison.metrics import Metric
from alloy.core.files import Row
from alloy.scoring.bootstrap import Change, Estimate
from alloy.scoring.seeds import (
    estimate_change_over_seeds,
    estimate_difference_over_seeds,
    estimate_mean_of_values,
    estimate_mean_over_seeds,
)
from alloy.scoring.settings import Score
from alloy.sweep.axis import TASK, worsening
from alloy.sweep.results import Run, counts_of


@dataclass(frozen=True)
class Configuration:
    """The runs of one configuration, and their means.

    `figures`: `{value, low?, high?}` of the tuned models by metric's name. `loss`: the same of what was lost on `axis`
    against base, which is better the lower it is. Intervals are over seeds and items if there are several runs, else
    over items.
    """

    axis: Metric
    runs: tuple[Run, ...]
    figures: dict[str, Row | None]
    loss: Row = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The share of general data that was asked for."""
        return self.runs[0].settings.ratio

    @property
    def general_share(self) -> float | None:
        """The mean share of general data that training saw, in the unit of the mix; None if a run does not tell it."""
        shares = [run.given.general for run in self.runs if run.given]
        return round(sum(shares) / len(shares), 4) if len(shares) == len(self.runs) else None

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.runs[0].settings.lr

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs."""
        return [run.settings.seed for run in self.runs]

    @property
    def task(self) -> Row:
        """The task's metric."""
        return self.figures[TASK.name] or {}

    @property
    def general(self) -> Row:
        """The metric of the axis."""
        return self.figures[self.axis.name] or {}


def group_runs(runs: list[Run], axis: Metric, metrics: list[Metric], score: Score) -> list[Configuration]:
    """Return the configurations of `runs` in their order, with the means of TASK, `axis` and other `metrics`."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.settings.others, []).append(run)
    wanted = {metric.name: metric for metric in (TASK, axis, *metrics)}.values()
    return [
        Configuration(
            axis,
            tuple(own),
            {metric.name: mean(metric, own, score) for metric in wanted},
            loss_of(axis, own, score),
        )
        for own in groups.values()
    ]


def mean(metric: Metric, runs: list[Run], score: Score) -> Row | None:
    """Return the tuned models' mean, or None unless all were measured."""
    found = [figure for run in runs if (figure := run.figure(metric))]
    if len(found) < len(runs):
        return None
    if len(runs) == 1:
        return {key: found[0][key] for key in ("value", "low", "high") if key in found[0]}
    values = [figure["value"] for figure in found]
    if any(run.too_few(metric) for run in runs):
        return _without_interval(values)
    items, counts = metric.items, counts_of(metric, [(run, "tuned") for run in runs])
    if items is None or counts is None:
        return rounded(estimate_mean_of_values(values))
    overall = estimate_mean_over_seeds(counts, items.statistic, score.resamples, score.seed)
    return rounded(overall) if overall else _without_interval(values)


def _without_interval(values: list[float]) -> Row:
    return {"value": round(fmean(values), 4)}


def loss_of(metric: Metric, runs: list[Run], score: Score) -> Row:
    """Return the mean of what was lost against base, which must be measured in all runs."""
    changes = [run.change(metric) or {} for run in runs]
    if len(runs) == 1:
        return worsening(changes[0], metric)
    values = [change["value"] for change in changes]
    if any(run.too_few(metric) for run in runs):
        return worsening(_without_interval(values), metric)
    items, counts = metric.items, counts_of(metric, [(runs[0], "base"), *((run, "tuned") for run in runs)])
    found: Estimate | None = None
    if items is None or counts is None:
        found = estimate_mean_of_values(values)
    else:
        found = estimate_change_over_seeds(counts[0], counts[1:], items.statistic, score.resamples, score.seed)
    return worsening(rounded(found) if found else _without_interval(values), metric)


def task_difference(one: Configuration, other: Configuration, score: Score) -> Change | None:
    """Return by how much the task's metric of `one` exceeds that of `other`; None if their rows are not known."""
    items = TASK.items
    counts = counts_of(TASK, [(run, "tuned") for run in (*one.runs, *other.runs)])
    if items is None or counts is None:
        return None
    split = len(one.runs)
    return estimate_difference_over_seeds(counts[:split], counts[split:], items.statistic, score.resamples, score.seed)


def missing_seeds(configurations: list[Configuration], name: Callable[[Configuration], str]) -> list[str]:
    """Return a line for each configuration without a run of a seed that another one has."""
    every = sorted({seed for one in configurations for seed in one.seeds})
    lines = []
    for one in configurations:
        missing = [str(seed) for seed in every if seed not in one.seeds]
        if missing:
            given = ", ".join(map(str, one.seeds))
            lines.append(
                f"mix.ratio {name(one)}: no finished run of seed {', '.join(missing)}; its figures are of {given}"
            )
    return lines


def rounded(found: Estimate) -> Row:
    """Return value and interval with four places, as comparisons have them."""
    return {key: round(number, 4) for key, number in asdict(found).items() if key in ("value", "low", "high")}
