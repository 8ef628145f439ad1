"""Resumable chunks: process many rows so that an interruption loses little, with one chunk of rows in memory.

Algorithm (`run_job`):

1. Take the work folder of this job (alloy/runtime/resume.py). Its key is a hash of all inputs and settings: if an
   earlier run with the same key was stopped, its finished rows are there.
2. Read the rows in chunks of `size`. Skip a chunk if all of its rows are finished.
3. Process the other chunks. Write each finished row to the row log (alloy/runtime/row_log.py) at once.
   - By default, a chunk of which only some rows are finished is processed again as a whole: a model on this machine may
     round differently in a smaller batch.
   - If the job has `needs_retry`, only the missing rows of the chunk are processed. Rows of an earlier run for which it
     is true come last: if they fail again and stop the job, no other row is missing.
4. When all rows are finished, go through the row log in order, and write rows and metrics as the result.

Example: 10 rows in chunks of 4, killed after row 5. The next run skips chunk 0 to 3, and processes chunk 4 to 7 again
(with `needs_retry`: only the rows 6 and 7), then chunk 8 to 9 (and then row 2, if it failed in the first run).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from alloy.core.files import InputError, Row, write_json, write_jsonl
from alloy.runtime.resume import METRICS, ROW_LOG, ROWS, SUPERSEDED, WorkFolder, resume_or_reuse
from alloy.runtime.row_log import RowLog

OnRowDone = Callable[[int, Row], object]  # called with each finished row and its index in the chunk
Worker = Callable[[list[Row], OnRowDone], object]  # processes a chunk of rows


@dataclass(frozen=True)
class Job:
    """How to process rows chunk by chunk.

    `name` and `unit` are for messages and the progress bar. `open_worker` returns the function that processes a chunk.
    It may load a model, so it is called only if there are rows to process. `count_row` adds a finished row to the
    totals, and returns the row to write, or None. `make_metrics` turns the totals into metrics.

    `needs_retry` is for services, whose answers cost money and do not depend on each other: finished rows of a chunk
    are kept, and the next run processes only the rows for which `needs_retry` is true, and those that are missing.
    """

    name: str
    unit: str
    open_worker: Callable[[], Worker]
    count_row: "Callable[[Row, Counter[str]], Row | None]"
    make_metrics: "Callable[[Counter[str]], Row]"
    needs_retry: Callable[[Row], bool] | None = None


def run_job(job: Job, key: str, rows: Iterable[Row], total: int, size: int, outs: tuple[Path, Path]) -> Row:
    """Process the first `total` rows in chunks of `size`; write rows and metrics to `outs`, and return the metrics.

    `key` is a hash of everything that the result depends on: a run resumes an earlier one with the same key.
    """

    def process(folder: WorkFolder) -> None:
        from tqdm import tqdm

        with (
            tqdm(total=total, unit=job.unit, desc=job.name, disable=None, dynamic_ncols=True) as bar,
            RowLog(folder.path / ROW_LOG, job.needs_retry) as log,
        ):
            rest = islice(rows, total)
            chunks = iter(lambda: list(islice(rest, size)), [])
            count = _Process(job, folder, log, bar.update).process_all(chunks, size)
            _write_result(job, count, folder, log)
        if not log.unfinished:
            log.path.unlink()

    return resume_or_reuse(job.name.replace(" ", "-"), key, process, dict(zip((ROWS, METRICS), outs, strict=True)))


@dataclass
class _Process:
    """Processes the unfinished rows of a job, and writes each to `log` under its index."""

    job: Job
    folder: WorkFolder
    log: RowLog
    advance: Callable[[int], object]
    worker: Worker | None = None
    failed: dict[int, Row] = field(default_factory=dict)  # rows that failed in an earlier run, by index

    def process_all(self, chunks: Iterable[list[Row]], size: int) -> int:
        """Process the chunks, then the rows that failed in an earlier run, and return the number of all rows."""
        count = 0
        for chunk in chunks:
            rows = dict(enumerate(chunk, count))
            self._process_rows(self._select_rows(rows))
            count += len(chunk)
        for first in range(0, len(self.failed), size):
            self._process_rows(dict(islice(self.failed.items(), first, first + size)))
        return count

    def _select_rows(self, rows: dict[int, Row]) -> dict[int, Row]:
        """Return the rows of a chunk to process now; remember those that failed, and count the others as finished."""
        needed = {index: row for index, row in rows.items() if self.log.needs_row(index)}
        if self.job.needs_retry is None:
            selected = rows if needed else {}
        else:
            selected = {index: row for index, row in needed.items() if index not in self.log.unfinished}
            self.failed |= {index: row for index, row in needed.items() if index in self.log.unfinished}
        self.advance(len(rows) - (len(selected) if self.job.needs_retry is None else len(needed)))
        return selected

    def _process_rows(self, rows: dict[int, Row]) -> None:
        if not rows:
            return
        if self.folder.is_superseded():
            raise InputError(SUPERSEDED)
        self.worker = self.worker or self.job.open_worker()
        indices = list(rows)

        def keep_row(number: int, row: Row) -> None:
            self.log.write(indices[number], row)
            self.advance(1)
            if self.job.needs_retry and self.folder.is_superseded():  # an answer of a service costs money
                raise InputError(SUPERSEDED)

        self.worker(list(rows.values()), keep_row)


def _write_result(job: Job, count: int, folder: WorkFolder, log: RowLog) -> None:
    """Write the `count` rows of `log`, and their metrics, as the result of the work folder."""
    totals: Counter[str] = Counter()

    def count_rows() -> Iterator[Row]:
        for index in range(count):
            row = log.read(index)
            if row is None:
                raise InputError(f"{log.path}: damaged while this stage ran; run `dvc repro` again")
            row = job.count_row(row, totals)
            if row is not None:
                yield row

    def write_files(part: Path) -> None:
        write_jsonl(part / ROWS, count_rows())
        write_json(part / METRICS, job.make_metrics(totals))

    folder.write_result(write_files)
