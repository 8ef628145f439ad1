"""Divide comments into train and test: similar comments stay together, the others are assigned by a hash."""

import numpy as np

from alloy.core.files import InputError
from alloy.splitting.assignment import TEST, TRAIN, assign_subsets, find_copies
from alloy.splitting.near_duplicates import (
    find_candidates,
    find_cross_candidates,
    make_buckets,
    remove_seen_pairs,
    select_near_duplicates,
)
from alloy.splitting.validate import CheckedComments

MAX_ROUNDS = 5  # of the search for near-duplicates between train and test


def divide_comments(
    comments: CheckedComments, test_share: float, threshold: float
) -> tuple[np.ndarray, dict[int, int]]:
    """Return the subset of each comment (n,), and for each comment that is left out a similar one in the other subset.

    Two comments are similar if their texts are copies, or near-duplicates with a similarity of at least `threshold`.
    At a threshold of 1 only copies count.

    1. Find the copies, and assign the subsets (alloy/splitting/assignment.py).
    2. Find candidates for near-duplicates among the first copies of all texts.
    3. Compare the candidates exactly, add those that are near-duplicates to the pairs, and assign subsets again.
    4. Look for further candidates, now pairs of a test and a training comment. A bucket with many texts may hold some
       that step 2 did not compare. Repeat from step 3 until there are no new ones, or `MAX_ROUNDS` times.
    """
    subsets, left_out, _ = divide_with_pairs(comments, test_share, threshold)
    return subsets, left_out


def divide_with_pairs(
    comments: CheckedComments, test_share: float, threshold: float
) -> tuple[np.ndarray, dict[int, int], np.ndarray]:
    """Return what `divide_comments` returns, and the pairs (n, 2) of copies and near-duplicates that it found."""
    keys, given_subsets = comments.table["key"], comments.table["given_subset"]
    pairs, first = find_copies(keys)
    subsets, left_out = assign_subsets(keys, given_subsets, pairs, test_share)
    if threshold == 1:
        return subsets, left_out, pairs
    signatures = comments.table["signature"][first]
    buckets = make_buckets(signatures, comments.table["halves"][first], threshold)
    seen = candidates = find_candidates(signatures, buckets)
    for _ in range(MAX_ROUNDS):
        if not len(candidates):
            break
        near_duplicates = select_near_duplicates(first[candidates], threshold, comments.read_folded_text)
        pairs = np.unique(np.concatenate([pairs, near_duplicates]), axis=0)
        subsets, left_out = assign_subsets(keys, given_subsets, pairs, test_share)
        across = find_cross_candidates(signatures, buckets, subsets[first] == TEST, subsets[first] == TRAIN)
        candidates = remove_seen_pairs(across, seen)
        seen = np.concatenate([seen, candidates])
    return subsets, left_out, pairs


def require_train_and_test(subsets: np.ndarray, file: str) -> None:
    """Raise `InputError` that names `file`, the file of the comments, unless both train and test have comments."""
    train, test = (int((subsets == subset).sum()) for subset in (TRAIN, TEST))
    if not train or not test:
        raise InputError(
            f"{file}: {train} train and {test} test comments; add comments or change split.test so that both "
            "have comments"
        )
