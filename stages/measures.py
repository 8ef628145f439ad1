"""What models are compared by: each figure with its interval, and what tuning changed with its significance."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from stages.bootstrap import Counts, Statistic, change, estimate, f1, precision, recall, share
from stages.records import InputError, Row

MODELS = ("base", "tuned", "svm")
Rows = list[Row]  # what was counted of each comment, question or prompt


@dataclass(frozen=True)
class Measure:
    """A figure `key` of a `part` of a model's metrics.

    `counts` is what one row adds to the totals that `statistic` is made of; without rows there is no interval.
    """

    title: str
    part: str
    key: str
    counts: Callable[[Row], tuple[int, ...]] | None = None
    statistic: Statistic | None = None


def _matches(row: Row) -> tuple[int, ...]:
    return row["matched"], row["predicted"], row["gold"]


def _share(title: str, part: str, key: str) -> Measure:
    """Return the measure that is the share of rows, or of all items of their lists, for which `key` holds."""

    def counts(row: Row) -> tuple[int, ...]:
        held = row[key] if isinstance(row[key], list) else [row[key]]
        return sum(held), len(held)

    return Measure(title, part, key, counts, share)


MEASURES = (
    Measure("VOC F1", "voc", "f1", _matches, f1),
    Measure("VOC precision", "voc", "precision", _matches, precision),
    Measure("VOC recall", "voc", "recall", _matches, recall),
    Measure("VOC F1 as the article scores it", "voc", "nova_f1"),
    _share("general accuracy, by likelihood", "mmlu", "acc"),
    _share("general accuracy, by generated answer", "mmlu", "generated_acc"),
    _share("general answers that are no choice", "mmlu", "unparsed"),
    _share("prompts followed in full (IFEval)", "ifeval", "prompt_strict"),
    _share("instructions followed (IFEval)", "ifeval", "instruction_strict"),
    _share("instructions followed, read loosely", "ifeval", "instruction_loose"),
)


def compare(figures: dict[str, Row], rows: dict[str, dict[str, Rows]], resamples: int, seed: int) -> list[Row]:
    """Return a line of the comparison a measure: `{title, part, key, models, change}`.

    `figures` and `rows` are by model and part. `models` has `{value, low, high}` of each model that was measured,
    `change` from base to tuned `{value, low, high, p}`; both lack what rows would be needed for.
    """
    lines = []
    for measure in [*MEASURES, *_other_tasks(figures)]:
        values = {model: figures[model][measure.part][measure.key] for model in MODELS if _has(figures[model], measure)}
        line: Row = {"title": measure.title, "part": measure.part, "key": measure.key, "models": {}, "change": None}
        counts = {model: _count(measure, rows[model].get(measure.part, [])) for model in values}
        for model, value in values.items():
            line["models"][model] = {"value": value}
            if (counted := counts[model]) is not None and measure.statistic:
                line["models"][model] |= _interval(estimate(counted, measure.statistic, resamples, seed))
        if {"base", "tuned"} <= values.keys():
            line["change"] = {"value": round(values["tuned"] - values["base"], 4)}
            before, after = counts["base"], counts["tuned"]
            if before is not None and after is not None and measure.statistic:
                line["change"] |= _interval(change(before, after, measure.statistic, resamples, seed))
        if values:
            lines.append(line)
    return lines


def _has(figures: Row, measure: Measure) -> bool:
    return measure.key in figures.get(measure.part, {})


def _other_tasks(figures: dict[str, Row]) -> list[Measure]:
    """Return the measures of the tasks that a profile adds, as they stand in the metrics: `<task> <metric>`."""
    known = [figures[model].get("general", {}) for model in MODELS]
    return [Measure(key, "general", key) for key in dict.fromkeys(key for part in known for key in part)]


def _count(measure: Measure, rows: Rows) -> Counts | None:
    return np.array([measure.counts(row) for row in rows], np.int64) if measure.counts and rows else None


def _interval(value: object) -> Row:
    """Return what an estimate or a change says beside its value."""
    return {key: round(number, 4) for key, number in asdict(value).items() if key != "value"}  # type: ignore[call-overload]


def require_same(path: str, rows: Rows, like: Rows) -> None:
    """Raise `InputError` unless both files have the same ids in the same order: else their rows make no pairs."""
    for number, (row, other) in enumerate(zip(rows, like, strict=False), 1):
        if row["id"] != other["id"]:
            raise InputError(f"{path}:{number}: id '{row['id']}' where base has '{other['id']}'; {_AGAIN}")
    if len(rows) != len(like):
        raise InputError(f"{path}: {len(rows)} rows where base has {len(like)}; {_AGAIN}")


_AGAIN = "remove the file and run `dvc repro`"
