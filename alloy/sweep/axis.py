"""The two metrics that a sweep weighs: the task's, and a general ability with the loss of it that is allowed."""

from difflib import get_close_matches
from math import inf

from alloy.comparison.metrics import BY_NAME, METRICS, Metric, task_metric
from alloy.core.files import InputError, Row

TASK = BY_NAME["voc.f1"]
GENERAL = "mmlu.acc"  # the general ability, unless another is chosen
LIMIT = 0.02
LM_EVAL = "general."  # tasks of lm-eval that the profile names: `general.<task> <metric>`


def list_axes() -> dict[str, Metric]:
    """Return the metrics of general ability by name; tasks of lm-eval are not among them."""
    return {metric.name: metric for metric in METRICS if metric.compared and metric.part != TASK.part}


def find_axis(name: str) -> Metric:
    """Return the metric of general ability called `name`; "" is `mmlu.acc`. Raise `InputError` if there is none."""
    known = list_axes()
    name = name or GENERAL
    if name in known:
        return known[name]
    if name.startswith(LM_EVAL) and len(name) > len(LM_EVAL):
        return task_metric(name.removeprefix(LM_EVAL))
    likely = get_close_matches(name, known, 3) or known
    raise InputError(f"--axis: expected a metric of general ability such as {', '.join(likely)}, got '{name}'")


def short_title(metric: Metric) -> str:
    """Return what a metric is called in tables and sentences of a sweep."""
    return metric.short or metric.title


def limit_of(given: str, gate: float | None, metric: Metric) -> float:
    """Return the largest loss of `metric` that is allowed: the one given, else the gate's, else `LIMIT`.

    A limit on a share is from 0 to 1; one on a metric with a unit, such as nats, may be larger.
    """
    if not given:
        return LIMIT if gate is None else gate
    try:
        limit = float(given)
    except ValueError:
        limit = -1.0
    if not (0 <= limit < inf if metric.unit else 0 <= limit <= 1):
        wanted = "a number of at least 0" if metric.unit else "a number from 0 to 1"
        raise InputError(f"--max-loss: expected {wanted}, got '{given}'")
    return limit


def worsening(change: Row, metric: Metric) -> Row:
    """Return by how much a metric got worse, of its change from base `{value, low?, high?}`; below 0 it got better."""
    if not metric.higher_is_better:
        return {key: change[key] for key in ("value", "low", "high") if key in change}
    turned = {"value": "value", "low": "high", "high": "low"}
    return {key: 0.0 - change[other] for key, other in turned.items() if other in change}
