"""Restrict all models to the same comments: those that fit the context of the language models."""

import numpy as np

from alloy.comparison.metrics import METRICS, OVER_CONTEXT
from alloy.core.files import Row

VOC = "voc"  # the part of the customer task
Parts = dict[str, list[Row]]


def keep_common_comments(metrics: dict[str, Row], rows: dict[str, Parts]) -> tuple[dict[str, Row], dict[str, Parts]]:
    """Return copies of `metrics` and `rows` (by model and part) in which the SVM has only the base model's comments.

    The SVM labels comments of any length. If the base model left out comments that are longer than the context, the
    SVM's metrics are computed again from the remaining rows. Metrics without rows, such as `nova_f1`, are dropped.
    """
    if not metrics.get("base", {}).get(VOC, {}).get(OVER_CONTEXT) or VOC not in rows.get("svm", {}):
        return metrics, rows
    common_ids = {row["id"] for row in rows["base"][VOC]}
    svm_rows = [row for row in rows["svm"][VOC] if row["id"] in common_ids]
    svm_metrics: Row = {"comments": len(svm_rows)}
    for metric in METRICS:
        if metric.part == VOC and metric.items and metric.key in metrics["svm"][VOC]:
            totals = np.array([metric.items.counts(row) for row in svm_rows], np.int64).sum(axis=0, keepdims=True)
            svm_metrics[metric.key] = round(float(metric.items.statistic(totals)[0]), 4)
    return {**metrics, "svm": {VOC: svm_metrics}}, {**rows, "svm": {VOC: svm_rows}}
