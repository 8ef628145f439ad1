"""The registry of metrics: one entry per metric, used by tables, charts, gate, review and frontier.

To add a metric, add a line to `METRICS`. Its name is the path of its value in the metrics of a model: `<part>.<key>`,
or `<key>` for a number about the whole model. Its interval is computed from the rows of its part
(metrics/<stage>/<model>.jsonl). A metric that does not apply is absent from both: for example, metrics of emotions if
the labels have none. Tasks of lm-eval that a profile names need no entry.
"""

from collections.abc import Callable
from dataclasses import dataclass

from alloy.core.files import Row
from alloy.scoring.bootstrap import (
    Statistic,
    compute_f1,
    compute_nats_per_token,
    compute_precision,
    compute_recall,
    compute_share,
)

LANGUAGE_MODELS = ("base", "tuned")
MODELS = (*LANGUAGE_MODELS, "svm")
# The stage that measures each part.
STAGES = {
    "voc": "score",
    "mmlu": "mmlu",
    "ifeval": "ifeval",
    "general": "general",
    "chat": "chat",
    "loss": "general_loss",
}
TESTS = {  # parts with generated answers to general questions, and what these questions are called in sentences
    "mmlu": "multiple-choice questions",
    "ifeval": "IFEval's prompts",
    "general": "the profile's other tasks",
    "chat": "the plain chat prompts",
}
ANSWERS = "answers"  # the part about the generated answers of all tests
COUNT = "n"  # key of the number of answers; in the part `general`, of the number of items by task metric
OVER_CONTEXT = "over_context"  # key of the number of items left out because they are longer than the model's context
TASKS = "general."  # prefix of lm-eval tasks that the profile names: `general.<task> <metric>`


@dataclass(frozen=True)
class RowStatistic:
    """How a metric is computed from rows: `counts` returns integers for a row, `statistic` the metric from their sums.

    Example: for a share, the counts are (1 if the row has the flag else 0, 1), and the statistic is their quotient.
    """

    counts: Callable[[Row], tuple[int, ...]]
    statistic: Statistic


@dataclass(frozen=True)
class Metric:
    """One number about a model.

    - `name`: `<part>.<key>` or `<key>`, the keys of its value in the metrics of a model.
    - `title`: its name in tables.
    - `count_key`: the key, in the same part, of the number of items that it is measured on; "": the number of rows.
    - `headline`: whether it is in metrics/summary.json, which `dvc metrics diff` shows.
    - `compared`: whether it is a line of the comparison. A gate can be set on these metrics.
    - `short`: a short title, only of metrics that describe the trade-off: columns of the frontier, first in a review.
    - `items`: how it is computed from rows; None: the metric has no interval.
    - `unit`: for example "nats per token"; "": a share from 0 to 1.
    """

    name: str
    title: str
    count_key: str
    higher_is_better: bool = True
    headline: bool = True
    compared: bool = True
    short: str = ""
    items: RowStatistic | None = None
    unit: str = ""

    @property
    def part(self) -> str:
        """The part of the metrics that it is in; empty for a number about the whole model."""
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def key(self) -> str:
        """Its key within its part."""
        return self.name.removeprefix(f"{self.part}.")

    @property
    def rows_part(self) -> str:
        """The part whose rows its interval is computed from."""
        return self.part or ANSWERS

    def read_value(self, metrics: Row) -> float | None:
        """Return its value in the metrics of one model, or None if it was not measured."""
        return (metrics.get(self.part, {}) if self.part else metrics).get(self.key)

    def read_count(self, metrics: Row) -> int | None:
        """Return its number of items in the metrics of one model, or None if it is not there."""
        part_metrics = metrics.get(self.part or ANSWERS, {})
        if self.name.startswith(TASKS) and self.name not in BY_NAME:
            return part_metrics.get(COUNT, {}).get(self.key)
        return part_metrics.get(self.count_key or COUNT) if self.count_key or not self.part else None


def _count_matches(row: Row) -> tuple[int, ...]:
    return row["matched"], row["predicted"], row["gold"]


def _count_full_matches(row: Row) -> tuple[int, ...]:
    return row["matched_full"], row["predicted"], row["gold"]


def _make_share(key: str) -> RowStatistic:
    """Return how to compute the share of rows in which `key` is 1. If `key` holds a list, its entries count instead."""

    def count_flags(row: Row) -> tuple[int, ...]:
        flags = row[key] if isinstance(row[key], list) else [row[key]]
        return sum(flags), len(flags)

    return RowStatistic(count_flags, compute_share)


def _make_nats_per_token(key: str) -> RowStatistic:
    """Return how to compute nats per token; nats are counted in integer millionths, so that sums are exact."""
    return RowStatistic(lambda row: (round(row[key] * 1e6), row["tokens"]), compute_nats_per_token)


def _make_answer_metric(name: str, title: str) -> Metric:
    """Return the metric of a share of general answers: lower is better, not a headline."""
    return Metric(name, title, "", False, headline=False, items=_make_share(name.partition(".")[2]))


