"""Metrics per leaf: macro and weighted averages over leaves, and scores of frequent and of rare leaves."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np

from alloy.core.files import Row
from alloy.formats.taxonomy import LabelPath
from alloy.scoring.bootstrap import Counts
from alloy.scoring.matching import compute_scores

GROUPS = ("head", "middle", "tail", "unseen")


def count_leaves(
    gold: Iterable[Sequence[LabelPath]], predicted: Iterable[Sequence[LabelPath]], leaves: Iterable[LabelPath]
) -> Counts:
    """Return (matched, predicted, gold) segments of each of `leaves`, over all comments, matched as multisets.

    Predicted paths that are not leaves are not counted.
    """
    matched: Counter[LabelPath] = Counter()
    in_gold: Counter[LabelPath] = Counter()
    in_predictions: Counter[LabelPath] = Counter()
    for gold_paths, predicted_paths in zip(gold, predicted, strict=True):
        matched.update((Counter(gold_paths) & Counter(predicted_paths)).elements())
        in_gold.update(gold_paths)
        in_predictions.update(predicted_paths)
    rows = [(matched[leaf], in_predictions[leaf], in_gold[leaf]) for leaf in leaves]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def average_over_leaves(counts: Counts) -> Row:
    """Return `macro_*` and `weighted_*` of precision, recall and F1 over the leaves in gold or predictions.

    In `macro_*`, all leaves have the same weight; in `weighted_*`, the weight is the number of gold segments. A score
    whose denominator is 0 counts as 0, as in scikit-learn with `zero_division=0`.
    """
    present = counts[(counts[:, 1] > 0) | (counts[:, 2] > 0)]
    matched, predicted, gold = present.T
    by_leaf = {
        "precision": matched / np.maximum(predicted, 1),
        "recall": matched / np.maximum(gold, 1),
        "f1": 2 * matched / np.maximum(predicted + gold, 1),
    }
    metrics: Row = {f"macro_{name}": float(values.sum() / max(len(present), 1)) for name, values in by_leaf.items()}
    for name, values in by_leaf.items():
        metrics[f"weighted_{name}"] = float(values @ gold / max(gold.sum(), 1))
    return metrics


def compute_group_scores(
    counts: Counts, leaves: Iterable[LabelPath], training_counts: Counter[LabelPath], head: int, tail: int
) -> Row:
    """Return `{group: {leaves, gold, precision, recall, f1}}` of leaves grouped by their number of training segments.

    The groups are `head` (more than `head` segments), `tail` (fewer than `tail`), `middle` (the leaves between) and
    `unseen` (none). In the result, `leaves` is the number of leaves in the group, and `gold` is the number of gold
    segments with these leaves. The scores are None if the group is neither in gold nor in predictions.

    Source of the groups: Liu et al., Large-Scale Long-Tailed Recognition in an Open World, 2019, where the limits are
    100 and 20.
    """
    groups = np.array([_choose_group(training_counts[leaf], head, tail) for leaf in leaves])
    metrics: Row = {}
    for name in GROUPS:
        group_counts = counts[groups == name]
        scores: Row = (
            asdict(compute_scores(group_counts)) if group_counts.any() else dict.fromkeys(("precision", "recall", "f1"))
        )
        metrics[name] = {"leaves": len(group_counts), "gold": int(group_counts[:, 2].sum()), **scores}
    return metrics


def _choose_group(count: int, head: int, tail: int) -> str:
    if count == 0:
        return "unseen"
    return "head" if count > head else "tail" if count < tail else "middle"
