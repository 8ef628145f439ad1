"""`alloy classify` labels comments, keeps their other fields, and continues after an interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from alloy.commands.classify import KeptAnswers, encode_row, label_chunk
from alloy.formats.unlabeled import Unlabeled
from alloy.inference.usage import is_unanswered
from alloy.runtime.row_log import RowLog
from projects import LABELS, make_environment, write_labeling_project

SEGMENT = {"L1": "Setup", "L2": "Pairing"}


def make_answer(comment: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": comment["id"], "segments": [SEGMENT], "valid": True, "finish": "stop", "use": {}, **more}


def label_rows(chunk: list[Unlabeled], **more: Any) -> list[dict[str, Any]]:
    return list(label_chunk(chunk, lambda comments: [make_answer(comment, **more) for comment in comments]))


def test_a_row_without_a_text_keeps_its_position_and_has_the_reason() -> None:
    chunk = [Unlabeled({"id": 1, "text": "a"}), Unlabeled({"id": 2}, "no text"), Unlabeled({"id": 3, "text": "b"})]
    first, second, third = label_rows(chunk)
    assert (first, third["id"]) == ({"id": 1, "text": "a", "segments": [SEGMENT]}, 3)
    assert second == {"id": 2, "segments": [], "valid": False, "reason": "no text"}


def test_fields_of_an_earlier_run_are_replaced() -> None:
    again = {"id": "9", "text": "The lock jams", "segments": [], "valid": False, "reason": "refused", "shop": 3}
    assert label_rows([Unlabeled(again)]) == [{"id": "9", "text": "The lock jams", "shop": 3, "segments": [SEGMENT]}]


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        ("context", "context"),
        ("refused", "refused"),
        ("failed", "failed"),
        ("length", "max_new_tokens"),
        ("stop", "JSON"),
    ],
)
def test_an_unusable_answer_has_a_reason(finish: str, word: str) -> None:
    (row,) = label_rows([Unlabeled({"id": "1", "text": "a"})], valid=False, segments=[], finish=finish)
    assert (row["segments"], row["valid"]) == ([], False)
    assert word in row["reason"]


def test_a_chunk_without_usable_comments_calls_no_model() -> None:
    def label_nothing(_comments: list[Any]) -> list[Any]:
        raise AssertionError("nothing is to be labeled")

    assert len(list(label_chunk([Unlabeled({"id": "1"}, "empty")], label_nothing))) == 1


def test_numbers_and_letters_are_written_unchanged() -> None:
    row = {"id": 12345678901234567890123, "text": "很好", "odd": "\ud83d"}
    assert json.loads(encode_row(row)) == row
    assert "很好".encode() in encode_row({"text": "很好"})


def test_answers_are_kept_only_for_the_same_texts(tmp_path: Path) -> None:
    calls = []

    def work(comments: list[Any], on_done: Any) -> None:
        calls.append([comment["text"] for comment in comments])
        for index, comment in enumerate(comments):
            on_done(index, make_answer(comment))

    comment_a, comment_b, both = ([{"id": "", "text": text} for text in texts] for texts in ("a", "b", "ba"))
    with closing(KeptAnswers(tmp_path / "key", None)) as first:
        answers = first.answer_all(comment_a, work)
        assert first.answer_all(comment_a, work) == answers
        first.answer_all([*comment_b, *comment_b], work)
    with closing(KeptAnswers(tmp_path / "key", None)) as again:
        assert again.answer_all(comment_a, work) == answers
    assert calls == [["a"], ["b"]]
    file = first.logs[-1].path
    file.write_bytes(file.read_bytes()[:-9])  # damaged
    with closing(KeptAnswers(tmp_path / "key", None)) as second:
        second.answer_all(both, work)
    assert calls == [["a"], ["b"], ["b"]]
    second.remove_finished()
    assert list(tmp_path.iterdir()) == []


def test_the_next_run_labels_only_unanswered_comments(tmp_path: Path) -> None:
    comments = [{"id": "", "text": text} for text in "abcd"]

    def run(**ends: str) -> list[str]:
        labeled: list[str] = []

        def work(unlabeled: list[Any], on_done: Any) -> None:
            for index, comment in enumerate(unlabeled):
                labeled.append(comment["text"])
                on_done(index, make_answer(comment, finish=ends.get(comment["text"], "stop"), reason="gone"))

        with closing(KeptAnswers(tmp_path / "key", is_unanswered)) as kept:
            kept.answer_all(comments, work)
        kept.remove_finished()
        return labeled

    assert run(b="refused", c="failed", d="context") == ["a", "b", "c", "d"]
    assert run(d="context") == ["b", "c", "d"]
    assert run() == ["d"]
    assert list(tmp_path.iterdir()) == []


def run_classify(project: Path, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "alloy", "classify", *arguments]
    return subprocess.run(
        command,
        cwd=project,
        env=make_environment(),
        input=given,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_comments_are_labeled_in_order_with_labels_of_the_taxonomy(tmp_path):
    project = write_labeling_project(tmp_path / "project", ["Good."], constrain=True, max_new_tokens=400)
    given = "".join(json.dumps({"text": f"The lock jams {number}.", "shop": number}) + "\n" for number in range(40))
    result = run_classify(project, "-", "--model", "models/base", given=given)
    assert result.returncode == 0, result.stderr
    rows = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [row["shop"] for row in rows] == list(range(40))
    labeled = [row for row in rows if row.get("valid", True)]
    assert len(labeled) > 20
    assert all(
        (s["L1"], s["L2"]) in LABELS.leaves and s["content"] in row["text"] for row in labeled for s in row["segments"]
    )
    unlabeled = [row for row in rows if not row.get("valid", True)]
    assert all(row["reason"] for row in unlabeled)
    assert bool(unlabeled) == (f"{len(unlabeled)} of 40 rows " in result.stderr)
    assert not list((project / ".dvc/tmp/alloy").glob("classify/*"))


@pytest.mark.slow
def test_a_missing_file_is_named_in_a_one_line_error(tmp_path):
    result = run_classify(write_labeling_project(tmp_path / "project", ["Good."]), "nowhere.jsonl")
    assert result.returncode == 1
    assert result.stderr.startswith("alloy: nowhere.jsonl: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_an_interrupted_run_continues(tmp_path):
    project = write_labeling_project(
        tmp_path / "project", ["Good."], constrain=True, max_new_tokens=200, batch_size=1
    )  # chunks of 8
    source = project / "new.jsonl"
    rows = [{"id": number, "text": f"The lock jams {number}."} for number in range(60)]
    rows[20]["text"] = ""
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    kept = project / ".dvc/tmp/alloy/classify"
    run = subprocess.Popen(
        [sys.executable, "-m", "alloy", "classify", "new.jsonl", "--model", "models/base"],
        cwd=project,
        env=make_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while run.poll() is None and sum(len(file.read_bytes().splitlines()) for file in kept.glob("*/*.log")) < 20:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    before, _ = run.communicate()
    (file,) = kept.glob("*/*.log")
    with RowLog(file) as log:  # so that a reused answer can be told from a new one
        log.write(
            next(iter(log.offsets)), {"segments": [{"L1": "kept", "L2": "kept"}], "valid": True, "finish": "stop"}
        )
    result = run_classify(project, "new.jsonl", "--model", "models/base")
    assert result.returncode == 0, result.stderr
    found = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [row["id"] for row in found] == list(range(60))
    assert sum(row["segments"] == [{"L1": "kept", "L2": "kept"}] for row in found) == 1
    assert (found[20]["segments"], found[20]["valid"], found[20]["reason"]) == ([], False, "`text` is empty")
    assert not list(kept.glob("*"))
    assert len(before.splitlines()) >= 16


@pytest.mark.slow
def test_a_closed_pipe_ends_the_command_quietly(tmp_path):
    project = write_labeling_project(tmp_path / "project", ["Good."], max_new_tokens=8, batch_size=1)
    (project / "new.txt").write_text("".join(f"The lock jams {number}.\n" for number in range(200)), encoding="utf-8")
    read, write = os.pipe()
    run = subprocess.Popen(
        [sys.executable, "-m", "alloy", "classify", "new.txt", "--model", "models/base"],
        cwd=project,
        env=make_environment(),
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert orjson.loads(pipe.readline())["id"] == "1"
    _, errors = run.communicate(timeout=120)
    assert (errors, run.returncode) == (b"", 141)
