"""Segment matching: how many of a comment's gold labels were predicted, in any order.

Algorithm, for one comment:

1. Take the labels of its gold segments as a multiset, and those of the predicted segments as another one.
2. matched = size of the intersection: each label counts as often as it is in both.
3. Sum matched, predicted and gold over all comments.
4. Precision = matched / predicted, recall = matched / gold, F1 = 2 * matched / (predicted + gold) (micro averages).

Example: gold is (food, food, staff), predicted (staff, food, food, food). matched is 3: two of the three predicted
`food`, and `staff`. The third `food` costs precision: precision 3/4, recall 3/3, F1 6/7.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from alloy.formats.comments import Segment
from alloy.formats.taxonomy import LabelPath
from alloy.scoring.bootstrap import Counts, compute_f1, estimate_statistic


@dataclass(frozen=True)
class Scores:
    """Micro-averaged precision, recall and F1; 0 if their denominator is 0."""

    precision: float
    recall: float
    f1: float


def count_matches(gold: Iterable[Sequence[Hashable]], predicted: Iterable[Sequence[Hashable]]) -> Counts:
    """Return (matched, predicted, gold) labels of each comment, as multisets (steps 1 and 2)."""
    rows = [
        (len(as_multiset(gold_labels) & as_multiset(predicted_labels)), len(predicted_labels), len(gold_labels))
        for gold_labels, predicted_labels in zip(gold, predicted, strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def as_multiset(items: Sequence[Hashable]) -> set[Hashable]:
    """Return a set that represents a multiset: the second occurrence of an item is `(item, 1)`, the third `(item, 2)`.

    The intersection of two such sets is as large as the multisets' intersection, and much faster than with `Counter`s.

    Example: (food, food, staff) is {food, (food, 1), staff}.
    """
    distinct: set[Hashable] = set(items)
    if len(distinct) < len(items):
        for item, count in Counter(items).items():
            distinct.update((item, repetition) for repetition in range(1, count))
    return distinct


def count_levels(gold: list[list[LabelPath]], predicted: list[list[LabelPath]], depth: int) -> list[Counts]:
    """Return the counts of each level, 1 to `depth`: at level k, the first k labels of a segment must all be right.

    A predicted segment counts at every level, even if its label there is empty.
    """
    return [count_matches(cut_paths(gold, level), cut_paths(predicted, level)) for level in range(1, depth + 1)]


def cut_paths(comments: list[list[LabelPath]], depth: int) -> Iterator[list[LabelPath]]:
    """Yield the paths of each comment down to `depth` levels."""
    for paths in comments:
        yield [path[:depth] for path in paths]


def count_nodes(levels: list[Counts], predicted: list[list[LabelPath]]) -> Counts:
    """Return (matched, predicted, gold) nodes of the taxonomy of each comment, for hierarchical F1.

    Algorithm:

    1. Replace each segment by the nodes on its path: its leaf and all ancestors of the leaf.
    2. Count these nodes as multisets: two segments below one node count this node twice. An empty label is not a node.
    3. matched is the sum of the matches of all levels (`count_levels`).

    The micro-averaged scores of these counts are hierarchical precision, recall and F1 (Kiritchenko, Matwin and Famili,
    Functional Annotation of Genes Using Hierarchical Text Categorization, 2005).

    Example: gold is food > taste, predicted food > price. Of the two nodes, `food` matches: (1, 2, 2), F1 0.5.
    """
    nodes = np.sum(levels, axis=0)
    nodes[:, 1] = [sum(label != "" for path in paths for label in path) for paths in predicted]
    return nodes


def compute_mean_depth(levels: list[Counts]) -> float:
    """Return the mean number of levels, from the first one down, to which a gold segment is right.

    It is 0 if the first label is wrong, and the number of levels if the leaf is right. Gold and predicted segments are
    paired one to one so that this mean is as large as possible:

    1. Pair segments with equal whole paths. Of those that are left, pair the ones that are equal one level up, and so
       on. In a tree, this pairing gives the most matches at all levels at once.
    2. So the sum of the depths is the sum of the matches over all levels, and no pairing needs to be computed.
    """
    return float(sum(level[:, 0].sum() for level in levels) / max(levels[0][:, 2].sum(), 1))


def count_emotions(gold: Iterable[Sequence[Segment]], predicted: Iterable[Sequence[Segment]]) -> tuple[int, int]:
    """Return (right, matched): how many segments have a matching whole path, and how many of these the right emotion.

    If several segments of a comment have the same path, their emotions are compared as multisets. Gold segments without
    an emotion are left out.
    """
    right = matched = 0
    for gold_segments, predicted_segments in zip(gold, predicted, strict=True):
        with_emotion = [segment for segment in gold_segments if segment.emotion is not None]
        matched += len(as_multiset([s.path for s in with_emotion]) & as_multiset([s.path for s in predicted_segments]))
        right += len(
            as_multiset(_paths_and_emotions(with_emotion)) & as_multiset(_paths_and_emotions(predicted_segments))
        )
    return right, matched


def count_full(gold: Iterable[Sequence[Segment]], predicted: Iterable[Sequence[Segment]]) -> Counts:
    """Return (matched, predicted, gold) segments of each comment; path and emotion must both be right to match.

    This is `count_matches` with (path, emotion) as the label. A gold segment without an emotion is matched only by a
    predicted segment without one.

    Example: gold is (food, positive) and (food, negative), predicted (food, negative) and (food, neutral). The paths
    without emotions give (2, 2, 2); with emotions, one segment is matched: (1, 2, 2).
    """
    return count_matches(map(_paths_and_emotions, gold), map(_paths_and_emotions, predicted))


def _paths_and_emotions(segments: Sequence[Segment]) -> list[tuple[LabelPath, str | None]]:
    return [segment.path_and_emotion for segment in segments]


def compute_scores(counts: Counts) -> Scores:
    """Return the micro averages over all rows of `counts` (steps 3 and 4)."""
    matched, predicted, gold = (int(total) for total in counts.sum(axis=0))
    return Scores(
        precision=matched / predicted if predicted else 0.0,
        recall=matched / gold if gold else 0.0,
        f1=2 * matched / (predicted + gold) if predicted + gold else 0.0,
    )


def compute_scores_with_interval(
    counts: Counts, resamples: int, seed: int, suffix: str = ""
) -> dict[str, float | None]:
    """Return the micro averages by name, and the 95 % interval of F1.

    With the suffix `_full`, the keys are `precision_full`, `recall_full`, `f1_full`, `f1_full_low` and `f1_full_high`.
    The ends of the interval are None if there are too few comments.
    """
    metrics = {f"{name}{suffix}": value for name, value in vars(compute_scores(counts)).items()}
    interval = estimate_statistic(counts, compute_f1, resamples, seed)
    return {**metrics, f"f1{suffix}_low": interval and interval.low, f"f1{suffix}_high": interval and interval.high}
