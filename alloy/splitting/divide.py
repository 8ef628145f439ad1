"""Divide comments into train and test: similar comments stay together, the others are assigned by a hash."""

import numpy as np

from alloy.core.files import InputError
from alloy.splitting.assignment import TEST, TRAIN, assign_sides, find_copies
from alloy.splitting.near_duplicates import (
    find_candidates,
    find_cross_candidates,
    make_buckets,
    remove_seen_pairs,
    select_near_duplicates,
)
from alloy.splitting.validate import CheckedComments

MAX_ROUNDS = 5  # of the search for near-duplicates across the two sides


def divide_comments(
    comments: CheckedComments, test_share: float, threshold: float
) -> tuple[np.ndarray, dict[int, int]]:
    """Return the side of each comment (n,), and for each comment that is left out a similar one on the other side.

    Two comments are similar if their texts are copies, or near-duplicates with a similarity of at least `threshold`.
    At a threshold of 1 only copies count.

    1. Find the copies, and assign sides by them (alloy/splitting/assignment.py).
    2. Find candidates for near-duplicates among the first copies of all texts.
    3. Compare the candidates exactly, add those that are near-duplicates to the pairs, and assign sides again.
    4. Look for further candidates, now pairs of a test and a training comment. A bucket with many texts may hold some
       that step 2 did not compare. Repeat from step 3 until there are no new ones, or `MAX_ROUNDS` times.
    """
    sides, left_out, _ = divide_with_pairs(comments, test_share, threshold)
    return sides, left_out


def divide_with_pairs(
    comments: CheckedComments, test_share: float, threshold: float
) -> tuple[np.ndarray, dict[int, int], np.ndarray]:
    """Return what `divide_comments` returns, and the pairs (n, 2) of copies and near-duplicates that it found."""
    keys, given_sides = comments.table["key"], comments.table["given_side"]
    pairs, first = find_copies(keys)
    sides, left_out = assign_sides(keys, given_sides, pairs, test_share)
    if threshold == 1:
        return sides, left_out, pairs
    signatures = comments.table["signature"][first]
    buckets = make_buckets(signatures, comments.table["halves"][first], threshold)
    seen = candidates = find_candidates(signatures, buckets)
    for _ in range(MAX_ROUNDS):
        if not len(candidates):
            break
        near_duplicates = select_near_duplicates(first[candidates], threshold, comments.read_folded_text)
        pairs = np.unique(np.concatenate([pairs, near_duplicates]), axis=0)
        sides, left_out = assign_sides(keys, given_sides, pairs, test_share)
        across = find_cross_candidates(signatures, buckets, sides[first] == TEST, sides[first] == TRAIN)
        candidates = remove_seen_pairs(across, seen)
        seen = np.concatenate([seen, candidates])
    return sides, left_out, pairs


def require_both_sides(sides: np.ndarray, file: str) -> None:
    """Raise `InputError` that names `file`, the file of the comments, unless both train and test have comments."""
    train, test = (int((sides == side).sum()) for side in (TRAIN, TEST))
    if not train or not test:
        raise InputError(
            f"{file}: {train} train and {test} test comments; add comments or change split.test so that neither "
            "side is empty"
        )
