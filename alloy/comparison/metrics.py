"""The registry of metrics: each one once, with all that tables, charts, gate, review and frontier need to know of it.

To add one, add a line to `METRICS`. Its value is looked up by its name in the metrics of a model, `<part>.<key>`; its
interval comes from the rows of its part (metrics/<stage>/<model>.jsonl). Tasks of lm-eval that a profile names need no
line here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from alloy.core.files import Row
from alloy.scoring.bootstrap import Statistic, f1, precision, recall, share

MODELS = ("base", "tuned", "svm")
STAGES = {"voc": "score", "mmlu": "mmlu", "ifeval": "ifeval", "general": "general"}  # the stage that measures a part


@dataclass(frozen=True)
class Items:
    """What a metric is made of: what one row adds to the totals, and the statistic of these."""

    counts: Callable[[Row], tuple[int, ...]]
    statistic: Statistic


@dataclass(frozen=True)
class Metric:
    """One number about a model.

    `name` is its place in the metrics, `<part>.<key>`; `title` what tables call it; `n` the key, in the same part, of
    how many items it is measured on. `headline`: in metrics/summary.json, which `dvc metrics diff` shows. `compared`: a
    line of the comparison, on which a gate can be put. `short` is the title of those that tell the trade-off: columns
    of the frontier, and what a review names first. Without `items` it has no interval.
    """

    name: str
    title: str
    n: str
    higher_is_better: bool = True
    headline: bool = True
    compared: bool = True
    short: str = ""
    items: Items | None = None

    @property
    def part(self) -> str:
        """The part of the metrics that it is in."""
        return self.name.partition(".")[0]

    @property
    def key(self) -> str:
        """Its key within its part."""
        return self.name.partition(".")[2]


def _matches(row: Row) -> tuple[int, ...]:
    return row["matched"], row["predicted"], row["gold"]


def _share(key: str) -> Items:
    """Return the items of a share: of rows, or of all items of their lists, for which `key` holds."""

    def counts(row: Row) -> tuple[int, ...]:
        held = row[key] if isinstance(row[key], list) else [row[key]]
        return sum(held), len(held)

    return Items(counts, share)


METRICS = (
    Metric("voc.f1", "VOC F1", "comments", short="VOC F1", items=Items(_matches, f1)),
    Metric("voc.precision", "VOC precision", "comments", items=Items(_matches, precision)),
    Metric("voc.recall", "VOC recall", "comments", items=Items(_matches, recall)),
    Metric("voc.f1_low", "VOC F1, lower end of its 95 % interval", "comments", compared=False),
    Metric("voc.f1_high", "VOC F1, upper end of its 95 % interval", "comments", compared=False),
    Metric("voc.nova_f1", "VOC F1 as the article scores it", "comments"),
    Metric("voc.invalid_json", "answers that are not valid JSON", "comments", False, compared=False),
    Metric("voc.invented_labels", "labels not in the taxonomy", "comments", False, compared=False),
    Metric("voc.broken_paths", "paths not in the taxonomy", "comments", False, compared=False),
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
)
BY_NAME = {metric.name: metric for metric in METRICS}


def task_metric(key: str) -> Metric:
    """Return the metric of a task of lm-eval that the profile names: `<task> <metric>` among the general ones."""
    return Metric(f"general.{key}", key, "")


def headline(figures: Row) -> Row:
    """Return the headline metrics of one model, of what was measured, and the formulation of `mmlu.acc`."""
    parts = {
        part: {metric.key: figures[part][metric.key] for metric in METRICS if metric.part == part and metric.headline}
        for part in STAGES
        if part != "general" and figures.get(part)
    }
    if "formulation" in figures.get("mmlu", {}):
        parts["mmlu"]["formulation"] = figures["mmlu"]["formulation"]
    return parts | ({"general": figures["general"]} if figures.get("general") else {})
