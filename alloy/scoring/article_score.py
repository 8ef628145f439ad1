"""The score that the article reports, by the rules of the scorer published beside it; docs/evidence.md shows its flaws.

Rules, each for one level of the taxonomy at a time:

1. A text is read as JSON from its first `[` to its last `]`. Where that is no list of objects, labels are what stands
   as `"L1": "..."` anywhere in the text.
2. Labels count in their order, each once, the first ten of them. Of the last level's only what stands before a `:`.
3. The first predicted label is compared with the first gold one, the second with the second, and so on. Predictions
   beyond the number of gold labels are cut off; where there are fewer, the place stays empty.
4. Precision, recall and F1 are scikit-learn's, weighted by the gold labels, over all labels that were compared; 0 where
   nothing is to be divided.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from sklearn.metrics import precision_recall_fscore_support

LEVELS = ("L1", "L2", "L3", "L4")
MOST = 10  # labels of a comment and level that are looked at
EMPTY = -1


def nova_scores(
    gold_texts: Iterable[str], predicted_texts: Iterable[str], levels: Sequence[str] = LEVELS
) -> dict[str, dict[str, float]]:
    """Return `{level: {precision, recall, f1}}` of raw answers; texts may call their levels L1, L2, .. or E1, E2, ..

    The last of `levels` is the one whose labels end at a `:`.
    """
    compared: dict[str, tuple[list[str], list[str]]] = {level: ([], []) for level in levels}
    for gold_text, predicted_text in zip(gold_texts, predicted_texts, strict=True):
        wanted, said = _read(gold_text), _read(predicted_text)
        for level, (gold, predicted) in compared.items():
            labels = _labels(wanted, level, cut=level == levels[-1])
            found = _labels(said, level, cut=level == levels[-1])[: len(labels)]
            gold += labels
            predicted += [*found, *[""] * (len(labels) - len(found))]
    return {level: _weighted(*labels) for level, labels in compared.items()}


Read = list[dict[str, Any]] | str  # the objects of an answer, or the text where it holds none


def _read(text: str) -> Read:
    try:
        items = json.loads(text[text.find("[") : text.rfind("]") + 1])
    except (ValueError, RecursionError):
        return text
    return items if isinstance(items, list) and all(isinstance(item, dict) for item in items) else text


def _labels(read: Read, level: str, *, cut: bool) -> list[str]:
    """Return the labels of one level that count, in their order; `cut`: they end at a `:`."""
    names = (level, f"E{level[1:]}")
    if isinstance(read, str):
        labels = re.findall(rf'"(?:{"|".join(names)})"\s*:\s*"([^"]*)"', read)
    else:
        given = [item.get(names[0], item.get(names[1])) for item in read]
        labels = [label for label in given if isinstance(label, str)]
    whole = (label.partition(":")[0].strip() if cut else label.strip() for label in labels)
    return list(dict.fromkeys(label for label in whole if label))[:MOST]


def _weighted(gold: list[str], predicted: list[str]) -> dict[str, float]:
    # As numbers in the order of the names, which scikit-learn sorts too: the same sums, many times faster.
    names = sorted({*gold, *predicted} - {""})
    numbers = {"": EMPTY, **{name: number for number, name in enumerate(names)}}
    if not names:
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    precision, recall, f1, _ = precision_recall_fscore_support(
        [numbers[label] for label in gold],
        [numbers[label] for label in predicted],
        labels=range(len(names)),
        average="weighted",
        zero_division=0,  # pyright: ignore[reportArgumentType] (its stub says str)
    )
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1)}
