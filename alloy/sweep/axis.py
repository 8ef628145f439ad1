"""The two metrics that a sweep trades off: the task, and a general ability (the axis) with the largest allowed drop."""

from difflib import get_close_matches
from math import inf

from alloy.comparison.metrics import BY_NAME, METRICS, Metric, make_task_metric
from alloy.core.files import InputError, Row

TASK_METRIC = BY_NAME["voc.f1"]
DEFAULT_AXIS = "mmlu.acc"  # the general ability, if no other is chosen
DEFAULT_LIMIT = 0.02
LM_EVAL_PREFIX = "general."  # of the tasks that the profile lists in `general`: `general.<task> <metric>`


def list_axes() -> dict[str, Metric]:
    """Return the metrics of general ability by name, without the tasks that the profile lists in `general`."""
    return {metric.name: metric for metric in METRICS if metric.compared and metric.part != TASK_METRIC.part}


def find_axis(name: str) -> Metric:
    """Return the metric of general ability called `name`; "" means `mmlu.acc`. Raise `InputError` if it is unknown."""
    known = list_axes()
    name = name or DEFAULT_AXIS
    if name in known:
        return known[name]
    if name.startswith(LM_EVAL_PREFIX) and len(name) > len(LM_EVAL_PREFIX):
        return make_task_metric(name.removeprefix(LM_EVAL_PREFIX))
    likely = get_close_matches(name, known, 3) or known
    raise InputError(f"--axis: expected a metric of general ability such as {', '.join(likely)}, got '{name}'")


def get_short_title(metric: Metric) -> str:
    """Return the name of a metric in tables and sentences of a sweep."""
    return metric.short or metric.title


def choose_limit(text: str, gate_limit: float | None, metric: Metric) -> float:
    """Return the largest drop of `metric` that is allowed: `text` as a number, else the gate's, else `DEFAULT_LIMIT`.

    A limit on a share is from 0 to 1; a limit on a metric with a unit, such as nats, may be larger.
    """
    if not text:
        return DEFAULT_LIMIT if gate_limit is None else gate_limit
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not (0 <= limit < inf if metric.unit else 0 <= limit <= 1):
        expected = "a number of at least 0" if metric.unit else "a number from 0 to 1"
        raise InputError(f"--max-loss: expected {expected}, got '{text}'")
    return limit


def compute_drop(change: Row, metric: Metric) -> Row:
    """Return by how much a metric got worse, `{value, low?, high?}`, from its change. Below 0, it got better."""
    if not metric.higher_is_better:
        return {key: change[key] for key in ("value", "low", "high") if key in change}
    swapped = {"value": "value", "low": "high", "high": "low"}
    # Not `-change[other]`, which is -0.0 for 0.0.
    return {key: 0.0 - change[other] for key, other in swapped.items() if other in change}
