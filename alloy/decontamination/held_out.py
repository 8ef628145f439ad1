"""Hold out general rows for the general loss: no model is trained on them.

The choice depends only on the rows, not on `mix.ratio` or `seed`. So the base model and all runs of a sweep are
measured on the same rows. If a row is held out, no row with the same prompt is used for training.
"""

import numpy as np
import numpy.typing as npt

from alloy.core.files import Row
from alloy.core.text import fold_text, hash_to_uint64

MAX_SHARE = 0.1  # of all rows, how many may be kept out of the mix


def hash_prompt(row: Row) -> int:
    """Return a 64-bit hash of all messages but the last, folded by `fold_text`."""
    return hash_to_uint64("\n".join(f"{turn['role']}: {fold_text(turn['content'])}" for turn in row["messages"][:-1]))


def hold_out(keys: npt.NDArray[np.uint64], wanted: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Choose up to `wanted` rows with different prompts; `keys` (rows,) are the prompt keys.

    Return the indices of the chosen rows, in ascending order of their keys, and a mask (rows,) of the rows that may be
    mixed: those whose prompt is not one of a chosen row.

    1. Sort the distinct keys. A key is a hash, so this order is random and the same on every machine.
    2. Take keys from the smallest on until there are `wanted`. Skip a key if its rows and those already taken would be
       more than `MAX_SHARE` of all rows.
    3. Of the rows with a taken key the first is chosen, and none may be mixed.

    Example: of 30 rows whose prompts have the keys 5, 3, 5, 8, 8, 8, ... (the others larger), 3 rows may be taken at
    most; with `wanted` 2 the rows 1 (key 3) and 0 (key 5) are chosen, and row 2 may not be mixed either.
    """
    distinct, first, counts = np.unique(keys, return_index=True, return_counts=True)
    max_rows = int(len(keys) * MAX_SHARE)
    taken: list[int] = []
    rows = 0
    for index, count in enumerate(counts.tolist()):
        if len(taken) == wanted or rows == max_rows:
            break
        if rows + count <= max_rows:
            taken.append(index)
            rows += count
    return first[taken].astype(np.int64), ~np.isin(keys, distinct[taken])
