"""Draw the rows of a mix: each group in proportion to its weight, the sizes adding up to the target.

Drawing (`draw_in_proportion`) is the divisor method of Webster and Sainte-Laguë:

1. Each group offers its next row. A row that is larger than the group's whole quota is skipped.
2. The offer's priority is (size drawn from the group so far + half of the row's size) / weight of the group.
3. The offer with the lowest priority is drawn (on a tie, the group that is named first), and its group offers again.
4. Drawing ends when it is the turn of a group that has no row left.

Example: weights A = 2, B = 1, rows of size 1. A's priorities are 0.25, 0.75, 1.25, 1.75, B's are 0.5, 1.5, 2.5. The
order is A B A A B A.

Every beginning of this order holds the groups in proportion, so a small mix is the beginning of a larger one.

Meeting the target (`sample_total`): rows of size 1 meet it exactly. Tokens seldom do, so the last rows are adjusted:

1. Take the rows in the order above. A row that would exceed the target becomes a candidate instead.
2. Stop at the target, or when there are candidates and the sum is within `TOLERANCE`, or at `ADJUSTABLE` candidates.
3. If the sum is short, change as few rows as possible (`MAX_CHANGES` at most): leave out some of the last
   `ADJUSTABLE` rows, add some candidates. The fewest changes that bring the sum within `TOLERANCE` win, else those
   that bring it nearest to the target.

Only rows drawn after 3/4 of the target may be left out, and only candidates up to 3/2 of it may be added. So a mix is a
subset of every mix that is at least twice as large, and with many rows of nearly every larger one. Rows that are larger
than half of the mix are an exception.
"""

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice

TOLERANCE = 0.0005  # of the target: a sum that differs by less counts as exact
MAX_GAP = 0.05  # of the target: how far below it a sum may be if all rows of a group are used
LOOK_AHEAD = 64  # rows of a group among which one that is not too large is searched
ADJUSTABLE = 8  # last rows that may be left out, and candidates that may be added
MAX_CHANGES = 4  # rows left out and added, together
MAX_REPEATS = 100  # times that one row is drawn with `repeat`: a mistyped total must not fill the memory


class TooFewRowsError(Exception):
    """The group `name` has no row left. `total` is the size of the rows drawn so far, of all groups."""

    def __init__(self, name: str, total: int) -> None:
        super().__init__(name, total)
        self.name, self.total = name, total


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """A drawn row: its index in the `RowIndex`, how often it was drawn before, and its size."""

    index: int
    repetition: int
    size: int


def draw_in_proportion(
    groups: dict[str, Iterator[DrawnRow]], weights: dict[str, float], target: float = math.inf
) -> Iterator[DrawnRow | str]:
    """Yield rows, each group in proportion to its weight (the steps are at the top of this file).

    When it is the turn of a group that has no row left, its name is the last item. `target` is the size of the whole
    mix; it limits the size of single rows.
    """
    taken = dict.fromkeys(groups, 0)
    order = {name: number for number, name in enumerate(groups)}
    weight_sum = sum(weights[name] for name in groups)

    def offer_next_row(name: str) -> tuple[float, int, str, DrawnRow | None]:
        row = _take_fitting_row(groups[name], max(1.0, target * weights[name] / weight_sum))
        half = row.size / 2 if row else 0.5
        return (taken[name] + half) / weights[name], order[name], name, row

    heap = [offer_next_row(name) for name in groups if weights[name] > 0]
    heapq.heapify(heap)
    while heap:
        _, _, name, row = heap[0]
        if row is None:
            yield name
            return
        taken[name] += row.size
        yield row
        heapq.heapreplace(heap, offer_next_row(name))


def _take_fitting_row(rows: Iterator[DrawnRow], limit: float) -> DrawnRow | None:
    """Return the next row of at most `limit`; if the next `LOOK_AHEAD` rows are all larger, the first of them."""
    first = None
    for row in islice(rows, LOOK_AHEAD):
        if row.size <= limit:
            return row
        first = first or row
    return first