METRICS = (
    Metric("voc.f1", "VOC F1", "comments", short="VOC F1", items=RowStatistic(_count_matches, compute_f1)),
    Metric(
        "voc.f1_full",
        "VOC F1, path and emotion",
        "comments",
        short="VOC F1 full",
        items=RowStatistic(_count_full_matches, compute_f1),
    ),
    Metric("voc.precision", "VOC precision", "comments", items=RowStatistic(_count_matches, compute_precision)),
    Metric("voc.recall", "VOC recall", "comments", items=RowStatistic(_count_matches, compute_recall)),
    Metric("voc.f1_low", "VOC F1, lower end of its 95 % interval", "comments", compared=False),
    Metric("voc.f1_high", "VOC F1, upper end of its 95 % interval", "comments", compared=False),
    Metric("voc.f1_full_low", "VOC F1, path and emotion, lower end of its 95 % interval", "comments", compared=False),
    Metric("voc.f1_full_high", "VOC F1, path and emotion, upper end of its 95 % interval", "comments", compared=False),
    Metric("voc.nova_f1", "VOC F1 as the article scores it", "comments"),
    Metric("voc.invalid_json", "answers that are not valid JSON", "comments", False, compared=False),
    Metric("voc.ended_by_length", "answers cut at the token limit", "comments", False, compared=False),
    Metric("voc.repeated_segments", "segments repeated in an answer", "comments", False, compared=False),
    Metric("voc.invented_labels", "labels not in the taxonomy", "comments", False, compared=False),
    Metric("voc.broken_paths", "paths not in the taxonomy", "comments", False, compared=False),
    Metric("leak", "answers in the task's format, all", "", False, short="leak", items=_make_share("leak")),
    Metric("mmlu.acc", "knowledge, by likelihood (headline)", "questions", short="MMLU", items=_make_share("acc")),
    Metric("mmlu.cloze_acc", "knowledge, cloze form", "questions", headline=False, items=_make_share("cloze_acc")),
    Metric(
        "mmlu.cloze_acc_norm",
        "knowledge, cloze form, per character",
        "questions",
        headline=False,
        items=_make_share("cloze_acc_norm"),
    ),
    Metric("mmlu.letters_acc", "knowledge, by letters", "questions", headline=False, items=_make_share("letters_acc")),
    Metric(
        "mmlu.generated_acc",
        "knowledge, by generated answer",
        "questions",
        short="MMLU generated",
        items=_make_share("generated_acc"),
    ),
    Metric(
        "mmlu.generated_strict",
        "knowledge, generated, exact match",
        "questions",
        headline=False,
        items=_make_share("generated_strict"),
    ),
    Metric("mmlu.unparsed", "answers that name no choice", "questions", False, items=_make_share("unparsed")),
    Metric(
        "ifeval.prompt_strict",
        "prompts followed in full (IFEval)",
        "prompts",
        short="IFEval",
        items=_make_share("prompt_strict"),
    ),
    Metric(
        "ifeval.instruction_strict",
        "instructions followed (IFEval)",
        "instructions",
        items=_make_share("instruction_strict"),
    ),
    Metric(
        "ifeval.instruction_loose",
        "instructions followed, loose (IFEval)",
        "instructions",
        headline=False,
        items=_make_share("instruction_loose"),
    ),
    Metric(
        "loss.general",
        "loss on held-out general rows, nats",
        "rows",
        False,
        short="general loss",
        items=_make_nats_per_token("nats"),
        unit="nats per token",
    ),
    Metric(
        "loss.kl",
        "KL to base on these rows, nats",
        "rows",
        False,
        short="KL to base",
        items=_make_nats_per_token("kl"),
        unit="nats per token",
    ),
    _make_answer_metric("mmlu.leak", "answers in the task's format, MMLU"),
    _make_answer_metric("ifeval.leak", "answers in the task's format, IFEval"),
    _make_answer_metric("general.leak", "answers in the task's format, other"),
    _make_answer_metric("chat.leak", "answers in the task's format, chat"),
    _make_answer_metric("answers.empty", "general answers that are empty"),
    _make_answer_metric("answers.cut", "general answers cut at the token limit"),
    _make_answer_metric("answers.loops", "general answers that loop"),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def make_task_metric(key: str) -> Metric:
    """Return the metric of a task of lm-eval that the profile names; `key` is `<task> <metric>`."""
    return Metric(f"{TASKS}{key}", key, "")


def is_task(key: str) -> bool:
    """Return whether a key of the part `general` is a task that the profile names, not a metric of the registry."""
    return f"{TASKS}{key}" not in BY_NAME and key not in (COUNT, OVER_CONTEXT)


def select_headline(metrics: Row) -> Row:
    """Return the headline metrics of one model that were measured, and the formulation of `mmlu.acc`.

    Each part also has its number of items and, if there are any, the number of items longer than the context.
    """
    selected: Row = {}
    for metric in METRICS:
        value = metric.read_value(metrics)
        if not metric.headline or value is None:
            continue
        (selected.setdefault(metric.part, {}) if metric.part else selected)[metric.key] = value
        if (count := metric.read_count(metrics)) is not None:
            selected.setdefault(metric.part or ANSWERS, {})[metric.count_key or COUNT] = count
        if left_out := metrics.get(metric.part, {}).get(OVER_CONTEXT):
            selected[metric.part][OVER_CONTEXT] = left_out
    if "formulation" in metrics.get("mmlu", {}):
        selected["mmlu"]["formulation"] = metrics["mmlu"]["formulation"]
    tasks = {key: value for key, value in metrics.get("general", {}).items() if is_task(key)}
    counts = (
        {key: metrics["general"][key] for key in (COUNT, OVER_CONTEXT) if metrics["general"].get(key)} if tasks else {}
    )
    return selected | ({"general": {**tasks, **counts}} if tasks else {})
