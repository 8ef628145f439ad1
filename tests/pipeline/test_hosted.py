"""The pipeline with a hosted model: its answers are scored, and stages that need weights are skipped."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mix_rows import make_general_rows
from openai_server import Reply, Row, Service, make_error, make_reply, read_question, serve_replies
from projects import ROOT, copy_code, make_environment

pytestmark = pytest.mark.slow

STAGES = [
    "base",
    "mix",
    "train",
    "interpolate",
    "infer base",
    "infer tuned",
    "svm",
    "score base",
    "score tuned",
    "score svm",
    "mmlu base",
    "mmlu tuned",
    "ifeval base",
    "ifeval tuned",
    "general base",
    "general tuned",
    "chat base",
    "chat tuned",
    "general_loss",
    "compare",
    "report",
]
SKIPPED = [f"{stage} {model}" for stage in ("mmlu", "ifeval", "general") for model in ("base", "tuned")]
SKIPPED.append("general_loss")
PROFILE = """
model: {hosted: some-model}
train: {lr: 1.0e-4}
infer: {engine: openai, limit: 6, concurrency: 3, retries: 0}
harness: {}
mmlu: {}
ifeval: {}
chat: {}
general: [gsm8k]
general_loss: {}
"""
THINGS = ["door", "lamp", "lock", "chair", "table", "cup", "hat", "bag", "book", "shoe"]
LEAVES = [("Colour", "Too dark"), ("Colour", "Too pale"), ("Price", "Too dear")]


def make_comment(number: int) -> Row:
    area, label = LEAVES[number % len(LEAVES)]
    text = f"The {THINGS[number % len(THINGS)]} number {number} is {label.lower()}."
    return {"id": str(number), "text": text, "segments": [{"L1": area, "L2": label}]}


def find_gold(body: Row) -> str:
    """Return the right answer to a request: labels of a comment, words for a chat prompt."""
    rows = [row for row in map(make_comment, range(40)) if row["text"] in read_question(body)]
    return json.dumps(rows[0]["segments"]) if rows else "Well, that is a good question."


def write_jsonl(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_project(folder: Path, comments: int = 8, profile: str = PROFILE) -> Path:
    """Write a project with split data to `folder`, with a given number of test comments and some general rows."""
    copy_code(folder)
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copy(ROOT / "versions.yaml", folder)
    shutil.copytree(ROOT / "data/chat", folder / "data/prepared/chat")
    params = (ROOT / "params.yaml").read_text()
    params = params.replace("profile: demo", "profile: hosted").replace("ratio: 0.0 ", "ratio: 0.2 ")
    (folder / "params.yaml").write_text(params)
    for subfolder in ("profiles", "data/split", "data/decontaminate", "metrics"):
        (folder / subfolder).mkdir(parents=True)
    (folder / "profiles/hosted.yaml").write_text(profile)
    split = folder / "data/split"
    write_jsonl(split / "test.jsonl", [make_comment(number) for number in range(comments)])
    write_jsonl(split / "train.jsonl", [make_comment(number) for number in range(30, 40)])
    taxonomy = [{"L1": area, "L2": label, "description": ""} for area, label in LEAVES]
    (split / "taxonomy.json").write_text(json.dumps(taxonomy))
    task = {"levels": ["L1", "L2"], "has_content": False, "emotions": [], "most_segments": 1}
    (split / "task.json").write_text(json.dumps(task))
    write_jsonl(folder / "data/decontaminate/general.jsonl", make_general_rows(9))
    write_jsonl(folder / "data/decontaminate/heldout.jsonl", make_general_rows(9)[:1])
    (folder / "metrics/split.json").write_text(json.dumps({"split": {"rejected": 0, "left_out": 0}}))
    clean = {"rejected": 0, "why": {}, "held_out": 0, "same_prompt": 0}
    (folder / "metrics/decontaminate.json").write_text(json.dumps({"decontaminate": clean}))
    return folder


def run_stage(folder: Path, stage: str, service: Service) -> "subprocess.CompletedProcess[str]":
    """Run a stage as DVC does; return the finished process."""
    module, *model = stage.split()
    environment = make_environment(OPENAI_BASE_URL=f"{service.url}/v1", OPENAI_API_KEY="a-key")
    command = [sys.executable, "-m", f"stages.{module}", *model]
    return subprocess.run(
        command, cwd=folder, env=environment, text=True, capture_output=True, check=False, timeout=300
    )


@dataclass(frozen=True)
class Run:
    """The results of a run of all stages; `request_counts` has the number of requests of each stage."""

    folder: Path
    results: "dict[str, subprocess.CompletedProcess[str]]"
    request_counts: dict[str, int]

    def metrics(self, name: str) -> Row:
        return json.loads((self.folder / f"metrics/{name}.json").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = write_project(tmp_path_factory.mktemp("projects") / "hosted")
    results, request_counts = {}, {}
    with serve_replies(lambda body: make_reply(find_gold(body))) as service:
        for stage in STAGES:
            before = len(service.requests)
            results[stage] = run_stage(folder, stage, service)
            request_counts[stage] = len(service.requests) - before
    return Run(folder, results, request_counts)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_succeeds_and_prints_no_warning(run, stage):
    result = run.results[stage]
    assert (result.returncode, result.stderr) == (0, "")


def test_the_service_gets_one_request_per_comment_and_chat_prompt(run):
    assert run.request_counts == {**dict.fromkeys(STAGES, 0), "infer base": 6, "chat base": 12}


def test_the_mix_of_a_hosted_model_counts_examples(run):
    mix = run.metrics("mix")["mix"]
    assert (mix["achieved"], mix["unit"], mix["rows"]) == (round(2 / 12, 6), "examples", 12)
    assert mix["source"] == {"customer": {"rows": 10, "share": 0.833333}, "made": {"rows": 2, "share": 0.166667}}


def test_training_is_skipped_with_a_reason(run):
    assert run.results["train"].stdout.startswith("train: skipped, some-model ")
    assert run.metrics("train") == {"train": {"hosted": "some-model"}}
    assert (run.folder / "metrics/loss.csv").read_text() == "step,category,loss\n"


@pytest.mark.parametrize("stage", ["infer tuned", "score tuned", "chat tuned", *SKIPPED])
def test_stages_that_need_weights_are_skipped_with_a_reason(run, stage):
    assert run.results[stage].stdout.startswith(f"{stage}: skipped, ")


def test_a_hosted_base_is_scored_like_any_other_model(run):
    voc = run.metrics("score/base")["base"]["voc"]
    assert (voc["comments"], voc["f1"]) == (6, 1.0)
    assert run.metrics("infer/base")["base"]["infer"]["comments"] == 6


def test_the_table_has_dashes_for_missing_metrics(run):
    table = run.results["compare"].stdout
    cells = {line[:38].strip(): line[38:].split() for line in table.splitlines()}
    assert cells["VOC F1"][:6] == ["6", "1.000", "-", "-", "-", "-"]
    assert 0 <= float(cells["VOC F1"][6]) <= 1  # the SVM
    assert "general accuracy, by likelihood" not in cells
    assert run.metrics("compare")["verdict"] == []


def test_the_summary_has_only_measured_metrics(run):
    summary = run.metrics("summary")
    assert set(summary["base"]) == {"answers", "voc", "leak"}
    assert summary["base"]["leak"] == 0.0  # of the chat answers
    assert summary["tuned"] == {}
    assert (run.folder / "metrics/tradeoff.csv").read_text() == "model,mmlu_acc,voc_f1\n"


def test_answers_before_an_error_are_kept_and_the_next_run_requests_only_missing_ones(tmp_path):
    folder = write_project(tmp_path / "hosted", 20, PROFILE.replace("limit: 6, concurrency: 3", "concurrency: 1"))
    with serve_replies(
        lambda body: make_reply(find_gold(body)) if len(service.requests) <= 10 else make_error(401)
    ) as service:
        assert run_stage(folder, "base", service).returncode == 0
        failed = run_stage(folder, "infer base", service)
        (line,) = failed.stderr.splitlines()
        assert failed.returncode == 1
        assert line.startswith("infer: infer.engine: some-model at ")
    profile = (folder / "profiles/hosted.yaml").read_text()
    (folder / "profiles/hosted.yaml").write_text(
        profile.replace("concurrency: 1", "concurrency: 2")
    )  # how fast is free
    with serve_replies(lambda body: make_reply(find_gold(body))) as service:
        assert run_stage(folder, "infer base", service).returncode == 0
    assert len(service.requests) == 20 - 10
    rows = (folder / "data/predictions/base.jsonl").read_text().splitlines()
    assert [json.loads(row)["id"] for row in rows] == [str(number) for number in range(20)]


def test_only_comments_without_an_answer_are_requested_again(tmp_path):
    folder = write_project(tmp_path / "hosted", 40, PROFILE.replace("limit: 6, ", ""))
    bad = {
        "number 3 ": make_error(400, "This model's maximum context length is 9 tokens", "context_length_exceeded"),
        "number 11 ": make_error(400, "filtered", "content_filter"),
        "number 12 ": make_error(500, "out of order"),
    }

    def answer(body: Row) -> Reply:
        return next((reply for text, reply in bad.items() if text in read_question(body)), None) or make_reply(
            find_gold(body)
        )

    with serve_replies(answer) as service:
        assert run_stage(folder, "base", service).returncode == 0
        result = run_stage(folder, "infer base", service)
    assert result.returncode == 0
    assert "dvc repro --force --single-item infer@base" in result.stderr
    assert len(service.requests) == 40
    rows = [json.loads(line) for line in (folder / "data/predictions/base.jsonl").read_text().splitlines()]
    assert {row["id"]: row["finish"] for row in rows if "reason" in row} == {
        "3": "context",
        "11": "refused",
        "12": "failed",
    }
    assert "out of order" in rows[12]["reason"]
    metrics = json.loads((folder / "metrics/infer/base.json").read_text())["base"]["infer"]
    assert metrics["unanswered"] == {"context": 1, "refused": 1, "failed": 1}
    assert metrics["ended_by_failed"] == 0.025
    with serve_replies(lambda body: make_reply(find_gold(body))) as service:
        second = run_stage(folder, "infer base", service)
    assert (second.returncode, second.stderr) == (0, "")
    assert sorted(read_question(body).partition("number ")[2].partition(" ")[0] for body in service.requests) == [
        "11",
        "12",
        "3",
    ]
    rows = [json.loads(line) for line in (folder / "data/predictions/base.jsonl").read_text().splitlines()]
    assert [row["valid"] for row in rows] == [True] * 40


def test_a_service_that_answers_nothing_is_an_error_of_one_line(tmp_path):
    folder = write_project(tmp_path / "hosted")
    with serve_replies(lambda _: make_error(500, "out of order")) as service:
        assert run_stage(folder, "base", service).returncode == 0
        failed = run_stage(folder, "infer base", service)
    (line,) = failed.stderr.splitlines()
    assert failed.returncode == 1
    assert "out of order" in line
    assert not (folder / "data/predictions/base.jsonl").exists()


def test_a_local_engine_refuses_a_hosted_model(tmp_path):
    folder = write_project(tmp_path / "hosted", profile=PROFILE.replace("openai", "transformers"))
    with serve_replies(lambda _: make_error(500)) as service:
        assert run_stage(folder, "base", service).returncode == 0
        failed = run_stage(folder, "infer base", service)
    (line,) = failed.stderr.splitlines()
    assert "some-model is hosted" in line
    assert "set infer.engine to openai or bedrock" in line
