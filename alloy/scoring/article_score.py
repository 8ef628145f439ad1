"""The score that the article reports, by the rules of the scorer published with it; docs/evidence.md shows its flaws.

Algorithm, for one level of the taxonomy at a time:

1. Parse the text from its first `[` to its last `]` as JSON. If that is not a list of objects, find all labels written
   as `"L1": "..."` anywhere in the text instead.
2. Keep the first ten different labels, in their order. At the last level, cut each label at its first `:`.
3. Compare the first predicted label with the first gold label, the second with the second, and so on. Drop predictions
   beyond the number of gold labels. If there are fewer predictions than gold labels, the missing ones are empty.
4. Compute scikit-learn's precision, recall and F1 over all labels compared, weighted by the gold labels. A division by
   zero gives 0.

Example: gold (food, staff), predicted (staff, food). Both labels are right, but in another order: the score is 0.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from sklearn.metrics import precision_recall_fscore_support

LEVELS = ("L1", "L2", "L3", "L4")
MAX_LABELS = 10  # labels of one comment and level that are compared
NO_LABEL = -1


def compute_article_scores(
    gold_texts: Iterable[str], predicted_texts: Iterable[str], levels: Sequence[str] = LEVELS
) -> dict[str, dict[str, float]]:
    """Return `{level: {precision, recall, f1}}` of raw answers.

    The texts may name their levels L1, L2, ... or E1, E2, ... Labels of the last of `levels` are cut at a `:`.
    """
    compared: dict[str, tuple[list[str], list[str]]] = {level: ([], []) for level in levels}
    for gold_text, predicted_text in zip(gold_texts, predicted_texts, strict=True):
        gold_answer, predicted_answer = _parse_answer(gold_text), _parse_answer(predicted_text)
        for level, (gold, predicted) in compared.items():
            gold_labels = _collect_labels(gold_answer, level, cut_at_colon=level == levels[-1])
            predicted_labels = _collect_labels(predicted_answer, level, cut_at_colon=level == levels[-1])[
                : len(gold_labels)
            ]
            gold += gold_labels
            predicted += [*predicted_labels, *[""] * (len(gold_labels) - len(predicted_labels))]
    return {level: _compute_weighted_rates(gold, predicted) for level, (gold, predicted) in compared.items()}


ParsedAnswer = list[dict[str, Any]] | str  # the objects of an answer, or its text if it is not a list of objects


def _parse_answer(text: str) -> ParsedAnswer:
    try:
        items = json.loads(text[text.find("[") : text.rfind("]") + 1])
    except (ValueError, RecursionError):
        return text
    return items if isinstance(items, list) and all(isinstance(item, dict) for item in items) else text


def _collect_labels(answer: ParsedAnswer, level: str, *, cut_at_colon: bool) -> list[str]:
    """Return the labels of one level that are compared, in their order; with `cut_at_colon` they end at a `:`."""
    level_keys = (level, f"E{level[1:]}")
    if isinstance(answer, str):
        labels = re.findall(rf'"(?:{"|".join(level_keys)})"\s*:\s*"([^"]*)"', answer)
    else:
        values = [item.get(level_keys[0], item.get(level_keys[1])) for item in answer]
        labels = [label for label in values if isinstance(label, str)]
    cleaned = (label.partition(":")[0].strip() if cut_at_colon else label.strip() for label in labels)
    return list(dict.fromkeys(label for label in cleaned if label))[:MAX_LABELS]


def _compute_weighted_rates(gold: list[str], predicted: list[str]) -> dict[str, float]:
    # Integers in the order of the names are many times faster. The sums stay the same: scikit-learn also sorts names.
    names = sorted({*gold, *predicted} - {""})
    label_numbers = {"": NO_LABEL, **{name: number for number, name in enumerate(names)}}
    if not names:
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    precision, recall, f1, _ = precision_recall_fscore_support(
        [label_numbers[label] for label in gold],
        [label_numbers[label] for label in predicted],
        labels=range(len(names)),
        average="weighted",
        zero_division=0,  # pyright: ignore[reportArgumentType] (its stub says str)
    )
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1)}
