"""Long work in chunks that are kept as they are done: a kill costs one of them, and one is in memory."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from alloy.core.files import InputError, Row, write_json, write_jsonl
from alloy.runtime.durable import read_rows, write_rows
from alloy.runtime.resume import METRICS, ROWS, Place, result_of

Advance = Callable[[int], object]  # is told how many more rows are done


@dataclass(frozen=True)
class Job:
    """What becomes of rows, chunk by chunk, and of all that is done in the end.

    `open` returns what does a chunk; it loads the model, and is called only where something is left to do. `keep` adds
    a row that is done to the totals and returns what is written of it, or None. `report` makes metrics of the totals.
    """

    name: str
    unit: str
    open: Callable[[], Callable[[list[Row], Advance], list[Row]]]
    keep: "Callable[[Row, Counter[str]], Row | None]"
    report: "Callable[[Counter[str]], Row]"


def run_job(job: Job, key: str, rows: Iterable[Row], total: int, size: int, outs: tuple[Path, Path]) -> Row:
    """Do `total` rows in chunks of `size`, write rows and metrics to `outs`, and return the metrics.

    `key` stands for all that goes into the result: a run of the same key goes on where an earlier one was stopped.
    """

    def do(place: Place) -> None:
        from tqdm import tqdm

        work = job.open()
        with tqdm(total=total, unit=job.unit, desc=job.name, disable=None, dynamic_ncols=True) as bar:
            left = islice(rows, total)
            files = _do(work, iter(lambda: list(islice(left, size)), []), place, bar.update)
            _join(job, files, place)

    return result_of(job.name.replace(" ", "-"), key, do, dict(zip((ROWS, METRICS), outs, strict=True)))


def _do(
    work: Callable[[list[Row], Advance], list[Row]], chunks: Iterable[list[Row]], place: Place, advance: Advance
) -> list[Path]:
    """Do what is not done yet, and return the file of each chunk."""
    files: list[Path] = []
    for chunk in chunks:
        file = place.folder / f"chunk-{len(files):06}.jsonl"
        if file.exists() and read_rows(file) is None:
            print(f"{file}: damaged since it was written; doing this chunk again", file=sys.stderr)
            file.unlink()
        if file.exists():
            advance(len(chunk))
        else:
            if place.taken_over():
                raise InputError("a later run in this folder has taken over")
            write_rows(file, work(chunk, advance))
        files.append(file)
    return files


def _join(job: Job, files: list[Path], place: Place) -> None:
    """Make the chunks the result of `place`; it appears whole."""
    totals: Counter[str] = Counter()

    def kept() -> Iterator[Row]:
        for file in files:
            rows = read_rows(file)
            if rows is None:
                file.unlink(missing_ok=True)
                raise InputError(f"{file}: damaged while this stage ran; run `dvc repro` again")
            for row in rows:
                written = job.keep(row, totals)
                if written is not None:
                    yield written

    def write(part: Path) -> None:
        write_jsonl(part / ROWS, kept())
        write_json(part / METRICS, job.report(totals))

    place.finish(write)
    for file in files:
        file.unlink()
