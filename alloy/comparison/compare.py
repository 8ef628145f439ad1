"""Models side by side: each metric with its interval, and differences of two models with their significance."""

from dataclasses import asdict

import numpy as np

from alloy.comparison.informative import chance_of
from alloy.comparison.metrics import METRICS, MODELS, Metric, is_task, task_metric
from alloy.core.files import InputError, Row
from alloy.scoring.bootstrap import Counts, Estimate, estimate_change, estimate_statistic

AGAIN = "remove the file and run `dvc repro`"
Rows = list[Row]  # what was counted of each comment, question or prompt


def compare(figures: dict[str, Row], rows: dict[str, dict[str, Rows]], resamples: int, seed: int) -> list[Row]:
    """Return a line of the comparison per metric: `{title, name, part, key, n, chance, models, change, over_svm}`.

    `figures` and `rows` are by model and part. `n` is how many items the metric is measured on, `chance` what guessing
    gives (None: not known). `models` has `{value, low, high}` of each model that was measured; `change` is from base to
    tuned, `over_svm` from the SVM to tuned: `{value, low, high, p}`, or None. A metric without rows, or with fewer than
    `ENOUGH`, has values alone.
    """
    named = [figures[model].get("general", {}) for model in MODELS]  # tasks of the profile: `<task> <metric>`
    tasks = [task_metric(key) for key in dict.fromkeys(key for keys in named for key in keys) if is_task(key)]
    compared = [metric for metric in METRICS if metric.compared]
    lines = [_line(metric, figures, rows, resamples, seed) for metric in [*compared, *tasks]]
    return [line for line in lines if line["models"]]


def _line(metric: Metric, figures: dict[str, Row], rows: dict[str, dict[str, Rows]], resamples: int, seed: int) -> Row:
    values = {model: value for model in MODELS if (value := metric.value(figures[model])) is not None}
    items = metric.items
    counts: dict[str, Counts] = {
        model: np.array([items.counts(row) for row in counted], np.int64)
        for model in values
        if items and (counted := rows[model].get(metric.rows))
    }

    def known(model: str) -> Row:
        found = (
            estimate_statistic(counts[model], items.statistic, resamples, seed) if items and model in counts else None
        )
        return {"value": values[model], **_interval(found)}

    def between(before: str, after: str) -> Row | None:
        if not {before, after} <= values.keys():
            return None
        paired = items is not None and {before, after} <= counts.keys()
        found = (
            estimate_change(counts[before], counts[after], items.statistic, resamples, seed)
            if items and paired
            else None
        )
        return {"value": round(values[after] - values[before], 4), **_interval(found)}

    return {
        "title": metric.title,
        "name": metric.name,
        "part": metric.part,
        "key": metric.key,
        "n": _items(metric, figures, counts),
        "chance": chance_of(metric.name, figures["base"]),
        "models": {model: known(model) for model in values},
        "change": between("base", "tuned"),
        "over_svm": between("svm", "tuned"),
    }


def _items(metric: Metric, figures: dict[str, Row], counts: dict[str, Counts]) -> int | None:
    """Return how many items a metric is measured on, None if that is not known."""
    said = (count for own in figures.values() if (count := metric.count(own)) is not None)
    return next(said, next((len(own) for own in counts.values()), None))


def _interval(found: Estimate | None) -> Row:
    """Return what an estimate or a change says beside its value."""
    return {key: round(number, 4) for key, number in asdict(found).items() if key != "value"} if found else {}


def require_same(path: str, rows: Rows, like: Rows) -> None:
    """Raise `InputError` unless both files have the same ids in the same order: else their rows make no pairs."""
    for number, (row, other) in enumerate(zip(rows, like, strict=False), 1):
        if row["id"] != other["id"]:
            raise InputError(f"{path}:{number}: id '{row['id']}' where base has '{other['id']}'; {AGAIN}")
    if len(rows) != len(like):
        raise InputError(f"{path}: {len(rows)} rows where base has {len(like)}; {AGAIN}")
