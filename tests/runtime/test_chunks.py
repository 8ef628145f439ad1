"""Work in chunks: finished rows are kept, and the next run with the same key does not process them again."""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError, Row, read_json, read_jsonl
from alloy.runtime.chunks import SUPERSEDED, Job, OnRowDone, run_job
from alloy.runtime.resume import hold_work_folder, remove_finished_work

OUTS = (Path("data/doubled.jsonl"), Path("metrics/doubled.json"))
ROWS = [{"number": number} for number in range(10)]
KEY = "k" * 64


class ServiceGone(InputError):
    """The error that the worker raises at a bad number."""


class Doubling:
    """Doubles numbers, keeps those that are not multiples of three, and fails at `bad`."""

    def __init__(self, bad: int | None = None) -> None:
        self.bad = bad
        self.opened = 0
        self.chunks: list[list[int]] = []

    @property
    def processed(self) -> list[int]:
        return [number for chunk in self.chunks for number in chunk]

    def work(self, chunk: list[Row], on_done: OnRowDone) -> None:
        self.chunks.append([])
        for index, row in enumerate(chunk):
            if row["number"] == self.bad:
                raise ServiceGone("the service is gone")
            self.chunks[-1].append(row["number"])
            on_done(index, {"number": row["number"], "double": 2 * row["number"], "use": 1})

    def open(self) -> Any:
        self.opened += 1
        return self.work

    def keep(self, row: Row, totals: "Counter[str]") -> Row | None:
        totals.update(rows=1, use=row.pop("use"))
        return row if row["number"] % 3 else None

    def run(self, total: int = 10) -> Row:
        job = Job("double", "number", self.open, self.keep, lambda totals: {"double": dict(totals)})
        return run_job(job, KEY, iter(ROWS), total, 4, OUTS)


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("ALLOY_DVC", raising=False)


def test_rows_are_processed_in_chunks_and_written_in_order():
    doubling = Doubling()
    assert doubling.run() == {"double": {"rows": 10, "use": 10}}
    assert doubling.chunks == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert read_jsonl(OUTS[0]) == [{"number": number, "double": 2 * number} for number in range(10) if number % 3]
    assert read_json(OUTS[1]) == {"double": {"rows": 10, "use": 10}}


def test_no_more_than_total_rows_are_processed():
    doubling = Doubling()
    assert doubling.run(total=5)["double"]["rows"] == 5
    assert doubling.chunks == [[0, 1, 2, 3], [4]]


def test_a_failed_run_writes_nothing_and_the_next_run_processes_the_rest():
    with pytest.raises(ServiceGone):
        Doubling(bad=5).run()
    assert not any(out.exists() for out in OUTS)
    doubling = Doubling()
    assert doubling.run() == {"double": {"rows": 10, "use": 10}}
    assert doubling.chunks == [[4, 5, 6, 7], [8, 9]]


def test_only_the_chunk_of_a_damaged_row_is_processed_again(capsys):
    with pytest.raises(ServiceGone):
        Doubling(bad=9).run()
    (log,) = Path(".dvc/tmp/alloy").glob("double-*/done.log")
    log.write_bytes(log.read_bytes().replace(b'"double":2,', b'"double":3,'))
    doubling = Doubling()
    assert doubling.run() == {"double": {"rows": 10, "use": 10}}
    assert doubling.chunks == [[0, 1, 2, 3], [8, 9]]
    assert capsys.readouterr().err.startswith(str(log))
    assert read_jsonl(OUTS[0])[0] == {"number": 1, "double": 2}


def test_a_damaged_result_is_made_again(capsys):
    Doubling().run()
    before = OUTS[0].read_bytes()
    (result,) = Path(".dvc/tmp/alloy").glob("double-*/result")
    OUTS[0].unlink()
    rows = result / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-9])
    doubling = Doubling()
    doubling.run()
    assert OUTS[0].read_bytes() == before
    assert len(doubling.chunks) == 3
    assert str(rows) in capsys.readouterr().err


def test_a_finished_result_is_reused_without_opening_the_worker():
    Doubling().run()
    before = OUTS[0].read_bytes()
    OUTS[0].unlink()
    doubling = Doubling()
    doubling.run()
    assert OUTS[0].read_bytes() == before
    assert (doubling.opened, doubling.chunks) == (0, [])


