"""The error about a missing or edited file says how to restore it: run a stage, use the DVC cache, or add it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from alloy.core.dvc_outputs import (
    explain_restore,
    find_edited_inputs,
    find_edited_outputs,
    find_stage,
    is_tracked_by_dvc,
)
from alloy.core.files import InputError
from alloy.core.metrics_file import read_metrics

STAGES = {
    "split": {"cmd": "mkdir -p data/split && echo a > data/split/a && echo b > data/split/b", "outs": ["data/split"]},
    "score": {
        "matrix": {"model": ["base", "tuned"]},
        "cmd": "echo {} > metrics/score/${item.model}.json",
        "deps": ["data/split"],
        "metrics": [{"metrics/score/${item.model}.json": {"cache": False}}],
    },
    "compare": {"cmd": "true", "deps": ["data/split", "metrics/score"]},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    other_pipeline = {"stages": {"convert": {"wdir": "../..", "cmd": "true", "outs": ["data/mine/general.jsonl"]}}}
    Path("data/mine").mkdir(parents=True)
    Path("data/mine/dvc.yaml").write_text(yaml.safe_dump(other_pipeline))
    Path("data/yours.dvc").touch()
    return tmp_path


def test_the_stage_that_makes_a_file_is_named(project: Path) -> None:
    assert find_stage(Path("data/split/train.jsonl")) == "split"
    assert find_stage(Path("metrics/score/tuned.json")) == "score"
    assert find_stage(Path("metrics/score/tuned.jsonl")) is None
    assert find_stage(Path("data/mine/general.jsonl")) == "data/mine/dvc.yaml:convert"
    assert find_stage(Path("data/splitter/x")) is None


def test_a_file_that_is_not_an_output_is_pulled_or_written(project: Path) -> None:
    assert is_tracked_by_dvc(Path("data/yours/comments.jsonl"))
    assert "dvc pull" in explain_restore(Path("data/yours/comments.jsonl"))
    assert "params.yaml" in explain_restore(Path("data/theirs/comments.jsonl"))


@pytest.mark.slow
def test_an_edited_output_is_found(project: Path) -> None:
    for command in (
        ["git", "init", "-q"],
        ["dvc", "init", "-q"],
        ["mkdir", "-p", "data/split", "metrics/score"],
        ["dvc", "repro", "-q"],
    ):
        arguments = [str(Path(sys.executable).with_name("dvc")), *command[1:]] if command[0] == "dvc" else command
        subprocess.run(arguments, check=True, timeout=300)
    assert find_edited_inputs("compare") == find_edited_inputs("score") == []
    Path("metrics/score/base.json").write_text("{ }\n")
    (line,) = find_edited_inputs("compare")
    assert line.startswith("metrics/score/base.json: ")
    assert "`dvc repro score@base`" in line
    Path("data/split/b").write_text("c\n")
    assert [line.partition(":")[0] for line in find_edited_inputs("score")] == ["data/split"]
    assert [line.partition(":")[0] for line in find_edited_outputs(["metrics"])] == ["metrics/score/base.json"]
    shutil.rmtree("data/split")  # as in a new clone
    assert find_edited_inputs("score") == []


INVALID_METRICS = {
    "a list": ([], "the file: ", "an array"),
    "a missing model": ({}, "tuned: ", "nothing"),
    "a string instead of the model": ({"tuned": "x"}, "tuned: ", "a string"),
    "a string instead of a number": ({"tuned": {"voc": {"f1": "high"}}}, "tuned.voc.f1: ", "a string"),
    "a list instead of a number": ({"tuned": {"voc": {"f1": [1]}}}, "tuned.voc.f1: ", "an array"),
    "a missing part": ({"tuned": {}}, "tuned.voc: ", "missing"),
}


@pytest.mark.parametrize(("content", "key", "got"), INVALID_METRICS.values(), ids=INVALID_METRICS)
def test_the_error_of_edited_metrics_names_the_key_and_the_stage(
    project: Path, content: object, key: str, got: str
) -> None:
    file = Path("metrics/score/tuned.json")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_metrics(file, "tuned", required=("voc",))
    assert str(caught.value).startswith(f"{file}: {key}")
    assert got in str(caught.value)
    assert "`dvc repro score`" in str(caught.value)
