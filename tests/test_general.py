"""Other tasks are named in the profile alone: lm-eval's, or a YAML file's."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from projects import environment, start_history, write_labelling_project

COLOUR_TASK = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: data/colours.jsonl}}
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
dataset_kwargs: {data_files: {test: data/colours.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "Say {{thing}}"
doc_to_target: "{{thing}}"
generation_kwargs: {until: ["."], max_gen_toks: 4}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def general(project: Path, tasks: list[str]) -> "subprocess.CompletedProcess[str]":
    profile = project / "profiles/small.yaml"
    profile.write_text(yaml.safe_dump({**yaml.safe_load(profile.read_text()), "general": tasks}))
    command = [sys.executable, "-m", "stages.general", "base"]
    env = environment(HF_HUB_OFFLINE="1", HF_HOME=str(project / "home"))
    return subprocess.run(command, cwd=project, env=env, text=True, capture_output=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = write_labelling_project(tmp_path_factory.mktemp("general") / "project", ["A lamp."])
    start_history(folder)
