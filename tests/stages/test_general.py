"""Other tasks of lm-eval, or of a YAML file, are run if the profile names them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from alloy.core.files import read_json, read_jsonl
from projects import make_environment, start_history, write_labeling_project
from stages.general import collect_metrics
from tiny_model import THINGS

pytestmark = pytest.mark.slow

COLOR_TASK = """
task: colors
dataset_path: json
dataset_kwargs: {data_files: {test: data/colors.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "What colour is the {{thing}}?"
doc_to_choice: [red, green]
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
WORD_TASK = """
task: words
dataset_path: json
dataset_kwargs: {data_files: {test: data/colors.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "Say {{thing}}"
doc_to_target: "{{thing}}"
generation_kwargs: {until: ["."], max_gen_toks: 4}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def run_general(project: Path, tasks: list[str], backend: str = "hf") -> "subprocess.CompletedProcess[str]":
    profile = project / "profiles/small.yaml"
    sections = {"general": tasks, "harness": {"backend": backend, "batch_size": 4}}
    profile.write_text(yaml.safe_dump({**yaml.safe_load(profile.read_text()), **sections}))
    command = [sys.executable, "-m", "stages.general", "base"]
    env = make_environment(HF_HUB_OFFLINE="1", HF_HOME=str(project / "home"))
    return subprocess.run(command, cwd=project, env=env, text=True, capture_output=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = write_labeling_project(tmp_path_factory.mktemp("general") / "project", ["A lamp."])
    start_history(folder)
    (folder / "profiles/tasks").mkdir()
    (folder / "profiles/tasks/colors.yaml").write_text(COLOR_TASK)
    (folder / "profiles/tasks/words.yaml").write_text(WORD_TASK)
    rows = [{"thing": thing, "answer": number % 2} for number, thing in enumerate(THINGS)]
    (folder / "data/colors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_yaml_files_of_the_project_are_tasks(project: Path) -> None:
    result = run_general(project, ["colors", "words"])
    assert result.returncode == 0, result.stderr
    found = read_json(project / "metrics/general/base.json")["base"]["general"]
    assert set(found) == {"colors acc", "words exact_match", "n"}
    assert found["n"] == {"colors acc": len(THINGS), "words exact_match": len(THINGS)}
    assert 0 <= found["colors acc"] <= 1
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""
    rows = read_jsonl(project / "metrics/general/base.jsonl")
    assert [row["id"] for row in rows] == [f"words/{number}" for number in range(len(THINGS))]
    assert {row["task"] for row in rows} == {"words"}
    assert {row["cut"] for row in rows} <= {0, 1}
    assert any(row["cut"] for row in rows)
    assert all(isinstance(row["answer"], str) for row in rows)


def test_vllm_gives_the_same_metrics(project: Path) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed")
    found = []
    for backend in ("hf", "vllm"):
        result = run_general(project, ["colors", "words"], backend)
        assert (result.returncode, result.stderr) == (0, "")
        found.append(read_json(project / "metrics/general/base.json"))
    assert found[0] == found[1]


def test_an_unknown_task_is_an_error_of_one_line(project: Path) -> None:
    result = run_general(project, ["colours"])
    assert result.returncode == 1
    assert result.stderr.startswith("general: profiles/small.yaml: general: ")
    assert "'colours'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_task_whose_data_cannot_be_loaded_is_an_error_of_one_line(project: Path) -> None:
    result = run_general(project, ["gsm8k"])
    assert result.returncode == 1
    assert result.stderr.startswith("general: profiles/small.yaml: general: ")
    assert "gsm8k" in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_tasks_nothing_is_loaded(project: Path) -> None:
    result = run_general(project, [])
    (line,) = result.stdout.splitlines()
    assert line.startswith("general base: skipped, profiles/small.yaml ")
    assert read_json(project / "metrics/general/base.json") == {"base": {}}
    assert (project / "metrics/general/base.jsonl").read_text().strip() == ""


def test_a_filter_is_part_of_the_name_unless_it_is_none() -> None:
    shares = {
        "gsm8k": {"alias": "gsm8k", "exact_match,strict": 0.25, "exact_match_stderr,strict": 0.1, "sample_len": 4},
        "bbh": {"acc,none": 0.51239},
    }
    found = collect_metrics(make_results(shares, {"gsm8k": 8, "bbh": 30}), ["gsm8k"])
    assert found == {"gsm8k exact_match (strict)": 0.25, "n": {"gsm8k exact_match (strict)": 8}}
    assert collect_metrics(make_results(shares, {"gsm8k": 8, "bbh": 30}), ["bbh"]) == {
        "bbh acc": 0.5124,
        "n": {"bbh acc": 30},
    }


def make_results(shares: dict, items: dict[str, int], **more: dict) -> dict:
    """Return results in the format of lm-eval, for tasks with the given numbers of items."""
    counts = {task: {"original": 99, "effective": count} for task, count in items.items()}
    return {"results": shares, "n-samples": counts, "group_subtasks": {}, "over_context": {}, **more}


def test_a_group_has_the_items_of_its_tasks_and_left_out_items_are_counted() -> None:
    metrics = make_results(
        {"one": {"acc,none": 0.5}, "two": {"acc,none": 0.25}},
        {"one": 8, "two": 4},
        groups={"both": {"acc,none": 0.4}},
        group_subtasks={"both": ["one", "two"]},
        over_context={"one": 2, "two": 0},
    )
    assert collect_metrics(metrics, ["both"]) == {"both acc": 0.4, "n": {"both acc": 12}, "over_context": {"one": 2}}


def test_a_tag_is_all_its_tasks() -> None:
    metrics = make_results({"one": {"acc,none": 0.5}, "two": {"acc,none": 0.25}}, {"one": 8, "two": 4})
    assert set(collect_metrics(metrics, ["both"])) == {"one acc", "two acc", "n"}
