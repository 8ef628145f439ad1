"""The registry of metrics: each one once, with all that tables, charts, gate, review and frontier need to know of it.

To add one, add a line to `METRICS`. Its value is looked up by its name in the metrics of a model, `<part>.<key>`, or
`<key>` for a number of the whole model; its interval comes from the rows of its part (metrics/<stage>/<model>.jsonl).
A metric that does not apply is absent from both, such as one of emotions if the labels have none. Tasks of lm-eval
that a profile names need no line here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from alloy.core.files import Row
from alloy.scoring.bootstrap import Statistic, f1, nats_per_token, precision, recall, share

MODELS = ("base", "tuned", "svm")
# The stage that measures a part.
STAGES = {
    "voc": "score",
    "mmlu": "mmlu",
    "ifeval": "ifeval",
    "general": "general",
    "chat": "chat",
    "loss": "general_loss",
}
TESTS = {  # the parts that have generated answers to general questions, and what these are answers to
    "mmlu": "multiple-choice questions",
    "ifeval": "IFEval's prompts",
    "general": "the profile's other tasks",
    "chat": "the plain chat prompts",
}
ANSWERS = "answers"  # the part that is about all of these answers together
COUNT = "n"  # the key of how many these are; in the part `general` of the items of each task's metric
OVER_CONTEXT = "over_context"  # how many items were left out since they do not fit the model's context
TASKS = "general."  # tasks of lm-eval that the profile names: `general.<task> <metric>`


@dataclass(frozen=True)
class Items:
    """What a metric is made of: what one row adds to the totals, and the statistic of these."""

    counts: Callable[[Row], tuple[int, ...]]
    statistic: Statistic


@dataclass(frozen=True)
class Metric:
    """One number about a model.

    `name` is its place in the metrics, `<part>.<key>` or `<key>`; `title` what tables call it; `n` the key, in the same
    part, of how many items it is measured on, without which it is the number of rows (`count`). `headline`: in
    metrics/summary.json, which `dvc metrics diff` shows. `compared`: a line of the comparison, on which a gate can be
    put. `short` is the title of those that tell the trade-off: columns of the frontier, and what a review names first.
    Without `items` it has no interval. `unit` is what it is counted in; without one it is a share, from 0 to 1.
    """

    name: str
    title: str
    n: str
    higher_is_better: bool = True
    headline: bool = True
    compared: bool = True
    short: str = ""
    items: Items | None = None
    unit: str = ""

    @property
    def part(self) -> str:
        """The part of the metrics that it is in; empty for a number of the whole model."""
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def key(self) -> str:
        """Its key within its part."""
        return self.name.removeprefix(f"{self.part}.")

    @property
    def rows(self) -> str:
        """The part whose rows its interval is computed from."""
        return self.part or ANSWERS

    def value(self, figures: Row) -> float | None:
        """Return its value in the metrics of one model, None if it was not measured."""
        return (figures.get(self.part, {}) if self.part else figures).get(self.key)

    def count(self, figures: Row) -> int | None:
        """Return the number of items in the metrics of one model, None if they do not say it."""
        own = figures.get(self.part or ANSWERS, {})
        if self.name.startswith(TASKS) and self.name not in BY_NAME:
            return own.get(COUNT, {}).get(self.key)
        return own.get(self.n or COUNT) if self.n or not self.part else None


def _matches(row: Row) -> tuple[int, ...]:
    return row["matched"], row["predicted"], row["gold"]


def _full_matches(row: Row) -> tuple[int, ...]:
    return row["matched_full"], row["predicted"], row["gold"]


def _share(key: str) -> Items:
    """Return the items of a share: of rows, or of all items of their lists, for which `key` holds."""

    def counts(row: Row) -> tuple[int, ...]:
        held = row[key] if isinstance(row[key], list) else [row[key]]
        return sum(held), len(held)

    return Items(counts, share)


def _nats(key: str) -> Items:
    """Return the items of a sum over tokens, per token: whole millionths of a nat, so that sums are exact."""
    return Items(lambda row: (round(row[key] * 1e6), row["tokens"]), nats_per_token)


def _of_answers(name: str, title: str) -> Metric:
    """Return a share of general answers that is better when it is smaller, and no headline."""
    return Metric(name, title, "", False, headline=False, items=_share(name.partition(".")[2]))


METRICS = (
    Metric("voc.f1", "VOC F1", "comments", short="VOC F1", items=Items(_matches, f1)),
    Metric("voc.f1_full", "VOC F1, path and emotion", "comments", short="VOC F1 full", items=Items(_full_matches, f1)),
    Metric("voc.precision", "VOC precision", "comments", items=Items(_matches, precision)),
    Metric("voc.recall", "VOC recall", "comments", items=Items(_matches, recall)),
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
    Metric("leak", "general answers in the task's format", "", False, short="leak", items=_share("leak")),
    Metric("mmlu.acc", "knowledge, by likelihood (headline)", "questions", short="MMLU", items=_share("acc")),
    Metric("mmlu.cloze_acc", "knowledge, cloze form", "questions", headline=False, items=_share("cloze_acc")),
    Metric(
        "mmlu.cloze_acc_norm",
        "knowledge, cloze form, per character",
        "questions",
        headline=False,
        items=_share("cloze_acc_norm"),
    ),
    Metric("mmlu.letters_acc", "knowledge, by letters", "questions", headline=False, items=_share("letters_acc")),
    Metric(
        "mmlu.generated_acc",
        "knowledge, by generated answer",
        "questions",
        short="MMLU generated",
        items=_share("generated_acc"),
    ),
    Metric(
        "mmlu.generated_strict",
        "knowledge, generated, strict reading",
        "questions",
        headline=False,
        items=_share("generated_strict"),
    ),
    Metric("mmlu.unparsed", "answers that name no choice", "questions", False, items=_share("unparsed")),
    Metric(
        "ifeval.prompt_strict",
        "prompts followed in full (IFEval)",
        "prompts",
        short="IFEval",
        items=_share("prompt_strict"),
    ),
    Metric(
        "ifeval.instruction_strict",
        "instructions followed (IFEval)",
        "instructions",
        items=_share("instruction_strict"),
    ),
    Metric(
        "ifeval.instruction_loose",
        "instructions followed, read loosely",
        "instructions",
        headline=False,
        items=_share("instruction_loose"),
    ),
    Metric(
        "loss.general",
        "loss on held-out general rows, nats",
        "rows",
        False,
        short="general loss",
        items=_nats("nats"),
        unit="nats per token",
    ),
    Metric(
        "loss.kl",
        "KL to base on these rows, nats",
        "rows",
        False,
        short="KL to base",
        items=_nats("kl"),
        unit="nats per token",
    ),
    _of_answers("mmlu.leak", "leaked answers, multiple choice"),
    _of_answers("ifeval.leak", "leaked answers, IFEval"),
    _of_answers("general.leak", "leaked answers, other tasks"),
    _of_answers("chat.leak", "leaked answers, plain chat"),
    _of_answers("answers.empty", "general answers that are empty"),
    _of_answers("answers.cut", "general answers cut at the limit"),
    _of_answers("answers.loops", "general answers that loop"),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def task_metric(key: str) -> Metric:
    """Return the metric of a task of lm-eval that the profile names: `<task> <metric>` among the general ones."""
    return Metric(f"{TASKS}{key}", key, "")


def is_task(key: str) -> bool:
    """Return whether a key of the part `general` is a task that the profile names, not a metric of this registry."""
    return f"{TASKS}{key}" not in BY_NAME and key not in (COUNT, OVER_CONTEXT)


def headline(figures: Row) -> Row:
    """Return the headline metrics of one model, of what was measured, and the formulation of `mmlu.acc`.

    Each part has the number of its items, and how many were left out as over the context if there are some.
    """
    kept: Row = {}
    for metric in METRICS:
        value = metric.value(figures)
        if not metric.headline or value is None:
            continue
        (kept.setdefault(metric.part, {}) if metric.part else kept)[metric.key] = value
        if (count := metric.count(figures)) is not None:
            kept.setdefault(metric.part or ANSWERS, {})[metric.n or COUNT] = count
        if left_out := figures.get(metric.part, {}).get(OVER_CONTEXT):
            kept[metric.part][OVER_CONTEXT] = left_out
    if "formulation" in figures.get("mmlu", {}):
        kept["mmlu"]["formulation"] = figures["mmlu"]["formulation"]
    tasks = {key: value for key, value in figures.get("general", {}).items() if is_task(key)}
    counts = (
        {key: figures["general"][key] for key in (COUNT, OVER_CONTEXT) if figures["general"].get(key)} if tasks else {}
    )
    return kept | ({"general": {**tasks, **counts}} if tasks else {})
