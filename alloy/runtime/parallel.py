"""Many rows, block by block on all cores, in order; few right here."""

import gc
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from alloy.core.files import InputError

ROWS = 10_000  # of a block
Given = TypeVar("Given")
Result = TypeVar("Result")


def over_blocks(work: Callable[[list[Given]], Result], rows: Iterable[Given]) -> Iterator[Result]:
    """Yield what `work` makes of each block of rows, in their order; other processes get it by pickle.

    Each process has a pipe of its own and one block at a time. Tried: `multiprocessing.Pool`, which waits for ever for
    a process that was killed, and `ProcessPoolExecutor`, which may do so after Ctrl-C.
    """
    rest = iter(rows)
    blocks = iter(lambda: list(islice(rest, ROWS)), [])
    first = list(islice(blocks, 2))
    cores = os.cpu_count() or 1
    if len(first) < 2 or cores < 2:  # processes take a second to start
        yield from map(work, chain(first, blocks))
        return
    todo = chain(first, blocks)
    context = get_context("spawn")  # not by fork: libraries have threads by now
    pipes: list[Connection] = []
    processes = []
    try:
        for _ in range(cores):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there,), daemon=True)
            process.start()
            there.close()
            pipes.append(here)
            processes.append(process)
            # Not as an argument: what is large there waits for ever where the process dies before it reads it.
            _sent(here, work)
        busy = [pipe for pipe, block in zip(pipes, todo, strict=False) if _sent(pipe, block)]
        while busy:  # by turns, so that results come in order
            pipe = busy.pop(0)
            result = _received(pipe)
            if (block := next(todo, None)) is not None and _sent(pipe, block):
                busy.append(pipe)
            yield result
    finally:
        for process in processes:
            process.kill()


def _sent(pipe: Connection, what: object) -> bool:
    try:
        pipe.send(what)
    except OSError:
        raise _gone() from None
    return True


def _received(pipe: Connection) -> Any:  # noqa: ANN401 (what the work makes)
    try:
        result, fault = pipe.recv()
    except (EOFError, OSError):
        raise _gone() from None
    if fault is not None:
        raise fault
    return result


def _gone() -> InputError:
    return InputError("a process was ended from outside, most often for want of memory; run it again")


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which then ends this process
    gc.disable()  # rows hold no cycles, and the search for some takes a third of the time
    with suppress(EOFError, OSError):  # the stage is gone
        work: Callable[[list[Any]], Any] = pipe.recv()
        while True:
            block = pipe.recv()
            try:
                answer = work(block), None
            except Exception as fault:
                answer = None, fault
            pipe.send(answer)
