"""The headline of a multiple-choice test: the formulation in which the base model does best.

Gu et al., OLMES: A Standard for Language Model Evaluations, 2024 (arXiv 2406.08446). A model is asked in the cloze form
(choices not shown) and by letters (choices shown). Small models can answer only the cloze form, so letters alone would
not show their knowledge.
"""

from alloy.core.files import Row

Rows = list[Row]

# By key in metrics/mmlu/<model>.json. If several are equally good, the first one is taken.
FORMULATIONS = {
    "cloze_acc_norm": "cloze form, per character",
    "cloze_acc": "cloze form",
    "letters_acc": "letters",
}


def describe_headline(formulation: str) -> str:
    """Return a sentence that names the formulation of `mmlu.acc`."""
    return (
        f"Headline metric of general knowledge: mmlu.{formulation} ({FORMULATIONS[formulation]}), the formulation in "
        "which the base model does best."
    )


def find_best_formulation(base: Row) -> str | None:
    """Return the key of the formulation in which the base model has the highest accuracy, or None if not measured.

    `base` is the part `mmlu` of the base model's metrics.
    """
    available = [key for key in FORMULATIONS if key in base]
    return max(available, key=lambda key: base[key], default=None)


def add_headline(
    metrics: dict[str, Row], rows: dict[str, dict[str, Rows]]
) -> tuple[dict[str, Row], dict[str, dict[str, Rows]]]:
    """Return copies of `metrics` and `rows` (by model and part) in which `mmlu` has the headline metric `acc`.

    Algorithm:

    1. Find the formulation in which the base model has the highest accuracy, over all questions.
    2. Copy its value to `acc`, for every model: over all questions, in each group, in each subject and in each row.
    3. Add its name as `formulation` to the metrics of each model.

    All models use the same formulation, since otherwise they could not be compared. If the base model was not measured,
    nothing changes.

    Example: base `{cloze_acc: 0.32, letters_acc: 0.25}`, tuned `{cloze_acc: 0.30, letters_acc: 0.40}`: `acc` is 0.32
    for the base model and 0.30 for the tuned model.
    """
    key = find_best_formulation(metrics.get("base", {}).get("mmlu", {}))
    if key is None:
        return metrics, rows
    metrics_with_acc = {
        model: {**parts, "mmlu": {**add_headline_to_mmlu(parts["mmlu"], key), "formulation": key}}
        if parts.get("mmlu")
        else parts
        for model, parts in metrics.items()
    }
    rows_with_acc = {
        model: {**parts, "mmlu": [{**row, "acc": row[key]} for row in parts["mmlu"]]} if parts.get("mmlu") else parts
        for model, parts in rows.items()
    }
    return metrics_with_acc, rows_with_acc


def add_headline_to_mmlu(mmlu: Row, key: str) -> Row:
    """Return the part `mmlu` of a model's metrics with `acc`, copied from `key`, overall, by group and by subject."""
    parts = {
        part: {name: {**shares, "acc": shares[key]} for name, shares in mmlu[part].items()}
        for part in ("groups", "subjects")
        if part in mmlu
    }
    return {**mmlu, **parts, "acc": mmlu[key]}
