"""Order-free matching: how much of a comment's labels was found, wherever it stands in the answer.

A comment's labels are a multiset: a label that stands there twice can be found twice, and a third one costs precision.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from alloy.formats.comments import Segment
from alloy.formats.taxonomy import LabelPath
from alloy.scoring.bootstrap import Counts, estimate, f1


@dataclass(frozen=True)
class Rates:
    """Micro-averaged precision, recall and F1; 0 where nothing was predicted or nothing is there to find."""

    precision: float
    recall: float
    f1: float


def count_matches(gold: Iterable[Sequence[Hashable]], predicted: Iterable[Sequence[Hashable]]) -> Counts:
    """Return per comment (matched, predicted, gold) labels as multisets: a label counts as often as it stands there."""
    rows = [
        (len(multiset(wanted) & multiset(found)), len(found), len(wanted))
        for wanted, found in zip(gold, predicted, strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def multiset(items: Sequence[Hashable]) -> set[Hashable]:
    """Return a set that stands for a multiset: an item's second occurrence is in it as `(item, 1)`, and so on.

    The intersection of two such sets has as many elements as that of the multisets, and is many times as fast as
    `Counter`'s.
    """
    distinct: set[Hashable] = set(items)
    if len(distinct) < len(items):
        for item, times in Counter(items).items():
            distinct.update((item, number) for number in range(1, times))
    return distinct


def count_levels(gold: list[list[LabelPath]], predicted: list[list[LabelPath]], depth: int) -> list[Counts]:
    """Return the counts of each level, 1 to `depth`: a segment is right there if its labels down to it all are.

    A predicted segment counts at every level, also where it has no label.
    """
    return [count_matches(cut(gold, level), cut(predicted, level)) for level in range(1, depth + 1)]


def cut(comments: list[list[LabelPath]], depth: int) -> Iterator[list[LabelPath]]:
    """Yield the paths of each comment down to `depth` levels."""
    for paths in comments:
        yield [path[:depth] for path in paths]


def count_nodes(levels: list[Counts], predicted: list[list[LabelPath]]) -> Counts:
    """Return per comment the nodes of the taxonomy (matched, predicted, gold) that its labels stand for.

    A segment stands for its leaf and all the ancestors of this; two segments under one node count it twice, and a
    label that is empty is no node. Micro rates of it are the hierarchical precision, recall and F of Kiritchenko,
    Matwin and Famili, Functional Annotation of Genes Using Hierarchical Text Categorization, 2005.
    """
    nodes = np.sum(levels, axis=0)
    nodes[:, 1] = [sum(label != "" for path in paths for label in path) for paths in predicted]
    return nodes


def mean_depth(levels: list[Counts]) -> float:
    """Return how deep a gold segment is right, on average: 0 where its first label is wrong, all levels if its leaf is.

    Gold and predicted segments are paired one to one so that this is as much as can be. In a tree the pairing that
    matches whole paths first, then what is left one level up, and so on, is best at all levels at once; so the depths
    sum up to what matches, over all levels.
    """
    return float(sum(level[:, 0].sum() for level in levels) / max(levels[0][:, 2].sum(), 1))


def count_emotions(gold: Iterable[Sequence[Segment]], predicted: Iterable[Sequence[Segment]]) -> tuple[int, int]:
    """Return (right, matched): among segments matched by their whole paths, how many have the right emotion too.

    Segments of one path in one comment share their emotions as multisets. Gold segments without an emotion are left
    out.
    """
    right = matched = 0
    for wanted, found in zip(gold, predicted, strict=True):
        with_emotion = [segment for segment in wanted if segment.emotion is not None]
        matched += len(multiset([s.path for s in with_emotion]) & multiset([s.path for s in found]))
        right += len(multiset(_paths_and_emotions(with_emotion)) & multiset(_paths_and_emotions(found)))
    return right, matched


def count_full(gold: Iterable[Sequence[Segment]], predicted: Iterable[Sequence[Segment]]) -> Counts:
    """Return per comment (matched, predicted, gold) segments, of which path and emotion must both be right.

    This is `count_matches` with (path, emotion) as the label: in any order, as multisets. No emotion is a value like
    any other: a gold segment without one is matched only by a predicted segment without one.

    Example: gold is (food, positive) and (food, negative), predicted (food, negative) and (food, neutral). The paths
    alone give (2, 2, 2); with emotions, one segment is matched: (1, 2, 2).
    """
    return count_matches(map(_paths_and_emotions, gold), map(_paths_and_emotions, predicted))


def _paths_and_emotions(segments: Sequence[Segment]) -> list[tuple[LabelPath, str | None]]:
    return [segment.path_and_emotion for segment in segments]


def rates(counts: Counts) -> Rates:
    """Return the micro average over all rows of `counts`."""
    matched, predicted, gold = (int(total) for total in counts.sum(axis=0))
    return Rates(
        precision=matched / predicted if predicted else 0.0,
        recall=matched / gold if gold else 0.0,
        f1=2 * matched / (predicted + gold) if predicted + gold else 0.0,
    )


def rates_with_interval(counts: Counts, resamples: int, seed: int, suffix: str = "") -> dict[str, float | None]:
    """Return the micro averages by name, and the 95 % interval of F1; `suffix` comes after `precision`, `recall`, `f1`.

    Keys are, with the suffix `_full`: `precision_full`, `recall_full`, `f1_full`, `f1_full_low`, `f1_full_high`.
    The ends of the interval are None if the comments are too few for one.
    """
    named = {f"{name}{suffix}": value for name, value in vars(rates(counts)).items()}
    found = estimate(counts, f1, resamples, seed)
    return {**named, f"f1{suffix}_low": found and found.low, f"f1{suffix}_high": found and found.high}
