"""User commands: a complete run and a run with another ratio; after each, DVC has nothing to do."""

import json
import re
import sys
from pathlib import Path

import pytest

from s3_server import serve_bucket
from whole_project import commit_project, copy_project, run_command

pytestmark = pytest.mark.slow

MEASURING = ("infer", "score", "mmlu", "ifeval", "general", "chat")
ALL = {
    *(f"prepare@{kind}" for kind in ("comments", "general", "benchmark", "instructions", "chat")),
    *("base", "split", "decontaminate", "rehearse", "mix", "train", "interpolate"),
    *("svm", "score@svm", "general_loss", "compare", "report", "gate"),
    *(f"{stage}@{model}" for stage in MEASURING for model in ("base", "tuned")),
}
MEASURING_TUNED = {f"{stage}@tuned" for stage in MEASURING}
AFTER_THE_MIX = {"mix", "train", "interpolate", "general_loss", "compare", "report", "gate", *MEASURING_TUNED}


def find_started_stages(output: str) -> set[str]:
    """Return the stages that ran, from the output of DVC."""
    return set(re.findall(r"Running stage '([^']+)'", output))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A separate repository with this tree's files, at the smallest scale and without results."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("profile: demo", "profile: smoke"))
    commit_project(folder)
    return folder


@pytest.fixture(scope="module")
def first_run(project: Path) -> str:
    output = run_command(project, "dvc", "repro")
    run_command(project, "git", "add", "-A")
    run_command(project, "git", "commit", "-qm", "customer data only")
    return output


@pytest.fixture(scope="module")
def other_machine(project: Path, first_run: str, tmp_path_factory) -> Path:
    """A fresh clone that has pulled the first run's results from S3."""
    with serve_bucket("team") as bucket:
        run_command(project, "dvc", "remote", "add", "-d", "storage", "s3://team/alloy")
        run_command(project, "dvc", "remote", "modify", "storage", "endpointurl", bucket.endpoint)
        run_command(project, "git", "commit", "-qam", "storage")
        run_command(project, "dvc", "push")
        clone = tmp_path_factory.mktemp("other") / "clone"
        run_command(project, "git", "clone", "-q", str(project), str(clone))
        run_command(clone, "dvc", "pull")
    return clone


@pytest.fixture(scope="module")
def second_ratio(project: Path, first_run: str) -> str:
    return run_command(project, "dvc", "exp", "run", "-S", "mix.ratio=0.25")


def test_the_first_run_runs_every_stage_and_prints_the_comparison(first_run):
    assert find_started_stages(first_run) == ALL
    assert re.search(r"VOC F1 +\d+ +0\.\d+ +0\.\d+ +[+-]0\.\d+", first_run)


def test_the_first_run_prints_no_warnings(first_run):
    few_steps = "Warning: training ended before it saw"  # of the smallest scale
    assert [line for line in first_run.splitlines() if "warning" in line.lower() and few_steps not in line] == []


def test_another_machine_pulls_the_results_and_runs_nothing(project, other_machine):
    assert find_started_stages(run_command(other_machine, "dvc", "repro")) == set()
    for name in ("models/tuned/model.safetensors", "metrics/report.html", "data/prepared/comments/comments.jsonl"):
        assert (other_machine / name).read_bytes() == (project / name).read_bytes()
    assert run_command(other_machine, "git", "status", "--porcelain") == ""


def test_the_lock_can_be_checked_without_data(other_machine, tmp_path):
    run_command(other_machine, "git", "clone", "-q", str(other_machine), str(tmp_path / "bare"))
    assert run_command(tmp_path / "bare", sys.executable, "-m", "alloy", "check", "lock") == "lock: up to date\n"


def test_a_new_ratio_runs_only_what_depends_on_it(second_ratio):
    # After a few steps, a model may give the same answers; then DVC does not run the stage `score` again.
    assert find_started_stages(second_ratio) | {"score@tuned"} == AFTER_THE_MIX


def test_the_metric_diff_shows_both_sides_of_the_trade_off(project, second_ratio):
    changes = json.loads(run_command(project, "dvc", "metrics", "diff", "--all", "--json"))
    summary = changes["diff"]["metrics/summary.json"] if "diff" in changes else changes["metrics/summary.json"]
    assert {"base.voc.f1", "tuned.voc.f1", "base.mmlu.acc", "tuned.mmlu.acc", "tuned.mmlu.generated_acc"} <= set(
        summary
    )
    assert summary["base.mmlu.acc"]["old"] == summary["base.mmlu.acc"]["new"]
    mix = json.loads((project / "metrics/mix.json").read_text())["mix"]
    assert abs(mix["achieved"] - 0.25) < 1e-3
    assert sum(source["rows"] for source in mix["source"].values()) == mix["rows"]
    markdown = run_command(project, "dvc", "metrics", "diff", "--md")
    assert "| metrics/mix.json" in markdown


def test_an_experiment_is_applied_without_warnings(project, second_ratio):
    (name,) = re.findall(r"Ran experiment\(s\): (\S+)", second_ratio)
    output = run_command(project, "dvc", "exp", "apply", name)
    assert "ERROR" not in output
    assert "WARNING" not in output


def test_nothing_runs_when_nothing_changed(project, second_ratio):
    assert find_started_stages(run_command(project, "dvc", "repro")) == set()


def test_going_back_to_the_first_ratio_trains_nothing(project, second_ratio):
    run_command(project, "git", "checkout", "-q", "--", "params.yaml")
    output = run_command(project, "dvc", "repro")
    assert find_started_stages(output) <= {"gate"}  # which writes nothing that could be kept
    assert "is cached - skipping run" in output


def test_another_test_share_reruns_split_but_not_base(project, second_ratio):
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("test: 0.2 ", "test: 0.21"))
    planned = find_started_stages(run_command(project, "dvc", "repro", "--dry"))
    assert "split" in planned
    assert "base" not in planned


def test_the_tuned_model_is_an_ordinary_folder_that_transformers_loads(project, first_run):
    names = {file.name for file in (project / "models/tuned").iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