def sample_total(groups: dict[str, Iterator[DrawnRow]], weights: dict[str, float], target: int) -> list[DrawnRow]:
    """Return rows whose sizes add up to `target` or near it (the steps are at the top of this file).

    Raises `TooFewRowsError` if a group has no row left before the target is met. If only rows that are too large are
    left, this is an error if another row as large as any of those drawn would fit.
    """
    drawn: list[DrawnRow] = []
    candidates: list[DrawnRow] = []  # rows that would exceed the target
    total = 0  # size of `drawn`
    offered = 0  # size of `drawn` and `candidates`
    fixed = 0  # how many of `drawn` may not be left out
    # A mix twice as large may leave out rows only from 3/4 of its target on, which is 3/2 of this target.
    limit = 1.5 * target
    exhausted = ""  # the name of a group that has no row left
    for row in draw_in_proportion(groups, weights, target) if target > 0 else ():
        if isinstance(row, str):
            exhausted = row
            break
        if candidates and offered + row.size > limit:
            break
        if total + row.size <= target:
            total += row.size
            drawn.append(row)
            fixed += offered < 0.75 * target
        else:
            candidates.append(row)
            limit = max(limit, target + candidates[0].size)
        offered += row.size
        if total == target or len(candidates) == ADJUSTABLE or (candidates and target - total <= TOLERANCE * target):
            break
    rows = _adjust_sum(drawn, fixed, candidates, target - total, TOLERANCE * target)
    total = sum(row.size for row in rows)
    is_short = rows and target - total > max(MAX_GAP * target, *(row.size for row in rows))
    if exhausted and (is_short or not candidates):
        raise TooFewRowsError(exhausted, total)
    return rows


def _adjust_sum(
    drawn: list[DrawnRow], fixed: int, candidates: list[DrawnRow], gap: int, tolerance: float
) -> list[DrawnRow]:
    """Return the rows with the fewest changes that close the `gap` between their sum and the target.

    The first `fixed` rows stay. A remaining gap of at most `tolerance` is small enough.
    """
    removable = drawn[fixed:][-ADJUSTABLE:]
    sizes = [*(-row.size for row in removable), *(row.size for row in candidates)]
    best: tuple[int, ...] = ()
    smallest_gap = gap
    for count in range(1, MAX_CHANGES + 1):
        if smallest_gap <= tolerance:
            break
        for changed in combinations(range(len(sizes)), count):
            new_gap = abs(gap - sum(sizes[number] for number in changed))
            if new_gap < smallest_gap:
                best, smallest_gap = changed, new_gap
    remaining = [row for number, row in enumerate(removable) if number not in best]
    added = [row for number, row in enumerate(candidates, len(removable)) if number in best]
    return drawn[: len(drawn) - len(removable)] + remaining + added


def sample_all(groups: dict[str, Iterator[DrawnRow]], weights: dict[str, float]) -> list[DrawnRow]:
    """Return as many rows as the weights allow: until it is the turn of a group that has no row left."""
    return [row for row in draw_in_proportion(groups, weights) if isinstance(row, DrawnRow)]


def repeat_rows(rows: Iterable[tuple[int, int]], repeat: bool) -> Iterator[DrawnRow]:
    """Yield each (index, size) as a row to draw: once, or with `repeat` up to `MAX_REPEATS` times."""
    seen = []
    for index, size in rows:
        if repeat:
            seen.append((index, size))
        yield DrawnRow(index, 0, size)
    for repetition in range(1, MAX_REPEATS):
        yield from (DrawnRow(index, repetition, size) for index, size in seen)


def compute_targets(ratio: float, customer: int, total: int | None) -> tuple[int, int | None]:
    """Return the sizes of the customer part and of the general part of a mix, in its unit.

    `customer` is the size of all customer rows. They all stay, unless `total` sets the size of the whole mix. At
    ratio 1 no customer row stays; the general size is then None, which means all general rows.
    """
    if total is not None:
        general = round(total * ratio)
        return total - general, general
    if ratio == 1:
        return 0, None
    return customer, round(customer * ratio / (1 - ratio))
