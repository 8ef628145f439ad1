"""The random order in which rows are sampled, and their positions in the mix.

Both depend only on the seed and the id, and the position of a repeated row on the number of the repetition.

1. A row's rank is a hash of the seed and its id. Rows are taken by rank, the lowest first.
2. A sampled row's position is another hash of the seed and its id, from 0 to 2**64. The mix puts general rows among the
   customer rows in the order of their positions.

So a small sample is the beginning of a larger one, and the order of rows in the file has no effect.
"""

from alloy.core.files import Row
from alloy.core.text import hash_to_uint64


def compute_rank(seed: int, identity: str) -> int:
    """Return the rank of a row; rows with the lowest ranks are taken first."""
    return hash_to_uint64(f"{seed} rank {identity}")


def compute_position(seed: int, identity: str, repetition: int = 0) -> int:
    """Return the position of a sampled row, from 0 to 2**64; `repetition` is how often it was sampled before."""
    return hash_to_uint64(f"{seed} place {identity}" + (f" {repetition}" if repetition else ""))


def rank_rows(rows: list[Row], seed: int) -> list[Row]:
    """Return the rows in sampling order."""
    return sorted(rows, key=lambda row: (compute_rank(seed, row["id"]), row["id"]))
