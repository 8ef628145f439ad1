"""Answers are stored one by one, and damaged ones are computed again."""

import pytest

from alloy.evaluation.answer_log import AnswerLog, use_answer_log


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept/answers_rank0.db"


@pytest.fixture
def opened(path):
    """Return a function that opens the log; close all logs at the end."""
    logs = []

    def open_log() -> AnswerLog:
        logs.append(AnswerLog(path))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


def fill_log(path) -> None:
    log = AnswerLog(path)
    log["one"] = "A lamp.\nNo: \u20ac"
    log["two"] = (-1.5, True)
    log["one"] = "never written"
    log.close()


def test_answers_are_read_back_unchanged(path, opened, capsys):
    fill_log(path)
    log = opened()
    assert ("one" in log, "three" in log) == (True, False)
    assert log["one"] == "A lamp.\nNo: \u20ac"
    assert list(log["two"]) == [-1.5, True]
    assert len(path.read_bytes().splitlines()) == 2
    assert capsys.readouterr().err == ""


def test_an_incomplete_last_line_is_computed_again_without_a_message(path, opened, capsys):
    fill_log(path)
    path.write_bytes(path.read_bytes()[:-4])
    log = opened()
    assert ("one" in log, "two" in log) == (True, False)
    log["two"] = 2
    log.close()
    assert opened()["two"] == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", [(b"lamp", b"lump"), (b"A lamp", b""), (b" ", b"")])
def test_a_damaged_line_is_reported_and_computed_again(path, opened, damage, capsys):
    fill_log(path)
    path.write_bytes(path.read_bytes().replace(*damage, 1))
    log = opened()
    assert ("one" in log, "two" in log) == (False, True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: 1 ")


def test_bytes_that_are_not_text_are_ignored(path, opened, capsys):
    path.parent.mkdir()
    path.write_bytes(b"\x80\x04\x95\n" * 3)
    assert not opened().answers
    assert f"{path}: 3 " in capsys.readouterr().err


def test_the_cache_class_of_lm_eval_is_restored_afterwards():
    from lm_eval.api import model

    before = model.CachingLM
    with use_answer_log():
        assert model.CachingLM is not before
    assert model.CachingLM is before
