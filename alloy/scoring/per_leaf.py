"""Figures by leaf: averages in which each leaf counts, and frequent and rare leaves apart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np

from alloy.core.files import Row
from alloy.formats.taxonomy import LabelPath
from alloy.scoring.bootstrap import Counts
from alloy.scoring.matching import rates

GROUPS = ("head", "middle", "tail", "unseen")


def count_leaves(
    gold: Iterable[Sequence[LabelPath]], predicted: Iterable[Sequence[LabelPath]], leaves: Iterable[LabelPath]
) -> Counts:
    """Return for each of `leaves` its (matched, predicted, gold) segments of all comments, matched as multisets.

    Predicted paths that are no leaf are not here.
    """
    matched: Counter[LabelPath] = Counter()
    wanted: Counter[LabelPath] = Counter()
    found: Counter[LabelPath] = Counter()
    for gold_paths, predicted_paths in zip(gold, predicted, strict=True):
        matched.update((Counter(gold_paths) & Counter(predicted_paths)).elements())
        wanted.update(gold_paths)
        found.update(predicted_paths)
    rows = [(matched[leaf], found[leaf], wanted[leaf]) for leaf in leaves]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def averages(counts: Counts) -> Row:
    """Return `macro_*` and `weighted_*` of precision, recall and F1 over the leaves that are in gold or predictions.

    In `macro` each leaf counts the same, in `weighted` as often as it is in gold. A leaf's figure is 0 where it was
    never predicted or is not there to find, as in scikit-learn with `zero_division=0`.
    """
    present = counts[(counts[:, 1] > 0) | (counts[:, 2] > 0)]
    matched, predicted, gold = present.T
    by_leaf = {
        "precision": matched / np.maximum(predicted, 1),
        "recall": matched / np.maximum(gold, 1),
        "f1": 2 * matched / np.maximum(predicted + gold, 1),
    }
    figures: Row = {f"macro_{name}": float(values.sum() / max(len(present), 1)) for name, values in by_leaf.items()}
    for name, values in by_leaf.items():
        figures[f"weighted_{name}"] = float(values @ gold / max(gold.sum(), 1))
    return figures


def by_group(counts: Counts, leaves: Iterable[LabelPath], training: Counter[LabelPath], head: int, tail: int) -> Row:
    """Return `{group: {leaves, gold, precision, recall, f1}}` by how many segments of a leaf training has.

    `head`: more than `head` of them, `tail`: fewer than `tail`, `middle`: between, `unseen`: none. `leaves` are all
    the taxonomy has in this group, `gold` the segments to be found; precision is that of predictions of its leaves.
    Rates of a group that is neither in gold nor in predictions are null.

    Groups as by Liu et al., Large-Scale Long-Tailed Recognition in an Open World, 2019 (there above 100 and below 20).
    """
    groups = np.array([_group(training[leaf], head, tail) for leaf in leaves])
    figures: Row = {}
    for name in GROUPS:
        own = counts[groups == name]
        found: Row = asdict(rates(own)) if own.any() else dict.fromkeys(("precision", "recall", "f1"))
        figures[name] = {"leaves": len(own), "gold": int(own[:, 2].sum()), **found}
    return figures


def _group(count: int, head: int, tail: int) -> str:
    if count == 0:
        return "unseen"
    return "head" if count > head else "tail" if count < tail else "middle"
