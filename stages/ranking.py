"""Which general rows are taken first."""

from stages.comments import unit_hash
from stages.records import Row


def rank(rows: list[Row], seed: int) -> list[Row]:
    """Return the rows in the order in which they are taken.

    The seed and a row's id alone decide, so that the first few are among the first many.
    """
    return sorted(rows, key=lambda row: (unit_hash(f"{seed} rank {row['id']}"), row["id"]))
