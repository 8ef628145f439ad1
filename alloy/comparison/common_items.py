"""Restrict all models to the same items: comments that fit the context, and chat prompts that were answered."""

import numpy as np

from alloy.comparison.metrics import METRICS, OVER_CONTEXT
from alloy.core.files import Row

VOC, CHAT = "voc", "chat"  # parts: the customer task, and the chat prompts
UNANSWERED = ("context", "refused", "failed")  # values of `Finish` in alloy/inference/engine.py
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


def keep_answered_prompts(rows: dict[str, Parts]) -> dict[str, Parts]:
    """Return `rows` (by model and part) without chat prompts that a service did not answer for one of the models."""
    chats = {model: parts[CHAT] for model, parts in rows.items() if parts.get(CHAT)}
    unanswered = {row["id"] for chat_rows in chats.values() for row in chat_rows if row["finish"] in UNANSWERED}
    answered = {model: [row for row in chat_rows if row["id"] not in unanswered] for model, chat_rows in chats.items()}
    return {model: {**parts, **({CHAT: answered[model]} if model in chats else {})} for model, parts in rows.items()}
