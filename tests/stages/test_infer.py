"""The stage `infer` writes a prediction per comment, in order, and continues after a kill with the same bytes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from alloy.core.files import read_json, read_jsonl
from alloy.core.text import hash_text
from alloy.labeling.predict import build_metrics
from hostile_comments import HOSTILE as ALL
from projects import LABELS, TASK, make_environment, write_labeling_project

pytestmark = pytest.mark.slow

HOSTILE = ALL[::2]


def run_infer(project: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "stages.infer", "base"]
    result = subprocess.run(
        command, cwd=project, env=make_environment(**env), text=True, capture_output=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def read_predictions(project: Path) -> list[dict]:
    return read_jsonl(project / "data/predictions/base.jsonl")


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    """A project with hostile comments, labeled by the transformers engine with constrained decoding."""
    project = write_labeling_project(tmp_path_factory.mktemp("held") / "project", HOSTILE, constrain=True)
    result = run_infer(project)
    assert result.stderr == ""
    return project


def check_rows(rows: list[dict], comments: list[str], task: dict) -> None:
    """Check that complete answers are JSON in the training format, with labels of the taxonomy and exact quotes."""
    keys = ["content", "L1", "L2", "emotion"] if task["has_content"] else ["L1", "L2", "emotion"]
    assert [row["id"] for row in rows] == [f"c{number}" for number in range(len(comments))]
    ended = [(row, text) for row, text in zip(rows, comments, strict=True) if row["finish"] == "stop"]
    assert len(ended) > len(comments) / 2
    for row, text in ended:
        segments = json.loads(row["raw"])
        assert json.dumps(segments, ensure_ascii=False) == row["raw"]
        assert 1 <= len(segments) <= TASK["most_segments"]
        assert len({json.dumps(segment) for segment in segments}) == len(segments)
        for segment in segments:
            assert list(segment) == keys
            assert (segment["L1"], segment["L2"]) in LABELS.leaves
            assert segment["emotion"] in TASK["emotions"]
            assert segment.get("content", "") in text


def test_hostile_comments_get_taxonomy_labels_and_verbatim_quotes(labeled):
    check_rows(read_predictions(labeled), HOSTILE, TASK)


def test_each_prediction_has_the_id_and_the_hash_of_its_comment(labeled):
    rows = read_predictions(labeled)
    assert [(row["id"], row["hash"]) for row in rows] == [
        (f"c{number}", hash_text(text)) for number, text in enumerate(HOSTILE)
    ]


def test_the_metrics_have_the_usage(labeled):
    metrics = read_json(labeled / "metrics/infer/base.json")["base"]["infer"]
    rows = read_predictions(labeled)
    assert metrics["comments"] == len(rows)
    assert metrics["invalid_json"] == 0.0  # those that are not valid were cut
    assert metrics["repeated_segments"] == 0.0
    assert metrics["ended_by_length"] == round(sum(row["finish"] == "length" for row in rows) / len(rows), 4)
    assert metrics["quoted"] == 1.0
    assert 0 < metrics["cached_share"] < 1


def count_kept_rows(project: Path) -> int:
    """Return the number of rows that a killed stage has kept."""
    return sum(len(log.read_bytes().splitlines()) for log in project.glob(".dvc/tmp/alloy/infer-base-*/done.log"))


def test_after_a_kill_and_a_restart_the_output_has_the_same_bytes(labeled, tmp_path):
    project = shutil.copytree(labeled, tmp_path / "project")
    shutil.rmtree(project / ".dvc")
    shutil.rmtree(project / "data/predictions")
    command = [sys.executable, "-m", "stages.infer", "base"]
    for _ in range(2):
        count = count_kept_rows(project)
        with subprocess.Popen(command, cwd=project, env=make_environment()) as process:
            while count_kept_rows(project) == count:
                assert process.poll() is None
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        assert not (project / "data/predictions/base.jsonl").exists()
    run_infer(project)
    names = ("data/predictions/base.jsonl",)
    assert [(project / name).read_bytes() for name in names] == [(labeled / name).read_bytes() for name in names]
    shutil.rmtree(project / "data/predictions")  # as DVC does before it runs a stage again
    result = run_infer(project)
    assert (project / names[0]).read_bytes() == (labeled / names[0]).read_bytes()
    assert "comments" in result.stdout


@pytest.fixture(scope="module")
def by_vllm(tmp_path_factory):
    """The same comments, labeled by vLLM."""
    pytest.importorskip("vllm", reason="vLLM is not installed")
    folder = tmp_path_factory.mktemp("vllm") / "project"
    project = write_labeling_project(folder, HOSTILE, TASK, constrain=True, engine="vllm")
    return project, run_infer(project)


def test_vllm_gives_hostile_comments_taxonomy_labels_and_verbatim_quotes(by_vllm):
    project, result = by_vllm
    check_rows(read_predictions(project), HOSTILE, TASK)
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1


def test_vllm_without_constraints_gives_the_answers_of_transformers(tmp_path):
    pytest.importorskip("vllm", reason="vLLM is not installed")
    texts = {}
    for engine in ("transformers", "vllm"):
        project = write_labeling_project(tmp_path / engine, HOSTILE, engine=engine, max_new_tokens=24, limit=40)
        run_infer(project)
        assert len(read_predictions(project)) == 40
        texts[engine] = [(row["raw"], row["finish"]) for row in read_predictions(project)]
    assert len(set(texts["vllm"])) > 20
    assert texts["vllm"] == texts["transformers"]


def test_the_report_counts_how_answers_ended():
    totals = {"comments": 4, "invalid": 1, "finish length": 1, "finish refused": 1, "seconds": 2.0, "tokens_out": 10}
    metrics = build_metrics(Counter({**totals, "segments": 8, "repeated": 2}))
    assert (metrics["invalid_json"], metrics["ended_by_length"], metrics["ended_by_refused"]) == (0.25, 0.25, 0.25)
    assert metrics["repeated_segments"] == 0.25
    assert (metrics["tokens_per_second"], metrics["comments_per_second"]) == (5.0, 2.0)
    assert "quoted" not in metrics
