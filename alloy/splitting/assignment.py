"""Assign each comment to train or test, so that no near-duplicates end up in different subsets."""

from collections import defaultdict

import numpy as np

FREE, TRAIN, TEST, LEFT_OUT = range(4)
SUBSETS = {None: FREE, "train": TRAIN, "test": TEST}  # by the `split` of a comment


def find_copies(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs (n, 2) of the first and each later row with an equal key, and the first row of each distinct key.

    Example: for the keys 7, 3, 7, 7 the pairs are (0, 2) and (0, 3), and the first rows are 0 and 1.
    """
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rows = np.arange(len(keys))
    first_of = first[inverse]
    return np.stack([first_of, rows], axis=1)[first_of != rows], np.sort(first)


def assign_subsets(
    keys: np.ndarray, given_subsets: np.ndarray, pairs: np.ndarray, test_share: float
) -> tuple[np.ndarray, dict[int, int]]:
    """Return the subset of each comment (n,), and for each comment that is left out a similar one in the other subset.

    `keys` (n,) are hashes of the texts in uint64. `given_subsets` (n,) are the subsets given by the data, or `FREE`.
    `pairs` (m, 2) are the row indices of near-duplicates and of copies. If several comments are copies of each other,
    only the first of them is paired with near-duplicates.

    1. A comment with a given subset keeps it. A free comment is a test comment if its hash, as a fraction of 2**64, is
       below `test_share`.
    2. Go through the free comments in order. One with earlier near-duplicates or copies in one subset only goes to
       that subset. One with earlier ones in both subsets is left out. So is a copy of a comment that is left out.
    3. Leave out each training comment that is a copy or near-duplicate of a test comment.

    Step 2 looks at earlier comments only, so that comments added at the end do not move any to the other subset.

    Example: comments 0 (test) and 1 (train) are not similar, and comment 2 is similar to both: it is left out.
    """
    hashed_subsets = np.where(keys / 2**64 < test_share, TEST, TRAIN)
    subsets = np.where(given_subsets == FREE, hashed_subsets, given_subsets)
    similar: dict[int, list[int]] = defaultdict(list)
    for a, b in pairs.tolist():
        similar[a].append(b)
        similar[b].append(a)
    left_out: dict[int, int] = {}
    for row in sorted(similar):
        if given_subsets[row] == FREE:
            by_subset = {int(subsets[other]): other for other in similar[row] if other < row}
            out = by_subset.pop(LEFT_OUT, None)
            if len(by_subset) == 1:
                (subsets[row],) = by_subset
            elif by_subset:
                subsets[row], left_out[row] = LEFT_OUT, by_subset[TRAIN]
            elif out is not None and keys[out] == keys[row]:
                subsets[row], left_out[row] = LEFT_OUT, left_out[out]
    for row, other in _find_similar_test_rows(keys, np.flatnonzero(subsets == TEST), similar).items():
        if subsets[row] == TRAIN:
            subsets[row], left_out[row] = LEFT_OUT, other
    return subsets, left_out


def _find_similar_test_rows(keys: np.ndarray, test_rows: np.ndarray, similar: dict[int, list[int]]) -> dict[int, int]:
    """Return each row whose text is similar to that of a test row, with this test row.

    It compares the texts (`keys`), not the rows: a pair names the first copy of a text, and its other copies may be in
    another subset.
    """
    test_row_of = dict(zip(keys[test_rows].tolist(), test_rows.tolist(), strict=True))
    similar_test_row: dict[int, int] = {}  # key of a text -> a test row that it is similar to
    for row, others in similar.items():
        for other in others:
            if (key := int(keys[other])) in test_row_of:
                similar_test_row.setdefault(int(keys[row]), test_row_of[key])
    return {row: similar_test_row[key] for row in sorted(similar) if (key := int(keys[row])) in similar_test_row}
