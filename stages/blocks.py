"""Many rows, block by block on all cores, in order; few right here."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

from stages.records import InputError

ROWS = 10_000  # of a block
Given = TypeVar("Given")
Result = TypeVar("Result")


def over_blocks(work: Callable[[list[Given]], Result], rows: Iterable[Given]) -> Iterator[Result]:
    """Yield what `work` makes of each block of rows, in their order; other processes get it by pickle."""
    rest = iter(rows)
    blocks = iter(lambda: list(islice(rest, ROWS)), [])
    first = list(islice(blocks, 2))
    cores = os.cpu_count() or 1
    if len(first) < 2 or cores < 2:  # processes take a second to start
        yield from map(work, chain(first, blocks))
        return
    # Not by fork: libraries have threads by now. Not by a Pool: it waits for ever for a process that was killed.
    with ProcessPoolExecutor(cores, get_context("spawn"), _remember, (work,)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for block in chain(first, blocks):
                waiting.append(pool.submit(_do, block))
                if len(waiting) > 2 * cores:  # a file may be larger than memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise InputError("a process was ended from outside, most often for want of memory; run it again") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_work: Callable[[list[Any]], Any]  # of a process of the pool


def _remember(work: Callable[[list[Any]], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which then ends this process
    Thread(target=_end_with_the_stage, daemon=True).start()


def _end_with_the_stage() -> None:
    stage = parent_process()
    if stage:
        stage.join()
        os._exit(1)


def _do(block: list[Any]) -> Any:  # noqa: ANN401 (what `work` makes)
    return _work(block)
