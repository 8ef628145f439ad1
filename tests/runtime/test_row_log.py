"""Rows are kept one by one; only damaged rows and an unfinished last row are missing."""

import pytest

from alloy.runtime.row_log import RowLog


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder/done.log"


def fill_log(path, again=None):
    with RowLog(path, again) as log:
        log.write(0, {"text": "naïve\n"})
        log.write("b", {"n": 1.5})
        log.write(7, {"n": 2})


def test_rows_are_read_as_written_and_the_last_row_of_a_key_counts(path, capsys):
    fill_log(path)
    with RowLog(path) as log:
        log.write(7, {"n": 3})
        assert [log.needs_row(key) for key in (0, "b", 7, 8)] == [False, False, False, True]
        assert (log.read(0), log.read("b"), log.read(7)) == ({"text": "naïve\n"}, {"n": 1.5}, {"n": 3})
    with RowLog(path) as log:
        assert log.read(7) == {"n": 3}
    assert capsys.readouterr().err == ""


def test_a_row_is_in_the_file_before_the_log_is_closed(path):
    log = RowLog(path)
    log.write(0, {"n": 1})
    assert len(path.read_bytes().splitlines()) == 1
    log.close()


def test_an_unfinished_last_line_is_missing_without_a_warning(path, capsys):
    fill_log(path)
    path.write_bytes(path.read_bytes()[:-3])
    with RowLog(path) as log:
        assert (log.needs_row("b"), log.needs_row(7)) == (False, True)
        log.write(7, {"n": 4})
    with RowLog(path) as log:
        assert (log.read("b"), log.read(7)) == ({"n": 1.5}, {"n": 4})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("change", [(b"1.5", b"1.6"), (b'"b"', b'"c"'), (b" ", b""), (b"{", b"\x80")])
def test_a_damaged_line_is_missing_with_a_warning(path, change, capsys):
    fill_log(path)
    path.write_bytes(path.read_bytes().replace(*change, 1))
    with RowLog(path) as log:
        assert len(log.offsets) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: 1 ")


def test_a_row_that_is_damaged_while_the_log_is_open_is_read_as_none(path):
    fill_log(path)
    with RowLog(path) as log:
        path.write_bytes(path.read_bytes().replace(b"1.5", b"1.6"))
        assert log.read("b") is None
        assert log.read(7) == {"n": 2}


def test_rows_to_process_again_are_needed_until_they_are_written(path):
    again = lambda row: row.get("n") == 2  # noqa: E731
    fill_log(path, again)
    with RowLog(path, again) as log:
        assert (log.needs_row(0), log.needs_row(7), log.unfinished) == (False, True, {7})
        log.write(7, {"n": 9})
        assert (log.needs_row(7), log.unfinished) == (False, set())


def test_a_log_that_is_only_read_is_not_changed(path):
    fill_log(path)
    path.write_bytes(path.read_bytes()[:-3])
    before = path.read_bytes()
    with RowLog(path, writes=False) as log:
        assert log.read("b") == {"n": 1.5}
    assert path.read_bytes() == before
