"""What models are compared by: each figure with its interval, and differences of two models with their significance."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from alloy.core.files import InputError, Row
from alloy.scoring.bootstrap import Counts, Estimate, Statistic, change, estimate, f1, precision, recall, share

MODELS = ("base", "tuned", "svm")
AGAIN = "remove the file and run `dvc repro`"
Rows = list[Row]  # what was counted of each comment, question or prompt


@dataclass(frozen=True)
class Units:
    """What a figure is made of: what one row adds to the totals, and the statistic of these."""

    counts: Callable[[Row], tuple[int, ...]]
    statistic: Statistic


@dataclass(frozen=True)
class Measure:
    """A figure `key` of a `part` of a model's metrics; without `units` it has no interval."""

    title: str
    part: str
    key: str
    units: Units | None = None


def _matches(row: Row) -> tuple[int, ...]:
    return row["matched"], row["predicted"], row["gold"]


def _share(title: str, part: str, key: str) -> Measure:
    """Return the measure that is the share of rows, or of all items of their lists, for which `key` holds."""

    def counts(row: Row) -> tuple[int, ...]:
        held = row[key] if isinstance(row[key], list) else [row[key]]
        return sum(held), len(held)

    return Measure(title, part, key, Units(counts, share))


MEASURES = (
    Measure("VOC F1", "voc", "f1", Units(_matches, f1)),
    Measure("VOC precision", "voc", "precision", Units(_matches, precision)),
    Measure("VOC recall", "voc", "recall", Units(_matches, recall)),
    Measure("VOC F1 as the article scores it", "voc", "nova_f1"),
    _share("general accuracy, by likelihood", "mmlu", "acc"),
    _share("general accuracy, by generated answer", "mmlu", "generated_acc"),
    _share("general answers that are no choice", "mmlu", "unparsed"),
    _share("prompts followed in full (IFEval)", "ifeval", "prompt_strict"),
    _share("instructions followed (IFEval)", "ifeval", "instruction_strict"),
    _share("instructions followed, read loosely", "ifeval", "instruction_loose"),
)


def compare(figures: dict[str, Row], rows: dict[str, dict[str, Rows]], resamples: int, seed: int) -> list[Row]:
    """Return a line of the comparison a measure: `{title, part, key, models, change, over_svm}`.

    `figures` and `rows` are by model and part. `models` has `{value, low, high}` of each model that was measured;
    `change` is from base to tuned, `over_svm` from the rival to tuned: `{value, low, high, p}`, or None. A measure
    without rows has values alone.
    """
    named = [figures[model].get("general", {}) for model in MODELS]  # tasks of the profile: `<task> <metric>`
    others = [Measure(key, "general", key) for key in dict.fromkeys(key for keys in named for key in keys)]
    lines = [_line(measure, figures, rows, resamples, seed) for measure in [*MEASURES, *others]]
    return [line for line in lines if line["models"]]


def _line(
    measure: Measure, figures: dict[str, Row], rows: dict[str, dict[str, Rows]], resamples: int, seed: int
) -> Row:
    values = {
        model: figures[model][measure.part][measure.key]
        for model in MODELS
        if measure.key in figures[model].get(measure.part, {})
    }
    units = measure.units
    counts: dict[str, Counts] = {
        model: np.array([units.counts(row) for row in counted], np.int64)
        for model in values
        if units and (counted := rows[model].get(measure.part))
    }

    def known(model: str) -> Row:
        found = estimate(counts[model], units.statistic, resamples, seed) if units and model in counts else None
        return {"value": values[model], **_interval(found)}

    def between(before: str, after: str) -> Row | None:
        if not {before, after} <= values.keys():
            return None
        paired = units is not None and {before, after} <= counts.keys()
        found = change(counts[before], counts[after], units.statistic, resamples, seed) if units and paired else None
        return {"value": round(values[after] - values[before], 4), **_interval(found)}

    return {
        "title": measure.title,
        "part": measure.part,
        "key": measure.key,
        "models": {model: known(model) for model in values},
        "change": between("base", "tuned"),
        "over_svm": between("svm", "tuned"),
    }


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
