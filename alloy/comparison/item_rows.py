"""Select the rows of a metric from the files that stages wrote: one per comment, question, prompt or general row."""

from collections.abc import Callable

from alloy.comparison.metrics import ANSWERS, STAGES, Metric
from alloy.core.files import Row

ANSWER_FLAGS = ("leak", "empty", "cut", "loops")  # in each row about a general answer, written by `compare`
LOSS = "metrics/general_loss.jsonl"  # one file for both models


def select_rows(
    metric: Metric, model: str, read: Callable[[str], list[Row]], formulation: str | None
) -> list[Row] | None:
    """Return the rows from which `metric` of `model` is computed, in the order of the test; None if it has no rows.

    `read` returns the rows of the file at a path; `formulation` is the formulation of `mmlu.acc`.
    """
    if metric.items is None:
        return None
    if metric.key in ANSWER_FLAGS:
        rows = read(f"metrics/{ANSWERS}/{model}.jsonl")
        return [row for row in rows if metric.part in ("", ANSWERS, row["test"])]
    if metric.part == "loss":
        return select_loss_rows(read(LOSS), model)
    rows = read(f"metrics/{STAGES[metric.part]}/{model}.jsonl")
    return [{**row, "acc": row[formulation]} for row in rows] if metric.name == "mmlu.acc" and formulation else rows


def select_loss_rows(rows: list[Row], model: str) -> list[Row]:
    """Return the rows of one model from those that `general_loss` wrote for both models; the base model has KL 0."""
    return [{**row, "nats": row[model], "kl": row["kl"] if model == "tuned" else 0} for row in rows]
