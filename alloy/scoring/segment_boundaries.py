"""Where segments begin and end: contents laid against gold ones, and what of the comment they cover. No labels here.

Contents are told apart by their words (`alloy/core/text.py`), without case and punctuation.
"""

from collections.abc import Sequence

import numpy as np

from alloy.core.files import Row
from alloy.core.text import split_words
from alloy.formats.comments import Segment
from alloy.scoring.matching import multiset, rates


def contents_of(segments: Sequence[Segment]) -> list[str]:
    """Return the contents of those segments that have one."""
    return [segment.content for segment in segments if segment.content is not None]


def count_shared(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> tuple[int, int, int]:
    """Return (shared, predicted, gold) words of the contents of one comment, each given as its words.

    Each content is paired with at most one of the other side, so that most words are shared (an optimal assignment);
    the words of a pair are compared as multisets, in any order.
    """
    sizes = sum(map(len, predicted)), sum(map(len, gold))
    if not gold or not predicted:
        return 0, *sizes
    bags = [multiset(content) for content in predicted]
    shared = [[len(bag & other) for other in bags] for bag in map(multiset, gold)]
    if len(gold) == 1 or len(predicted) == 1:
        return max(map(max, shared)), *sizes
    from scipy.optimize import linear_sum_assignment  # late: most comments do not come here

    table = np.array(shared)
    return int(table[linear_sum_assignment(table, maximize=True)].sum()), *sizes


def count_cover(comment: list[str], contents: Sequence[list[str]]) -> tuple[int, int, int]:
    """Return how `contents` lie on a `comment`, all given as their words.

    (words of the comment that a content covers, of these by more than one, contents that are not in the comment).
    A content lies where its words follow one another in the comment; where that is in several places, on the first one
    that no content before it has, else on the first. One whose words are nowhere, or that has none, is not in
    the comment and covers nothing.
    """
    spaced = f" {' '.join(comment)} "
    times = [0] * len(comment)
    tried: dict[str, int] = {}
    absent = 0
    for content in contents:
        start = _place(spaced, content, times, tried) if content else None
        if start is None:
            absent += 1
            continue
        for place in range(start, start + len(content)):
            times[place] += 1
    return len(comment) - times.count(0), len(comment) - times.count(0) - times.count(1), absent


def _place(spaced: str, content: list[str], times: list[int], tried: dict[str, int]) -> int | None:
    """Return the number of the word at which `content` begins in the comment, whose words stand between spaces.

    `tried` keeps where the last content of the same words was looked for: places before it are never free again.
    """
    wanted = f" {' '.join(content)} "
    at = spaced.find(wanted, tried.get(wanted, 0))
    while at >= 0:
        tried[wanted] = at
        start = spaced.count(" ", 0, at)
        if not any(times[start : start + len(content)]):
            return start
        at = spaced.find(wanted, at + 1)
    first = spaced.find(wanted)
    return spaced.count(" ", 0, first) if first >= 0 else None


def of_contents(texts: list[str], gold: list[list[str]], predicted: list[list[str]]) -> Row:
    """Return what the contents of all comments `texts` say; null where gold or predictions have none to say it.

    `boundaries`: micro precision, recall and F1 of words (`count_shared`). Of predicted contents: `coverage`, the share
    of the comments' words that they cover; `overlap`, of these the share that more than one covers; `unquoted`, the
    share of contents that are not in their comment (`count_cover`). `gold_coverage` is what gold contents cover.
    """
    rows = [_count(*comment) for comment in zip(texts, gold, predicted, strict=True)]
    totals = np.array(rows, dtype=np.int64).sum(axis=0)
    in_words, gold_covered, covered, twice, absent = totals[3:].tolist()
    has_gold, contents = any(gold), sum(map(len, predicted))
    return {
        "boundaries": vars(rates(totals[None, :3])) if contents and has_gold else None,
        "coverage": covered / max(in_words, 1) if contents else None,
        "gold_coverage": gold_covered / max(in_words, 1) if has_gold else None,
        "overlap": twice / max(covered, 1) if contents else None,
        "unquoted": absent / contents if contents else None,
    }


def _count(text: str, gold: list[str], predicted: list[str]) -> tuple[int, ...]:
    """Return what one comment adds: `count_shared`, its words, those that gold covers, `count_cover`."""
    comment = split_words(text)
    wanted, found = ([split_words(content) for content in contents] for contents in (gold, predicted))
    return *count_shared(wanted, found), len(comment), count_cover(comment, wanted)[0], *count_cover(comment, found)
