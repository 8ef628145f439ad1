"""Configurations: runs that differ only in their seed, as one row with means and intervals."""

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
from alloy.sweep.axis import TASK_METRIC, compute_drop
from alloy.sweep.results import Run, count_rows


@dataclass(frozen=True)
class Configuration:
    """The runs of one configuration, and their means.

    `estimates`: `{value, low?, high?}` of the tuned models, by metric name. `loss`: the same for the loss on `axis`
    compared with the base model; lower is better. Intervals are over seeds and items if there are several runs, else
    over items.
    """

    axis: Metric
    runs: tuple[Run, ...]
    estimates: dict[str, Row | None]
    loss: Row = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The requested share of general data (`mix.ratio`)."""
        return self.runs[0].settings.ratio

    @property
    def general_share(self) -> float | None:
        """The mean share of general data that training saw, in the unit of the mix; None if a run has no budget."""
        shares = [run.budget.general for run in self.runs if run.budget]
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
        """The estimate of the task metric."""
        return self.estimates[TASK_METRIC.name] or {}

    @property
    def general(self) -> Row:
        """The estimate of the metric of the axis."""
        return self.estimates[self.axis.name] or {}


def group_runs(runs: list[Run], axis: Metric, metrics: list[Metric], score: Score) -> list[Configuration]:
    """Return the configurations of `runs`, in their order, with the means of task metric, `axis` and `metrics`."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.settings.configuration, []).append(run)
    all_metrics = {metric.name: metric for metric in (TASK_METRIC, axis, *metrics)}.values()
    return [
        Configuration(
            axis,
            tuple(group),
            {metric.name: compute_mean(metric, group, score) for metric in all_metrics},
            compute_mean_drop(axis, group, score),
        )
        for group in groups.values()
    ]


def compute_mean(metric: Metric, runs: list[Run], score: Score) -> Row | None:
    """Return the mean of the tuned models; None unless the metric was measured in all runs."""
    estimates = [estimate for run in runs if (estimate := run.read_estimate(metric))]
    if len(estimates) < len(runs):
        return None
    if len(runs) == 1:
        return {key: estimates[0][key] for key in ("value", "low", "high") if key in estimates[0]}
    values = [estimate["value"] for estimate in estimates]
    if any(run.has_too_few_items(metric) for run in runs):
        return _average_without_interval(values)
    items, counts = metric.items, count_rows(metric, [(run, "tuned") for run in runs])
    if items is None or counts is None:
        return round_estimate(estimate_mean_of_values(values))
    overall = estimate_mean_over_seeds(counts, items.statistic, score.resamples, score.seed)
    return round_estimate(overall) if overall else _average_without_interval(values)


def _average_without_interval(values: list[float]) -> Row:
    return {"value": round(fmean(values), 4)}


def compute_mean_drop(metric: Metric, runs: list[Run], score: Score) -> Row:
    """Return by how much a metric got worse on average, compared with the base model.

    The metric must be measured in all runs.
    """
    changes = [run.read_change(metric) or {} for run in runs]
    if len(runs) == 1:
        return compute_drop(changes[0], metric)
    values = [change["value"] for change in changes]
    if any(run.has_too_few_items(metric) for run in runs):
        return compute_drop(_average_without_interval(values), metric)
    items, counts = metric.items, count_rows(metric, [(runs[0], "base"), *((run, "tuned") for run in runs)])
    estimate: Estimate | None = None
    if items is None or counts is None:
        estimate = estimate_mean_of_values(values)
    else:
        estimate = estimate_change_over_seeds(counts[0], counts[1:], items.statistic, score.resamples, score.seed)
    return compute_drop(round_estimate(estimate) if estimate else _average_without_interval(values), metric)


def compute_task_difference(first: Configuration, second: Configuration, score: Score) -> Change | None:
    """Return the difference of the task metric, `first` minus `second`; None if some of their rows are missing."""
    items = TASK_METRIC.items
    counts = count_rows(TASK_METRIC, [(run, "tuned") for run in (*first.runs, *second.runs)])
    if items is None or counts is None:
        return None
    first_count = len(first.runs)
    return estimate_difference_over_seeds(
        counts[:first_count], counts[first_count:], items.statistic, score.resamples, score.seed
    )


def describe_missing_seeds(configurations: list[Configuration], label: Callable[[Configuration], str]) -> list[str]:
    """Return one line per configuration that lacks a seed that another configuration has."""
    all_seeds = sorted({seed for configuration in configurations for seed in configuration.seeds})
    lines = []
    for configuration in configurations:
        missing = [str(seed) for seed in all_seeds if seed not in configuration.seeds]
        if missing:
            available = ", ".join(map(str, configuration.seeds))
            lines.append(
                f"mix.ratio {label(configuration)}: no finished run of seed {', '.join(missing)}; "
                f"its metrics are from seed {available}"
            )
    return lines


def round_estimate(estimate: Estimate) -> Row:
    """Return value and interval with four decimals, as in comparisons."""
    return {key: round(number, 4) for key, number in asdict(estimate).items() if key in ("value", "low", "high")}
