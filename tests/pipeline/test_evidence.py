"""An experiment with the real pipeline at its smallest scale, continued in another clone after a kill in training."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from alloy.core.files import read_json
from evidence_runs import EVIDENCE, commit_all, kill_at, list_records, make_environment, read_results
from sweep_project import ROOT

pytestmark = pytest.mark.slow

TINY = {
    "title": "The smallest scale",
    "questions": ["Does every stage go into the record?"],
    "settings": {"profile": "smoke", "mix.budget": "keep_customer"},
    "configurations": {"LoRA": {"mix.ratio": 0.25, "train.method": "lora"}},
    "seeds": [0],
}


def make_project(folder: Path) -> Path:
    """Return a clone of this repository with the experiment."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    for key, value in (("user.email", "test@example.org"), ("user.name", "Test")):
        subprocess.run(["git", "config", key, value], cwd=folder, check=True)
    (folder / "docs/evidence/tiny.yaml").write_text(yaml.safe_dump(TINY))
    commit_all(folder)
    return folder


def run_evidence(folder: Path, *options: str) -> str:
    result = subprocess.run(
        [*EVIDENCE, "tiny", *options],
        cwd=folder,
        env=make_environment(),
        text=True,
        capture_output=True,
        check=False,
        timeout=3000,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def copy_project(project: Path, copy: Path) -> None:
    """Clone a project, with its DVC cache."""
    subprocess.run(["git", "clone", "-q", str(project), str(copy)], check=True)
    shutil.copytree(project / ".dvc/cache", copy / ".dvc/cache")


def test_a_killed_run_in_another_clone_gives_the_same_result(tmp_path: Path) -> None:
    project, copy = make_project(tmp_path / "one"), tmp_path / "other"
    killed = kill_at(project, "train: needs about", 1, *EVIDENCE, "tiny")
    assert killed.count("Running stage 'mix'") == 1
    assert list_records(project, "tiny") == []
    copy_project(project, copy)

    for folder in (project, copy):
        assert run_evidence(folder).count("Running stage 'mix'") == 0
        assert list_records(folder, "tiny") == ["lora-seed-0"]
    assert read_results(copy, "tiny") == read_results(project, "tiny")

    found = read_results(project, "tiny")["configurations"]
    for name in ("voc.f1_full", "leak", "mmlu.cloze_acc_norm", "mmlu.generated_acc", "ifeval.prompt_strict", "loss.kl"):
        assert {"n", "base", "tuned", "change"} <= found[0]["metrics"][name].keys(), name
    assert "over_svm" in found[0]["metrics"]["voc.f1_full"]
    assert read_results(project, "tiny")["answers"]["prompt"] == "What is the capital of France?"
    path = project / "docs/evidence/partial/tiny/lora-seed-0.json"
    assert path.stat().st_size < 200_000
    assert read_json(path)["train"]["steps"] == 8
