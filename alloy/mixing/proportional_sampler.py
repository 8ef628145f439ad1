"""Which rows make up a mix: as much of each group as was asked, the same rows first in every mix.

Groups are drawn from in turns, each time from the one that is furthest behind its weight (the divisor method of
Webster and Sainte-Laguë). So every beginning of the sequence holds the groups in proportion, and a small mix is the
beginning of a larger one. With sizes of more than 1, as tokens are, a sum is seldom met so: then a few of the last rows
are left out, or some of the next ones are added. A mix is still within any that is at least twice as large, and with
many rows within nearly any larger one; rows of more than half a mix are apart from this. One that is larger than all
that its group is to give is passed over.
"""

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice

NEAR = 0.0005  # of what was asked: a sum so near is as good as met
NEXT = 64  # rows of a group that are looked at for one that is not too large
LAST = 8  # rows that may be left out, and as many that may be added
CHANGES = 4  # of those, at most
TIMES = 100  # that a row is taken where rows are repeated: a slip in a total must not fill the memory


class TooFewError(Exception):
    """The group `name` has no row left, when `total` was drawn from all."""

    def __init__(self, name: str, total: int) -> None:
        super().__init__(name, total)
        self.name, self.total = name, total


@dataclass(frozen=True, slots=True)
class Draw:
    """A row that was drawn: its `place`, how often it was drawn before, and its size."""

    place: int
    before: int
    size: int


def sequence(
    groups: dict[str, Iterator[Draw]], weights: dict[str, float], target: float = math.inf
) -> Iterator[Draw | str]:
    """Yield rows by turns; the name of a group where it is its turn and it has none left, and then no more.

    `target` is what the mix is to be in all.
    """
    taken = dict.fromkeys(groups, 0)
    order = {name: number for number, name in enumerate(groups)}
    whole = sum(weights[name] for name in groups)

    def turn(name: str) -> tuple[float, int, str, Draw | None]:
        draw = _fitting(groups[name], max(1.0, target * weights[name] / whole))
        half = draw.size / 2 if draw else 0.5
        return (taken[name] + half) / weights[name], order[name], name, draw

    heap = [turn(name) for name in groups if weights[name] > 0]
    heapq.heapify(heap)
    while heap:
        _, _, name, draw = heap[0]
        if draw is None:
            yield name
            return
        taken[name] += draw.size
        yield draw
        heapq.heapreplace(heap, turn(name))


def _fitting(rows: Iterator[Draw], limit: float) -> Draw | None:
    """Return the first row that is no larger than `limit`; the first of all where the next ones are all larger."""
    first = None
    for draw in islice(rows, NEXT):
        if draw.size <= limit:
            return draw
        first = first or draw
    return first


def take(groups: dict[str, Iterator[Draw]], weights: dict[str, float], target: int) -> list[Draw]:
    """Return the rows whose sizes add up to `target`, or to the nearest that can be had; raise `TooFewError`."""
    drawn: list[Draw] = []
    others: list[Draw] = []  # too large for what is left
    total = reach = fixed = 0
    # Up to 3/2 of what was asked rows may be added, from 3/4 on left out: what a mix adds, one twice as large keeps.
    limit = 1.5 * target
    for draw in sequence(groups, weights, target) if target > 0 else ():
        if isinstance(draw, str):
            if not others:
                raise TooFewError(draw, total)
            break
        if others and reach + draw.size > limit:
            break
        if total + draw.size <= target:
            total += draw.size
            drawn.append(draw)
            fixed += reach < 0.75 * target
        else:
            others.append(draw)
            limit = max(limit, target + others[0].size)
        reach += draw.size
        if total == target or len(others) == LAST or (others and target - total <= NEAR * target):
            break
    return _near(drawn, fixed, others, target - total, NEAR * target)


def _near(drawn: list[Draw], fixed: int, others: list[Draw], gap: int, enough: float) -> list[Draw]:
    """Return the rows with as few changes as bring the sum, which is short by `gap`, near; the first `fixed` stay."""
    edge = drawn[fixed:][-LAST:]
    sizes = [*(-one.size for one in edge), *(one.size for one in others)]
    best: tuple[int, ...] = ()
    error = gap
    for count in range(1, CHANGES + 1):
        if error <= enough:
            break
        for changed in combinations(range(len(sizes)), count):
            left = abs(gap - sum(sizes[number] for number in changed))
            if left < error:
                best, error = changed, left
    kept = [one for number, one in enumerate(edge) if number not in best]
    added = [one for number, one in enumerate(others, len(edge)) if number in best]
    return drawn[: len(drawn) - len(edge)] + kept + added


def take_all(groups: dict[str, Iterator[Draw]], weights: dict[str, float]) -> list[Draw]:
    """Return all rows that can be had by the weights: up to where it is the turn of a group that has none left."""
    return [draw for draw in sequence(groups, weights) if isinstance(draw, Draw)]


def rounds(rows: Iterable[tuple[int, int]], repeat: bool) -> Iterator[Draw]:
    """Yield rows given as (place, size), once; with `repeat` up to `TIMES` times."""
    seen = []
    for place, size in rows:
        if repeat:
            seen.append((place, size))
        yield Draw(place, 0, size)
    for before in range(1, TIMES):
        yield from (Draw(place, before, size) for place, size in seen)


def targets(ratio: float, customer: int, total: int | None) -> tuple[int, int | None]:
    """Return how much of customers and of general rows a mix holds, in its unit; None: all that there is.

    All `customer` stays, unless the whole is to be `total`; at ratio 1 no customer row is left.
    """
    if total is not None:
        general = round(total * ratio)
        return total - general, general
    if ratio == 1:
        return 0, None
    return customer, round(customer * ratio / (1 - ratio))
