"""The comments that all models are scored on: those that fit the context of the language models."""

import numpy as np

from alloy.comparison.metrics import METRICS, OVER_CONTEXT
from alloy.core.files import Row

VOC = "voc"  # the part of the customer task
Parts = dict[str, list[Row]]


def keep_common_comments(figures: dict[str, Row], rows: dict[str, Parts]) -> tuple[dict[str, Row], dict[str, Parts]]:
    """Return copies of `figures` and `rows` (by model and part) in which the SVM has base's comments only.

    The SVM labels comments of any length. If base left some out as over its context, the SVM's metrics are computed
    again from the rows that remain, and those that have no rows, such as `nova_f1`, are dropped.
    """
    if not figures.get("base", {}).get(VOC, {}).get(OVER_CONTEXT) or VOC not in rows.get("svm", {}):
        return figures, rows
    kept = {row["id"] for row in rows["base"][VOC]}
    own = [row for row in rows["svm"][VOC] if row["id"] in kept]
    again: Row = {"comments": len(own)}
    for metric in METRICS:
        if metric.part == VOC and metric.items and metric.key in figures["svm"][VOC]:
            totals = np.array([metric.items.counts(row) for row in own], np.int64).sum(axis=0, keepdims=True)
            again[metric.key] = round(float(metric.items.statistic(totals)[0]), 4)
    return {**figures, "svm": {VOC: again}}, {**rows, "svm": {VOC: own}}
