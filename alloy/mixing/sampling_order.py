"""Which general rows are taken first, and where among the others they stand: by the seed and a row's id alone.

So the first few are among the first many, and the order of the file does not matter.
"""

from alloy.core.files import Row
from alloy.core.text import text_key


def rank_key(seed: int, identity: str) -> int:
    """Return the number by which rows are taken, the smallest first."""
    return text_key(f"{seed} rank {identity}")


def spot_key(seed: int, identity: str, before: int = 0) -> int:
    """Return where a row that was taken stands, out of 2**64; `before` is how often it was taken before."""
    return text_key(f"{seed} place {identity}" + (f" {before}" if before else ""))


def rank(rows: list[Row], seed: int) -> list[Row]:
    """Return the rows in the order in which they are taken."""
    return sorted(rows, key=lambda row: (rank_key(seed, row["id"]), row["id"]))
