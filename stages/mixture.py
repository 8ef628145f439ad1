"""Which rows make up a mix: as much of each group as was asked, the same rows first in every mix.

Groups are drawn from in turns, each time from the one that is furthest behind its weight (the divisor method of
Webster and Sainte-Laguë). So every beginning of the sequence holds the groups in proportion, and a small mix is the
beginning of a larger one. With sizes of more than 1, as tokens are, a sum cannot be met so: the last row is the one of
the next `NEXT` that comes nearest, and two mixes may differ in it if they end within `NEXT` rows of one another.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NEXT = 64  # rows that the last one is chosen from


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


def sequence(groups: dict[str, Iterator[Draw]], weights: dict[str, float]) -> Iterator[Draw | str]:
    """Yield rows by turns; the name of a group where it is its turn and it has none left, and then no more."""
    taken = dict.fromkeys(groups, 0)
    order = {name: number for number, name in enumerate(groups)}

    def turn(name: str) -> tuple[float, int, str, Draw | None]:
        draw = next(groups[name], None)
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


def take(groups: dict[str, Iterator[Draw]], weights: dict[str, float], target: int) -> list[Draw]:
    """Return the rows whose sizes add up to `target`, or to the nearest that can be had; raise `TooFewError`."""
    drawn: list[Draw] = []
    total = 0
    rows = sequence(groups, weights) if target > 0 else iter(())
    for draw in rows:
        if isinstance(draw, str):
            raise TooFewError(draw, total)
        if total + draw.size > target:
            following = [draw, *_some(rows, NEXT - 1)]
            best = min(following, key=lambda one: abs(target - total - one.size))
            return [*drawn, best] if abs(target - total - best.size) < target - total else drawn
        drawn.append(draw)
        total += draw.size
        if total == target:
            break
    return drawn


def _some(rows: Iterator[Draw | str], count: int) -> list[Draw]:
    found = []
    for draw in rows:
        if isinstance(draw, str) or len(found) == count:
            break
        found.append(draw)
    return found


def rounds(rows: Iterable[tuple[int, int]], repeat: bool) -> Iterator[Draw]:
    """Yield rows given as (place, size), once; with `repeat` again and again."""
    seen = []
    for place, size in rows:
        seen.append((place, size))
        yield Draw(place, 0, size)
    before = 1
    while repeat and seen:
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