def test_a_superseded_run_stops_before_its_next_chunk():
    class TakenOver(Doubling):
        def work(self, chunk: list[Row], on_done: OnRowDone) -> None:
            with hold_work_folder("double", "another" * 10):
                super().work(chunk, on_done)

    doubling = TakenOver()
    with pytest.raises(InputError) as caught:
        doubling.run()
    assert str(caught.value) == SUPERSEDED
    assert doubling.chunks == [[0, 1, 2, 3]]
    assert not OUTS[0].exists()


class Service(Doubling):
    """Answers numbers at a cost, except those in `silent`."""

    def __init__(self, bad: int | None = None, silent: tuple[int, ...] = ()) -> None:
        super().__init__(bad)
        self.silent = silent

    def work(self, chunk: list[Row], on_done: OnRowDone) -> None:
        def kept(index: int, row: Row) -> None:
            on_done(index, {**row, "silent": row["number"] in self.silent})

        super().work(chunk, kept)

    def keep(self, row: Row, totals: "Counter[str]") -> Row:
        totals.update(rows=1, silent=row["silent"])
        return row

    def run(self, total: int = 10, size: int = 4) -> Row:
        job = Job(
            "double", "number", self.open, self.keep, lambda totals: {"double": dict(totals)}, lambda row: row["silent"]
        )
        return run_job(job, KEY, iter(ROWS), total, size, OUTS)


def test_answers_of_a_service_are_kept_and_only_missing_ones_are_requested():
    with pytest.raises(ServiceGone):
        Service(bad=6).run()
    service = Service()
    assert service.run(size=3) == {"double": {"rows": 10, "silent": 0}}
    assert service.processed == [6, 7, 8, 9]
    assert [row["number"] for row in read_jsonl(OUTS[0])] == list(range(10))


def test_the_next_run_processes_only_rows_without_an_answer():
    assert Service(silent=(2, 7)).run() == {"double": {"rows": 10, "silent": 2}}
    again = Service(silent=(7,))
    assert again.run() == {"double": {"rows": 10, "silent": 1}}
    assert again.processed == [2, 7]
    last = Service()
    assert last.run() == {"double": {"rows": 10, "silent": 0}}
    assert last.processed == [7]
    assert not any(row["silent"] for row in read_jsonl(OUTS[0]))
    assert Service().run() == {"double": {"rows": 10, "silent": 0}}


def test_missing_rows_are_processed_before_rows_that_failed_earlier():
    with pytest.raises(ServiceGone):
        Service(bad=6, silent=(0, 1, 2, 4)).run()
    with pytest.raises(ServiceGone):
        Service(bad=1).run()
    service = Service()
    assert service.run() == {"double": {"rows": 10, "silent": 0}}
    assert service.processed == [1, 2, 4]


def test_rows_that_failed_earlier_are_processed_in_chunks():
    Service(silent=tuple(range(7))).run()
    service = Service()
    service.run(size=3)
    assert service.chunks == [[0, 1, 2], [3, 4, 5], [6]]


def test_answers_are_kept_while_some_are_missing_even_after_dvc_has_recorded_the_result():
    Service(silent=(2,)).run()
    digest = hashlib.md5(OUTS[1].read_bytes(), usedforsecurity=False).hexdigest()
    Path("dvc.lock").write_text(digest)
    remove_finished_work()
    again = Service()
    again.run()
    assert again.chunks == [[2]]
    Path("dvc.lock").write_text(hashlib.md5(OUTS[1].read_bytes(), usedforsecurity=False).hexdigest())
    remove_finished_work()
    assert not list(Path(".dvc/tmp/alloy").glob("double-*"))


def test_answers_are_removed_after_a_month():
    Service(silent=(2,)).run()
    Path("dvc.lock").write_text(hashlib.md5(OUTS[1].read_bytes(), usedforsecurity=False).hexdigest())
    (log,) = Path(".dvc/tmp/alloy").glob("double-*/done.log")
    os.utime(log, (0, 0))
    remove_finished_work()
    assert not log.exists()
