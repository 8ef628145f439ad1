"""The stage `chat` as DVC runs it: it answers prompts, skips untrained models and refuses bad prompts."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from alloy.core.files import read_json, read_jsonl
from alloy.modeling.model_folder import write_hosted
from projects import ROOT, make_environment, write_labeling_project

pytestmark = pytest.mark.slow


def run_chat(project: Path, model: str = "base") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "stages.chat", model]
    return subprocess.run(
        command, cwd=project, env=make_environment(), text=True, capture_output=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = write_labeling_project(tmp_path_factory.mktemp("chat") / "project", ["A lamp."], constrain=True, limit=1)
    shutil.copytree(ROOT / "data/chat", folder / "data/prepared/chat")
    profile = folder / "profiles/small.yaml"
    profile.write_text(yaml.safe_dump({**yaml.safe_load(profile.read_text()), "chat": {"max_new_tokens": 8}}))
    return folder


def test_all_twelve_prompts_are_answered_freely(project: Path) -> None:
    result = run_chat(project)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("chat base: 12 answers of ")
    rows = read_jsonl(project / "metrics/chat/base.jsonl")
    prompts = read_jsonl(ROOT / "data/chat/prompts.jsonl")
    assert [(row["id"], row["messages"]) for row in rows] == [(row["id"], row["messages"]) for row in prompts]
    assert len({row["answer"] for row in rows}) > 1
    assert all(row["tokens"] <= 8 and row["cut"] == int(row["finish"] == "length") for row in rows)
    assert read_json(project / "metrics/chat/base.json")["base"]["chat"]["answers"] == 12


def test_a_tuned_model_without_training_is_skipped(project: Path) -> None:
    write_hosted(project / "models/tuned", "some-model")
    result = run_chat(project, "tuned")
    assert result.returncode == 0
    (line,) = result.stdout.splitlines()
    assert line.startswith("chat tuned: skipped, ")
    assert read_json(project / "metrics/chat/tuned.json") == {"tuned": {}}
    assert (project / "metrics/chat/tuned.jsonl").read_text() == ""


def test_a_bad_prompt_is_an_error_of_one_line_with_its_location(project: Path) -> None:
    (project / "data/prepared/chat/prompts.jsonl").write_text('{"id": "a", "category": "fact", "messages": []}\n')
    result = run_chat(project)
    assert result.returncode == 1
    assert result.stderr.startswith("chat: data/prepared/chat/prompts.jsonl:1: `messages`")
    assert result.stderr.count("\n") == 1
