"""Long work on many rows: each row is kept as it is done, and only one chunk of rows is in memory."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from alloy.core.files import InputError, Row, write_json, write_jsonl
from alloy.runtime.resume import DONE, METRICS, ROWS, Place, result_of
from alloy.runtime.row_log import RowLog

Done = Callable[[int, Row], object]  # is given each row that is done, with its index in the chunk
Work = Callable[[list[Row], Done], object]
TAKEN_OVER = "a later run in this folder has taken over"


@dataclass(frozen=True)
class Job:
    """What becomes of rows, chunk by chunk, and of all that is done in the end.

    `open` returns what does a chunk; it loads the model, and is called only if something is left to do. `keep` adds
    a row that is done to the totals and returns what is written of it, or None. `report` makes metrics of the totals.

    `again` is for services, whose answers do not depend on each other and cost money: rows of a chunk that was begun
    are kept, and a row for which `again` is true is done again by the next run. Without it a chunk that was begun is
    done again as a whole, since a model on this machine may round differently in a smaller batch.
    """

    name: str
    unit: str
    open: Callable[[], Work]
    keep: "Callable[[Row, Counter[str]], Row | None]"
    report: "Callable[[Counter[str]], Row]"
    again: Callable[[Row], bool] | None = None


def run_job(job: Job, key: str, rows: Iterable[Row], total: int, size: int, outs: tuple[Path, Path]) -> Row:
    """Do `total` rows in chunks of `size`, write rows and metrics to `outs`, and return the metrics.

    `key` stands for all that goes into the result: a run of the same key goes on where an earlier one was stopped.
    """

    def do(place: Place) -> None:
        from tqdm import tqdm

        with (
            tqdm(total=total, unit=job.unit, desc=job.name, disable=None, dynamic_ncols=True) as bar,
            RowLog(place.folder / DONE, job.again) as log,
        ):
            left = islice(rows, total)
            count = _do(job, iter(lambda: list(islice(left, size)), []), place, log, bar.update)
            _join(job, count, place, log)
        if not log.unfinished:
            log.path.unlink()

    return result_of(job.name.replace(" ", "-"), key, do, dict(zip((ROWS, METRICS), outs, strict=True)))


def _do(job: Job, chunks: Iterable[list[Row]], place: Place, log: RowLog, advance: Callable[[int], object]) -> int:
    """Do what is not done yet, keep each row in `log` by its number, and return how many rows there are."""
    work: Work | None = None
    count = 0
    for chunk in chunks:
        numbers = range(count, count + len(chunk))
        left = [number for number in numbers if log.lacks(number)]
        if left and job.again is None:
            left = list(numbers)
        advance(len(chunk) - len(left))
        if left:
            if place.taken_over():
                raise InputError(TAKEN_OVER)
            work = work or job.open()

            def keep(index: int, row: Row, left: list[int] = left) -> None:
                log.write(left[index], row)
                advance(1)
                if job.again and place.taken_over():  # an answer of a service costs money
                    raise InputError(TAKEN_OVER)

            work([chunk[number - count] for number in left], keep)
        count += len(chunk)
    return count


def _join(job: Job, count: int, place: Place, log: RowLog) -> None:
    """Make the rows the result of `place`; it appears whole."""
    totals: Counter[str] = Counter()

    def kept() -> Iterator[Row]:
        for number in range(count):
            row = log.read(number)
            if row is None:
                raise InputError(f"{log.path}: damaged while this stage ran; run `dvc repro` again")
            written = job.keep(row, totals)
            if written is not None:
                yield written

    def write(part: Path) -> None:
        write_jsonl(part / ROWS, kept())
        write_json(part / METRICS, job.report(totals))

    place.finish(write)
