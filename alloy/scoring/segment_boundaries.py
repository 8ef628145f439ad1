"""Where segments begin and end, regardless of labels: predicted contents, compared with gold contents and the comment.

A content is the text of one segment. Contents are compared by their words (`alloy/core/text.py`), without case and
punctuation.
"""

from collections.abc import Sequence

import numpy as np

from alloy.core.files import Row
from alloy.core.text import split_words
from alloy.formats.comments import Segment
from alloy.scoring.matching import as_multiset, compute_scores


def list_contents(segments: Sequence[Segment]) -> list[str]:
    """Return the contents of the segments that have one."""
    return [segment.content for segment in segments if segment.content is not None]


def count_shared(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> tuple[int, int, int]:
    """Return (shared, predicted, gold) words of the contents of one comment; each content is a list of words.

    Algorithm (segment matching by an optimal assignment; Kuhn, The Hungarian Method, 1955):

    1. Count the words that each gold content shares with each predicted content, as multisets, in any order.
    2. Pair each content with at most one of the other list, so that the sum of shared words is as large as possible.
    3. `shared` is this sum; `predicted` and `gold` are all words of the contents.

    Example: gold is [a b] and [c d], predicted [a b c d]. The predicted content can be paired with only one of the gold
    contents: (2, 4, 4).
    """
    sizes = sum(map(len, predicted)), sum(map(len, gold))
    if not gold or not predicted:
        return 0, *sizes
    predicted_sets = [as_multiset(content) for content in predicted]
    shared = [
        [len(gold_set & predicted_set) for predicted_set in predicted_sets] for gold_set in map(as_multiset, gold)
    ]
    if len(gold) == 1 or len(predicted) == 1:
        return max(map(max, shared)), *sizes
    from scipy.optimize import linear_sum_assignment  # a slow import that most comments do not need

    shared_words = np.array(shared)
    return int(shared_words[linear_sum_assignment(shared_words, maximize=True)].sum()), *sizes


def count_covered_words(comment: list[str], contents: Sequence[list[str]]) -> tuple[int, int, int]:
    """Return (words covered by a content, words covered more than once, contents not in the comment).

    The comment and each content are lists of words. Algorithm, for each content in order:

    1. Find all positions where its words follow one another in the comment.
    2. Take the first position whose words no earlier content covers. If there is none, take the first position.
    3. Mark its words as covered once more. A content without words or without a position is not in the comment.

    Example: the comment is (good coffee good price), the contents (good), (good price), (bad). The first covers word 1,
    the second words 3 and 4, and the third is not in the comment: (3, 0, 1).
    """
    spaced_comment = f" {' '.join(comment)} "
    cover_counts = [0] * len(comment)
    last_positions: dict[str, int] = {}
    absent = 0
    for content in contents:
        start = _find_start(spaced_comment, content, cover_counts, last_positions) if content else None
        if start is None:
            absent += 1
            continue
        for index in range(start, start + len(content)):
            cover_counts[index] += 1
    return len(comment) - cover_counts.count(0), len(comment) - cover_counts.count(0) - cover_counts.count(1), absent


def _find_start(
    spaced_comment: str, content: list[str], cover_counts: list[int], last_positions: dict[str, int]
) -> int | None:
    """Return the index of the word at which `content` begins in the comment, or None (steps 1 and 2).

    `spaced_comment` has one space before and after each word. `last_positions` has, for contents of the same words, the
    last position found: all positions before it are covered already.
    """
    spaced_content = f" {' '.join(content)} "
    position = spaced_comment.find(spaced_content, last_positions.get(spaced_content, 0))
    while position >= 0:
        last_positions[spaced_content] = position
        start = spaced_comment.count(" ", 0, position)
        if not any(cover_counts[start : start + len(content)]):
            return start
        position = spaced_comment.find(spaced_content, position + 1)
    first = spaced_comment.find(spaced_content)
    return spaced_comment.count(" ", 0, first) if first >= 0 else None


def measure_contents(texts: list[str], gold: list[list[str]], predicted: list[list[str]]) -> Row:
    """Return the metrics of the contents of all comments; None if gold or predictions lack the contents for it.

    - `boundaries`: micro precision, recall and F1 of words (`count_shared`).
    - `coverage`: share of the comments' words that predicted contents cover.
    - `gold_coverage`: share of the comments' words that gold contents cover.
    - `overlap`: share of these covered words that more than one predicted content covers.
    - `unquoted`: share of predicted contents that are not in their comment (`count_covered_words`).
    """
    rows = [_count_comment(*comment) for comment in zip(texts, gold, predicted, strict=True)]
    totals = np.array(rows, dtype=np.int64).sum(axis=0)
    comment_words, gold_covered, covered, covered_twice, absent = totals[3:].tolist()
    has_gold, predicted_contents = any(gold), sum(map(len, predicted))
    return {
        "boundaries": vars(compute_scores(totals[None, :3])) if predicted_contents and has_gold else None,
        "coverage": covered / max(comment_words, 1) if predicted_contents else None,
        "gold_coverage": gold_covered / max(comment_words, 1) if has_gold else None,
        "overlap": covered_twice / max(covered, 1) if predicted_contents else None,
        "unquoted": absent / predicted_contents if predicted_contents else None,
    }


def _count_comment(text: str, gold: list[str], predicted: list[str]) -> tuple[int, ...]:
    """Return the counts of one comment: `count_shared`, words, words that gold covers, `count_covered_words`."""
    comment = split_words(text)
    gold_words, predicted_words = ([split_words(content) for content in contents] for contents in (gold, predicted))
    return (
        *count_shared(gold_words, predicted_words),
        len(comment),
        count_covered_words(comment, gold_words)[0],
        *count_covered_words(comment, predicted_words),
    )
