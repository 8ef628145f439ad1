"""Where segments begin and end: contents laid against gold ones, and what of the comment they cover. No labels here.

Contents are told apart by their words (`stages/words.py`), without case and punctuation.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from stages.comments import Segment
from stages.matching import rates
from stages.records import Row
from stages.words import words


def contents_of(segments: Sequence[Segment]) -> list[str]:
    """Return the contents of those segments that have one."""
    return [segment.content for segment in segments if segment.content is not None]


def shared_words(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> int:
    """Return the words that contents share, each content paired with at most one of the other side.

    The pairing is the one in which most words are shared (an optimal assignment); words count as multisets.
    """
    if not gold or not predicted:
        return 0
    gold_bags, predicted_bags = [Counter(bag) for bag in gold], [Counter(bag) for bag in predicted]
    shared = np.array([[(one & other).total() for other in predicted_bags] for one in gold_bags])
    return int(shared[linear_sum_assignment(shared, maximize=True)].sum())


def count_shared(gold: Sequence[str], predicted: Sequence[str]) -> tuple[int, int, int]:
    """Return (shared, predicted, gold) words of the contents of one comment; micro rates of it are the boundaries'."""
    wanted, found = [words(content) for content in gold], [words(content) for content in predicted]
    return shared_words(wanted, found), sum(map(len, found)), sum(map(len, wanted))


def count_cover(text: str, contents: Sequence[str]) -> tuple[int, int, int, int, int]:
    """Return how `contents` lie on the comment `text`.

    (words of the comment, of these covered by a content, of these by more than one, contents, of these not quoted).
    A content lies where its words follow one another in the comment; where that is in several places, on the first one
    that no content before it has, else on the first. One whose words are nowhere is not quoted and covers nothing.
    """
    whole = words(text)
    spaced = f" {' '.join(whole)} "
    times = [0] * len(whole)
    unquoted = 0
    for content in contents:
        own = words(content)
        if not own:
            unquoted += not content.strip() or content.strip() not in text
            continue
        start = _place(spaced, own, times)
        if start is None:
            unquoted += 1
            continue
        for place in range(start, start + len(own)):
            times[place] += 1
    return len(whole), len(whole) - times.count(0), sum(time > 1 for time in times), len(contents), unquoted


def _place(spaced: str, own: list[str], times: list[int]) -> int | None:
    """Return the number of the word at which `own` begins in the comment, whose words are set between spaces."""
    wanted = f" {' '.join(own)} "
    first = None
    at = spaced.find(wanted)
    start = 0
    counted = 0
    while at >= 0:
        start += spaced.count(" ", counted, at)
        counted = at
        if not any(times[start : start + len(own)]):
            return start
        first = start if first is None else first
        at = spaced.find(wanted, at + 1)
    return first


def of_contents(texts: list[str], gold: list[list[str]], predicted: list[list[str]]) -> Row:
    """Return what the contents of all comments `texts` say; null where gold or predictions have none to say it.

    `boundaries`: micro precision, recall and F1 of words (`count_shared`). Of predicted contents: `coverage`, the share
    of the comments' words that they cover; `overlap`, of these the share that more than one covers; `unquoted`, the
    share of contents that are not in their comment (`count_cover`). `gold_coverage` is what gold contents cover.
    """
    shared = [count_shared(*contents) for contents in zip(gold, predicted, strict=True)]
    in_words, covered, twice, contents, unquoted = _cover(texts, predicted)
    _, gold_covered, _, gold_contents, _ = _cover(texts, gold)
    both = contents and gold_contents
    return {
        "boundaries": vars(rates(np.array(shared, dtype=np.int64))) if both else None,
        "coverage": covered / max(in_words, 1) if contents else None,
        "gold_coverage": gold_covered / max(in_words, 1) if gold_contents else None,
        "overlap": twice / max(covered, 1) if contents else None,
        "unquoted": unquoted / contents if contents else None,
    }


def _cover(texts: list[str], contents: list[list[str]]) -> list[int]:
    """Return the totals of `count_cover`."""
    rows = [count_cover(text, own) for text, own in zip(texts, contents, strict=True)]
    return [sum(column) for column in zip(*rows, strict=True)]
