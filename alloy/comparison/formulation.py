"""The headline of a multiple-choice test: the formulation in which the base model does best.

Gu et al., OLMES: A Standard for Language Model Evaluations, 2024 (arXiv 2406.08446). A model is asked in the cloze form
(choices not shown) and by letters (choices shown). What it knows shows in the form that it can handle, and small models
can handle the cloze form alone.
"""

from alloy.core.files import Row

Rows = list[Row]

# By name in metrics/mmlu/<model>.json; of equal ones the first is taken.
FORMULATIONS = {
    "cloze_acc_norm": "cloze form, per character",
    "cloze_acc": "cloze form",
    "letters_acc": "letters",
}


def best_formulation(base: Row) -> str | None:
    """Return the key of the formulation with base's highest accuracy, or None if base was not asked in any.

    `base` is the part `mmlu` of base's metrics.
    """
    asked = [key for key in FORMULATIONS if key in base]
    return max(asked, key=lambda key: base[key], default=None)


def with_headline(
    figures: dict[str, Row], rows: dict[str, dict[str, Rows]]
) -> tuple[dict[str, Row], dict[str, dict[str, Rows]]]:
    """Return copies of `figures` and `rows` (by model and part) in which `mmlu` has the headline metric `acc`.

    Algorithm:

    1. Find the formulation in which base has the highest accuracy, over all questions.
    2. Copy its value to `acc`, for every model: over all questions, in each group, in each subject and in each row.
    3. Name it as `formulation` in the figures of each model.

    The formulation is the same for all models, since only then can they be compared. Without a base that was asked,
    nothing changes.

    Example: base `{cloze_acc: 0.32, letters_acc: 0.25}`, tuned `{cloze_acc: 0.30, letters_acc: 0.40}`: `acc` is 0.32
    for base and 0.30 for tuned.
    """
    key = best_formulation(figures.get("base", {}).get("mmlu", {}))
    if key is None:
        return figures, rows
    named = {
        model: {**parts, "mmlu": {**headline_of(parts["mmlu"], key), "formulation": key}}
        if parts.get("mmlu")
        else parts
        for model, parts in figures.items()
    }
    copied = {
        model: {**parts, "mmlu": [{**row, "acc": row[key]} for row in parts["mmlu"]]} if parts.get("mmlu") else parts
        for model, parts in rows.items()
    }
    return named, copied


def headline_of(mmlu: Row, key: str) -> Row:
    """Return the part `mmlu` of a model's metrics with `acc`, copied from `key`, overall, by group and by subject."""
    parts = {
        part: {name: {**shares, "acc": shares[key]} for name, shares in mmlu[part].items()}
        for part in ("groups", "subjects")
        if part in mmlu
    }
    return {**mmlu, **parts, "acc": mmlu[key]}
