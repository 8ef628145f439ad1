"""Each comment's side: copies and near-duplicates stay together, the rest goes by a hash of its text."""

import numpy as np

from alloy.core.files import InputError
from alloy.splitting.assignment import TEST, TRAIN, assign, copies
from alloy.splitting.near_duplicates import between, candidates, near_pairs, shelves, unseen
from alloy.splitting.validate import Survey

ROUNDS = 5  # of looking for test comments that are nearly one of train, where many are alike


def divide(survey: Survey, share: float, near: float) -> tuple[np.ndarray, dict[int, int]]:
    """Return each comment's side, and of each that is left out whom it is like (see alloy/splitting/assignment.py).

    Comments belong together when their texts are copies, or nearly the same at a likeness of `near`.
    """
    sides, left_out, _ = divide_with_pairs(survey, share, near)
    return sides, left_out


def divide_with_pairs(survey: Survey, share: float, near: float) -> tuple[np.ndarray, dict[int, int], np.ndarray]:
    """Return what `divide` does, and the pairs (n, 2) of copies and near-duplicates by which it went."""
    keys, given = survey.table["key"], survey.table["given"]
    pairs, first = copies(keys)
    sides, left_out = assign(keys, given, pairs, share)
    if near == 1:
        return sides, left_out, pairs
    signed = survey.table["signature"][first]
    shelved = shelves(signed, survey.table["halves"][first], near)
    looked_at = found = candidates(signed, shelved)
    for _ in range(ROUNDS):
        if not len(found):
            break
        pairs = np.unique(np.concatenate([pairs, near_pairs(first[found], near, survey.text)]), axis=0)
        sides, left_out = assign(keys, given, pairs, share)
        found = unseen(between(signed, shelved, sides[first] == TEST, sides[first] == TRAIN), looked_at)
        looked_at = np.concatenate([looked_at, found])
    return sides, left_out, pairs


def require_both_sides(sides: np.ndarray, file: str) -> None:
    """Raise `InputError`, about the file of the comments, unless both train and test have some."""
    train, test = (int((sides == side).sum()) for side in (TRAIN, TEST))
    if not train or not test:
        raise InputError(
            f"{file}: {train} train and {test} test comments; add comments or change split.test so that both sides "
            "have some"
        )
