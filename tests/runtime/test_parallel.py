"""Rows are processed block by block, with the same results, in order, in one process or on all cores."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from alloy.core.files import InputError
from alloy.runtime.parallel import BLOCK_ROWS, map_blocks

HERE = Path(__file__).parent


def find_span(rows: list[int]) -> tuple[int, int, int]:
    return rows[0], rows[-1], len(rows)


def raise_at_row(row: int, rows: list[int]) -> int:
    if row in rows:
        raise InputError(f"rows.jsonl:{row}: not valid; fix it")
    return len(rows)


def count_rows(_: bytes, rows: list[int]) -> int:
    return len(rows)


def get_process_id(_: list[int]) -> int:
    return os.getpid()


def kill_worker(parent: int, rows: list[int]) -> int:
    """Kill the process of any block but the first, as Linux does when memory runs out."""
    if os.getpid() != parent and rows[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return len(rows)


def touch_and_wait(folder: Path, rows: list[int]) -> int:
    """Create a file per block. The first block ends at once, so its process is idle while the others work."""
    (folder / str(rows[0])).touch()
    time.sleep(1 if rows[0] else 0)
    return len(rows)


INTERRUPTED = """
import os
import re
from functools import partial
from pathlib import Path
from alloy.runtime.parallel import BLOCK_ROWS, map_blocks
from alloy.core.stage import run
from test_parallel import touch_and_wait
run(lambda: print(list(map_blocks(partial(touch_and_wait, Path.cwd()), range(os.cpu_count() * BLOCK_ROWS)))))
"""
WORKER_EXITS = """
import os
import re
if __name__ != "__main__":
    os._exit(1)
from functools import partial
from alloy.runtime.parallel import BLOCK_ROWS, map_blocks
from alloy.core.stage import run
from test_parallel import count_rows
run(lambda: print(list(map_blocks(partial(count_rows, bytes(2**20)), range(3 * BLOCK_ROWS)))))
"""
needs_cores = pytest.mark.skipif(
    (os.cpu_count() or 1) < 2, reason="on one core, all blocks are processed in this process"
)


@pytest.mark.parametrize("count", [0, 1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS + 7])
def test_every_row_is_processed_once_and_in_order(count: int) -> None:
    expected = [find_span(list(range(count))[start : start + BLOCK_ROWS]) for start in range(0, count, BLOCK_ROWS)]
    assert list(map_blocks(find_span, iter(range(count)))) == expected


def test_few_rows_are_processed_in_the_main_process() -> None:
    assert list(map_blocks(get_process_id, range(BLOCK_ROWS))) == [os.getpid()]


@needs_cores
def test_many_rows_are_processed_by_other_processes() -> None:
    assert os.getpid() not in set(map_blocks(get_process_id, range(2 * BLOCK_ROWS)))


@pytest.mark.parametrize("row", [3, BLOCK_ROWS + 3, 2 * BLOCK_ROWS + 3])
def test_an_error_in_a_block_is_raised_unchanged(row: int) -> None:
    with pytest.raises(InputError) as caught:
        list(map_blocks(partial(raise_at_row, row), range(3 * BLOCK_ROWS)))
    assert str(caught.value) == f"rows.jsonl:{row}: not valid; fix it"


@pytest.mark.parametrize("good", [3, 2 * BLOCK_ROWS + 3])
def test_an_error_of_the_reader_is_raised_unchanged(good: int) -> None:
    def rows() -> Iterator[int]:
        yield from range(good)
        raise InputError("rows.jsonl.gz: broken")

    with pytest.raises(InputError, match=r"^rows\.jsonl\.gz: broken$"):
        list(map_blocks(find_span, rows()))


def test_the_first_of_two_errors_is_raised() -> None:
    with pytest.raises(InputError, match=f"^rows.jsonl:{BLOCK_ROWS + 1}: "):
        list(map_blocks(partial(raise_at_row, BLOCK_ROWS + 1), [*range(2 * BLOCK_ROWS), BLOCK_ROWS + 1]))


def test_blocks_are_read_as_they_are_needed() -> None:
    read = []
    rows = (read.append(number) or number for number in range(100 * BLOCK_ROWS))
    found = map_blocks(find_span, rows)
    assert next(found) == (0, BLOCK_ROWS - 1, BLOCK_ROWS)
    found.close()  # type: ignore[attr-defined]
    assert len(read) <= (2 * (os.cpu_count() or 1) + 2) * BLOCK_ROWS


@needs_cores
def test_a_killed_worker_is_an_error_of_one_line() -> None:
    with pytest.raises(InputError) as caught:
        list(map_blocks(partial(kill_worker, os.getpid()), range(3 * BLOCK_ROWS)))
    assert re.fullmatch(r".*worker.* killed.* memory.*", str(caught.value))


@needs_cores
def test_a_worker_that_exits_before_it_has_read_a_large_function_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "exiting.py").write_text(WORKER_EXITS)
    result = subprocess.run(
        [sys.executable, "exiting.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"exiting: .*\bworker\b.*\bmemory\b.*\n", result.stderr), result.stderr


@pytest.mark.slow
@needs_cores
def test_ctrl_c_ends_all_processes_without_output(tmp_path: Path) -> None:
    stage = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while stage.poll() is None and len(list(tmp_path.iterdir())) < (os.cpu_count() or 1):
        time.sleep(0.01)
    time.sleep(0.2)
    os.killpg(stage.pid, signal.SIGINT)  # as a terminal does on Ctrl-C: to the whole process group
    output, _ = stage.communicate(timeout=300)
    assert (stage.returncode, output) == (130, "")
