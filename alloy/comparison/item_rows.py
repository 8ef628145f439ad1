"""Where the rows of a metric are: what stages wrote about each comment, question, prompt or general row."""

from collections.abc import Callable

from alloy.comparison.metrics import ANSWERS, STAGES, Metric
from alloy.core.files import Row

JUDGED = ("leak", "empty", "cut", "loops")  # of general answers, by `compare`
LOSS = "metrics/general_loss.jsonl"  # one file of both models


def rows_of(metric: Metric, model: str, read: Callable[[str], list[Row]], formulation: str | None) -> list[Row] | None:
    """Return the rows from which `metric` of `model` is computed, in the order of the test; None if it has none.

    `read` returns the rows of a file by its path; `formulation` is that of `mmlu.acc`.
    """
    if metric.items is None:
        return None
    if metric.key in JUDGED:
        rows = read(f"metrics/{ANSWERS}/{model}.jsonl")
        return [row for row in rows if metric.part in ("", ANSWERS, row["test"])]
    if metric.part == "loss":
        return loss_rows(read(LOSS), model)
    rows = read(f"metrics/{STAGES[metric.part]}/{model}.jsonl")
    return [{**row, "acc": row[formulation]} for row in rows] if metric.name == "mmlu.acc" and formulation else rows


def loss_rows(rows: list[Row], model: str) -> list[Row]:
    """Return the rows of one model, of those that the stage `general_loss` wrote for both; base is at KL 0."""
    return [{**row, "nats": row[model], "kl": row["kl"] if model == "tuned" else 0} for row in rows]
