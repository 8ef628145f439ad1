"""Compare models: each metric with its interval, and the differences of two models with their significance."""

from dataclasses import asdict

import numpy as np

from alloy.comparison.chance import find_chance_level
from alloy.comparison.metrics import METRICS, MODELS, Metric, is_task, make_task_metric
from alloy.core.files import InputError, Row
from alloy.scoring.bootstrap import Counts, Estimate, estimate_change, estimate_statistic

RERUN_HINT = "remove the file and run `dvc repro`"
Rows = list[Row]  # one per comment, question or prompt


def compare_models(metrics: dict[str, Row], rows: dict[str, dict[str, Rows]], resamples: int, seed: int) -> list[Row]:
    """Return one line per metric: `{title, name, part, key, n, chance, models, change, over_svm}`.

    `metrics` and `rows` are by model and part. In a line:

    - `n` is the number of items that the metric is measured on, `chance` the value that guessing gives (None: unknown).
    - `models` has `{value, low, high}` of each model that was measured.
    - `change` is tuned minus base and `over_svm` tuned minus SVM, each `{value, low, high, p}`, or None.

    A metric without rows, or with fewer than `MIN_ITEMS`, has only values: no `low`, `high` and `p`.
    """
    task_metrics = [metrics[model].get("general", {}) for model in MODELS]  # tasks of the profile: `<task> <metric>`
    tasks = [
        make_task_metric(key) for key in dict.fromkeys(key for keys in task_metrics for key in keys) if is_task(key)
    ]
    compared = [metric for metric in METRICS if metric.compared]
    lines = [_compare_metric(metric, metrics, rows, resamples, seed) for metric in [*compared, *tasks]]
    return [line for line in lines if line["models"]]


def _compare_metric(
    metric: Metric, metrics: dict[str, Row], rows: dict[str, dict[str, Rows]], resamples: int, seed: int
) -> Row:
    values = {model: value for model in MODELS if (value := metric.read_value(metrics[model])) is not None}
    items = metric.items
    counts: dict[str, Counts] = {
        model: np.array([items.counts(row) for row in model_rows], np.int64)
        for model in values
        if items and (model_rows := rows[model].get(metric.rows_part))
    }

    def estimate_model(model: str) -> Row:
        estimate = (
            estimate_statistic(counts[model], items.statistic, resamples, seed) if items and model in counts else None
        )
        return {"value": values[model], **_list_interval_fields(estimate)}

    def estimate_difference(before: str, after: str) -> Row | None:
        if not {before, after} <= values.keys():
            return None
        paired = items is not None and {before, after} <= counts.keys()
        estimate = (
            estimate_change(counts[before], counts[after], items.statistic, resamples, seed)
            if items and paired
            else None
        )
        return {"value": round(values[after] - values[before], 4), **_list_interval_fields(estimate)}

    return {
        "title": metric.title,
        "name": metric.name,
        "part": metric.part,
        "key": metric.key,
        "n": _count_items(metric, metrics, counts),
        "chance": find_chance_level(metric.name, metrics["base"]),
        "models": {model: estimate_model(model) for model in values},
        "change": estimate_difference("base", "tuned"),
        "over_svm": estimate_difference("svm", "tuned"),
    }


def _count_items(metric: Metric, metrics: dict[str, Row], counts: dict[str, Counts]) -> int | None:
    """Return the number of items that a metric is measured on, or None if it is not known."""
    recorded = (count for model_metrics in metrics.values() if (count := metric.read_count(model_metrics)) is not None)
    return next(recorded, next((len(model_metrics) for model_metrics in counts.values()), None))


def _list_interval_fields(estimate: Estimate | None) -> Row:
    """Return the fields `low`, `high` and, if it is a change, `p` of an estimate; no fields if there is none."""
    return {key: round(number, 4) for key, number in asdict(estimate).items() if key != "value"} if estimate else {}


def require_same_ids(path: str, rows: Rows, base_rows: Rows) -> None:
    """Raise `InputError` unless `rows` (of the file `path`) and `base_rows` have the same ids in the same order."""
    for number, (row, base_row) in enumerate(zip(rows, base_rows, strict=False), 1):
        if row["id"] != base_row["id"]:
            raise InputError(
                f"{path}:{number}: expected id '{base_row['id']}' as for the base model, got '{row['id']}'; "
                f"{RERUN_HINT}"
            )
    if len(rows) != len(base_rows):
        raise InputError(f"{path}: expected {len(base_rows)} rows as for the base model, got {len(rows)}; {RERUN_HINT}")
