"""Many rows, block by block on all cores, in order; few right here."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

ROWS = 10_000  # of a block
Given = TypeVar("Given")
Result = TypeVar("Result")


def over_blocks(work: Callable[[list[Given]], Result], rows: Iterable[Given]) -> Iterator[Result]:
    """Yield what `work` makes of each block of rows, in their order; other processes get it by pickle."""
    rest = iter(rows)
    blocks = iter(lambda: list(islice(rest, ROWS)), [])
    first = list(islice(blocks, 2))
    if len(first) < 2 or (os.cpu_count() or 1) < 2:  # processes take a second to start
        yield from map(work, chain(first, blocks))
        return
    # Not by fork: libraries have threads by now.
    with multiprocessing.get_context("spawn").Pool(initializer=_remember, initargs=(work,)) as pool:
        yield from pool.imap(_do, chain(first, blocks))


_work: Callable[[list[Any]], Any]  # of a process of the pool


def _remember(work: Callable[[list[Any]], Any]) -> None:
    global _work
    _work = work


def _do(block: list[Any]) -> Any:  # noqa: ANN401 (what `work` makes)
    return _work(block)
