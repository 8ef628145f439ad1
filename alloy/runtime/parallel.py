"""Process many rows on all cores, block by block and in order; process few rows in this process."""

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

BLOCK_ROWS = 10_000
Item = TypeVar("Item")
Result = TypeVar("Result")


def map_blocks(work: Callable[[list[Item]], Result], rows: Iterable[Item]) -> Iterator[Result]:
    """Apply `work` to blocks of rows in parallel; yield results in order.

    1. Cut the rows into blocks of `BLOCK_ROWS`. If there is only one block, apply `work` here: starting processes takes
       a second.
    2. Start one process per core, each with its own pipe. Send it `work` (pickled) and one block.
    3. Receive the results in the order in which the blocks were sent. Send a process its next block as soon as its
       result is there.

    An error that `work` raises is raised here. Tried instead: `multiprocessing.Pool`, which waits forever for a process
    that was killed, and `ProcessPoolExecutor`, which may do so after Ctrl-C.
    """
    rest = iter(rows)
    blocks = iter(lambda: list(islice(rest, BLOCK_ROWS)), [])
    first = list(islice(blocks, 2))
    cores = os.cpu_count() or 1
    if len(first) < 2 or cores < 2:
        yield from map(work, chain(first, blocks))
        return
    todo = chain(first, blocks)
    context = get_context("spawn")  # fork is unsafe, since libraries have started threads by now
    pipes: list[Connection] = []
    processes = []
    try:
        for _ in range(cores):
            parent_end, child_end = context.Pipe()
            process = context.Process(target=_serve_blocks, args=(child_end,), daemon=True)
            process.start()
            child_end.close()
            pipes.append(parent_end)
            processes.append(process)
            # Not as an argument of the process: if it dies before it reads a large argument, the parent hangs.
            _send(parent_end, work)
        busy = [pipe for pipe, block in zip(pipes, todo, strict=False) if _send(pipe, block)]
        while busy:  # in turn, so that results come in order
            pipe = busy.pop(0)
            result = _receive_result(pipe)
            if (block := next(todo, None)) is not None and _send(pipe, block):
                busy.append(pipe)
            yield result
    finally:
        for process in processes:
            process.kill()


def _send(pipe: Connection, value: object) -> bool:
    """Send a value to a process; return True, so that it can be used as a condition."""
    try:
        pipe.send(value)
    except OSError:
        raise _make_dead_worker_error() from None
    return True


def _receive_result(pipe: Connection) -> Any:  # noqa: ANN401 (the result of `work`)
    """Return the next result of a process, or raise the error that `work` raised there."""
    try:
        result, error = pipe.recv()
    except (EOFError, OSError):
        raise _make_dead_worker_error() from None
    if error is not None:
        raise error
    return result


def _make_dead_worker_error() -> InputError:
    return InputError("a worker process was killed, most likely out of memory; free memory, and run the command again")


def _serve_blocks(pipe: Connection) -> None:
    """Receive `work` and then blocks, and send back (result, None) or (None, error) for each block."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then kills this process
    gc.disable()  # rows hold no reference cycles, and the search for cycles takes a third of the time
    with suppress(EOFError, OSError):  # the parent is gone
        work: Callable[[list[Any]], Any] = pipe.recv()
        while True:
            block = pipe.recv()
            try:
                answer = work(block), None
            except Exception as error:
                answer = None, error
            pipe.send(answer)
