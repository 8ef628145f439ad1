"""The stage `ifeval` as DVC runs it, with a small random model and with a hosted model."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from alloy.core.files import read_json, read_jsonl, write_jsonl
from alloy.formats.ifeval_checks import verify_answer
from alloy.modeling.model_folder import write_hosted
from projects import make_dense_config, make_environment, start_history, write_labeling_project, write_project

pytestmark = pytest.mark.slow

COUNTS = {"letter": "l", "let_frequency": 1, "let_relation": "at least"}
PROMPTS = [
    {
        "key": 90 - number,
        "prompt": f"What colour is the {thing}?",
        "instruction_id_list": ["punctuation:no_comma", "keywords:letter_frequency"][: 1 + number % 2],
        "kwargs": [{}, COUNTS][: 1 + number % 2],
    }
    for number, thing in enumerate(["door", "lamp", "lock", "chair", "table"])
]
LIMIT = 4
AUTHOR = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]


def run_ifeval(folder: Path, model: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "stages.ifeval", model]
    return subprocess.run(
        command, cwd=folder, env=make_environment(), text=True, capture_output=True, check=False, timeout=300
    )


@dataclass(frozen=True)
class Run:
    folder: Path
    result: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    config = make_dense_config()
    config.initializer_range, config.tie_word_embeddings = (
        0.4,
        False,
    )  # so that its answers are not empty and differ
    folder = write_project(tmp_path_factory.mktemp("projects") / "ifeval", config)
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "start"]):  # lm-eval asks for the commit
        subprocess.run(["git", *AUTHOR, *command], cwd=folder, check=True)
    (folder / "params.yaml").write_text("profile: small\n")
    profile = folder / "profiles/small.yaml"
    scale = {"general": [], "harness": {"batch_size": 3}, "ifeval": {"max_new_tokens": 8, "limit": LIMIT}}
    profile.write_text(yaml.safe_dump({**yaml.safe_load(profile.read_text()), **scale}))
    write_jsonl(folder / "data/prepared/instructions/ifeval.jsonl", PROMPTS)
    return Run(folder, run_ifeval(folder, "base"))


def test_the_stage_prints_exactly_one_line(run):
    assert (run.result.returncode, run.result.stderr) == (0, "")
    (line,) = run.result.stdout.splitlines()
    assert line.startswith("ifeval base: 4 prompts, ")


def test_each_prompt_up_to_the_limit_has_its_row_in_the_order_of_the_file(run):
    rows = read_jsonl(run.folder / "metrics/ifeval/base.jsonl")
    assert [row["id"] for row in rows] == ["90", "89", "88", "87"]
    assert len({row["answer"] for row in rows}) > 1
    assert {row["cut"] for row in rows} <= {0, 1}
    for row, prompt in zip(rows, PROMPTS, strict=False):
        assert row["instructions"] == prompt["instruction_id_list"]
        verified = verify_answer(prompt, [row["answer"]])
        for strictness in ("strict", "loose"):
            assert row[f"prompt_{strictness}"] == verified[f"prompt_level_{strictness}_acc"]
            assert row[f"instruction_{strictness}"] == verified[f"inst_level_{strictness}_acc"]


def test_the_metrics_are_the_means_of_the_rows(run):
    rows = read_jsonl(run.folder / "metrics/ifeval/base.jsonl")
    metrics = read_json(run.folder / "metrics/ifeval/base.json")["base"]["ifeval"]
    assert (metrics["prompts"], metrics["instructions"]) == (4, 6)
    for strictness in ("strict", "loose"):
        followed = [is_followed for row in rows for is_followed in row[f"instruction_{strictness}"]]
        assert metrics[f"prompt_{strictness}"] == round(sum(row[f"prompt_{strictness}"] for row in rows) / 4, 4)
        assert metrics[f"instruction_{strictness}"] == round(sum(followed) / 6, 4)


def test_prompts_have_the_chat_format_and_answers_are_greedy(run):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run.folder / "models/base")
    model = AutoModelForCausalLM.from_pretrained(run.folder / "models/base")
    row = read_jsonl(run.folder / "metrics/ifeval/base.jsonl")[0]
    turn = [{"role": "user", "content": PROMPTS[0]["prompt"]}]
    inputs = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert row["answer"] == tokenizer.decode(answer, skip_special_tokens=True)


def test_vllm_answers_as_transformers_does(tmp_path):
    pytest.importorskip("vllm", reason="vLLM is not installed")
    folder = write_labeling_project(tmp_path / "project", ["A lamp."])
    start_history(folder)
    write_jsonl(folder / "data/prepared/instructions/ifeval.jsonl", PROMPTS)
    (folder / "params.yaml").write_text("profile: small\n")
    profile = folder / "profiles/small.yaml"
    written = []
    for backend in ("hf", "vllm"):
        scale = {"harness": {"backend": backend, "batch_size": 4}, "ifeval": {"max_new_tokens": 8}}
        profile.write_text(yaml.safe_dump({**yaml.safe_load(profile.read_text()), **scale}))
        result = run_ifeval(folder, "base")
        assert (result.returncode, result.stderr) == (0, "")
        # If the token limit cuts a UTF-8 character, vLLM drops the character.
        rows = read_jsonl(folder / "metrics/ifeval/base.jsonl")
        written.append([{**row, "answer": row["answer"].rstrip("\ufffd")} for row in rows])
    assert len(written[0]) == 5
    assert written[0] == written[1]


def test_a_hosted_model_is_skipped_with_a_reason(run):
    write_hosted(run.folder / "models/tuned", "some-model")
    result = run_ifeval(run.folder, "tuned")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("ifeval tuned: skipped, some-model ")
    assert json.loads((run.folder / "metrics/ifeval/tuned.json").read_text()) == {"tuned": {}}
    assert (run.folder / "metrics/ifeval/tuned.jsonl").read_text() == ""


def test_a_bad_prompt_ends_the_stage_with_one_line_before_the_model_is_loaded(run):
    write_jsonl(
        run.folder / "data/prepared/instructions/ifeval.jsonl",
        [*PROMPTS, {**PROMPTS[0], "key": 1, "kwargs": [{"letter": "a"}]}],
    )
    result = run_ifeval(run.folder, "base")
    assert result.returncode == 1
    assert result.stderr.startswith("ifeval: data/prepared/instructions/ifeval.jsonl:6: ")
    assert "punctuation:no_comma" in result.stderr and "`letter`" in result.stderr
    assert len(result.stderr.splitlines()) == 1
