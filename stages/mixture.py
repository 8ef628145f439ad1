"""Which rows make up a mix: as much of each group as was asked, the same rows first in every mix.

Groups are drawn from in turns, each time from the one that is furthest behind its weight (the divisor method of
Webster and Sainte-Laguë). So every beginning of the sequence holds the groups in proportion, and a small mix is the
beginning of a larger one. With sizes of more than 1, as tokens are, a sum is seldom met so, and the last rows are
chosen among those that a mix twice as large holds: a mix is within any that is at least twice as large, and within
nearly any larger one where both have many rows. A row that is larger than all its group is to give is passed over.
"""

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

NEXT = 64  # rows that are looked at for a better one
NEAR = 0.0005  # of what was asked: a sum so near is as good as met


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
    total = 0
    rows = sequence(groups, weights, target) if target > 0 else iter(())
    for draw in rows:
        if isinstance(draw, str):
            raise TooFewError(draw, total)
        if total + draw.size > target:
            return drawn + _last(chain([draw], rows), total, target)
        drawn.append(draw)
        total += draw.size
        if total == target:
            break
    return drawn


def take_all(groups: dict[str, Iterator[Draw]], weights: dict[str, float]) -> list[Draw]:
    """Return all rows that can be had by the weights: up to where it is the turn of a group that has none left."""
    return [draw for draw in sequence(groups, weights) if isinstance(draw, Draw)]


def _last(rows: Iterator[Draw | str], total: int, target: int) -> list[Draw]:
    """Return those of the next rows that bring `total` near to `target`: each that fits, and one to end with."""
    fit: list[Draw] = []
    gaps = [target - total]  # before the first that fits, and behind each
    best: list[Draw] = []
    error = gaps[0]
    reach = total
    for draw in rows:
        if isinstance(draw, str) or error <= NEAR * target or (reach > total and reach + draw.size > 2 * target):
            break
        reach += draw.size
        for count in range(max(0, len(gaps) - NEXT), len(gaps)):
            if abs(gaps[count] - draw.size) < error:
                best, error = [*fit[:count], draw], abs(gaps[count] - draw.size)
        if draw.size < gaps[-1]:
            fit.append(draw)
            gaps.append(gaps[-1] - draw.size)
    return best


def rounds(rows: Iterable[tuple[int, int]], repeat: bool) -> Iterator[Draw]:
    """Yield rows given as (place, size), once; with `repeat` again and again."""
    seen = []
    for place, size in rows:
        if repeat:
            seen.append((place, size))
        yield Draw(place, 0, size)
    before = 1
    while seen:
        yield from (Draw(place, before, size) for place, size in seen)
        before += 1


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
