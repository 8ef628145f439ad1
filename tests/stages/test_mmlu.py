"""The stage `mmlu`: accuracies equal lm-eval's `mmlu`, and interrupted runs resume with the same output."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path

import lm_eval
import pytest
import yaml
from lm_eval.tasks import TaskManager
from transformers import set_seed

from alloy.core.files import read_jsonl, write_jsonl
from alloy.evaluation.lm_eval_model import HFLM, SharedPrefixLM
from alloy.evaluation.mmlu_tasks import group_subjects
from alloy.evaluation.settings import Mmlu
from alloy.formats.mmlu import load_questions
from alloy.training.tiny_qwen import new_config, new_model
from projects import make_environment, start_history, write_labeling_project
from stages.mmlu import METRIC_KEYS, ask_questions, compute_metrics
from tiny_model import SCRATCH, make_tokenizer

pytestmark = pytest.mark.slow

SUBJECTS = {"abstract_algebra": "stem", "virology": "other", "sociology": "social_sciences", "philosophy": "humanities"}
REAL = Path(__file__).parents[2] / "../shared/data/mmlu"


def make_rows(split: str, per_subject: int) -> list[dict]:
    """Return `per_subject` questions of each subject: real ones if they are available, otherwise generated ones."""
    if REAL.is_dir():
        found = [row for row in read_jsonl(REAL / f"mmlu_{split}.jsonl.gz") if row["subject"] in SUBJECTS]
        return [row for subject in SUBJECTS for row in [r for r in found if r["subject"] == subject][:per_subject]]
    rng = random.Random(split)
    words = ["what", "colour", "is", "the", "door", "lamp", "lock", "chair", "table"]
    return [
        {
            "subject": subject,
            "question": " ".join(rng.choices(words, k=9)),
            "choices": [" ".join(rng.choices(words, k=2)) for _ in range(4)],
            "answer": rng.randrange(4),
        }
        for subject in SUBJECTS
        for _ in range(per_subject)
    ]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    for split, per_subject in (("test", 25), ("dev", 5)):
        write_jsonl(folder / f"{split}.jsonl", make_rows(split, per_subject))
    return folder


@pytest.fixture(scope="module")
def model():
    tokenizer = make_tokenizer()
    config = new_config(tokenizer, SCRATCH)
    config.initializer_range, config.max_position_embeddings = 0.4, 4096
    set_seed(0)
    return new_model(config).eval(), tokenizer


# Metrics of lm-eval and the keys of the stage's rows, by kind of task.
ALLOY_KEYS = {
    "default": {"acc": "letters_acc"},
    "continuation": {"acc": "cloze_acc", "acc_norm": "cloze_acc_norm"},
}


def run_lm_eval(model, folder: Path, out: Path, shots: int, kind: str) -> dict:
    """Return the samples of lm-eval's built-in `mmlu` tasks of a kind, with the questions in `folder`."""
    task_names = []
    for subject in SUBJECTS:
        for split in ("test", "dev"):
            chosen = [row for row in read_jsonl(folder / f"{split}.jsonl") if row["subject"] == subject]
            write_jsonl(out / f"{subject}_{split}.jsonl", chosen)
        data = {split: str(out / f"{subject}_{split}.jsonl") for split in ("test", "dev")}
        task = {
            "include": str(files("lm_eval") / f"tasks/mmlu/{kind}/mmlu_{subject}.yaml"),
            "task": f"lm_eval_{kind}_{subject}",
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": data},
        }
        if kind == "continuation":
            # Alloy's prompt has no line about the subject, as in lm-eval's ARC. lm-eval's task has only the metric acc.
            task["description"] = ""
            task["metric_list"] = [{"metric": metric, "aggregation": "mean"} for metric in ALLOY_KEYS[kind]]
        (out / f"{task['task']}.yaml").write_text(json.dumps(task))  # JSON is YAML
        task_names.append(task["task"])
    plain = HFLM(pretrained=model[0], tokenizer=model[1], batch_size=1)
    manager = TaskManager(include_path=str(out), include_defaults=False)
    results = lm_eval.simple_evaluate(
        plain, tasks=task_names, task_manager=manager, num_fewshot=shots, bootstrap_iters=0, log_samples=True
    )
    return results["samples"]


@pytest.mark.parametrize("shots", [0, 5])
def test_the_accuracy_of_each_question_equals_lm_eval_mmlu(model, benchmark, tmp_path, shots) -> None:
    rows = ask_questions(
        SharedPrefixLM(pretrained=model[0], tokenizer=model[1], batch_size=8),
        load_questions(benchmark),
        Mmlu(fewshot=shots, max_new_tokens=2),
    )
    for kind, keys in ALLOY_KEYS.items():
        samples = run_lm_eval(model, benchmark, tmp_path, shots, kind)
        for lm_eval_key, alloy_key in keys.items():
            expected = {
                f"{subject}/{sample['doc_id']}": int(sample[lm_eval_key])
                for subject in SUBJECTS
                for sample in samples[f"lm_eval_{kind}_{subject}"]
            }
            assert {row["id"]: row[alloy_key] for row in rows} == expected
            assert 0 < sum(expected.values()) < len(expected) == 100


def make_row(subject: str, index: int, chance: float = 0.25) -> dict:
    """Return the row of a question: the first three of a subject are right, in `generated_acc` every second."""
    scores = {key: int(index < 3) for key in METRIC_KEYS if key != "unparsed"}
    return {"subject": subject, "chance": chance, **scores, "generated_acc": index % 2, "unparsed": 0}


def test_metrics_are_shares_of_all_questions_of_groups_and_of_subjects() -> None:
    rows = [
        make_row(subject, index) for subject, count in (("virology", 4), ("philosophy", 6)) for index in range(count)
    ]
    found = compute_metrics(rows, show_choices=True)
    assert (found["questions"], found["cloze_acc"], found["generated_acc"], found["unparsed"]) == (10, 0.6, 0.5, 0.0)
    other = found["groups"]["other"]
    assert (other["questions"], other["letters_acc"], other["generated_strict"]) == (4, 0.75, 0.75)
    assert found["groups"] == {"humanities": found["subjects"]["philosophy"], "other": found["subjects"]["virology"]}


@pytest.mark.parametrize(("show_choices", "generated"), [(True, 0.375), (False, 0.0)])
def test_chance_is_the_mean_over_questions_and_0_for_answers_without_choices(show_choices, generated) -> None:
    found = compute_metrics([make_row("virology", 0), make_row("virology", 1, chance=0.5)], show_choices=show_choices)
    assert (found["chance"], found["generated_chance"]) == (0.375, generated)


def test_the_57_subjects_are_in_four_groups() -> None:
    from lm_eval.tasks.mmlu._generate_configs import SUBJECTS as ALL

    groups = group_subjects([*ALL, "colors_of_lamps"])
    assert {group: len(members) for group, members in groups.items()} == {
        "humanities": 13,
        "other": 13,
        "social_sciences": 12,
        "stem": 19,
    }


class CountingLM(SharedPrefixLM):
    """Counts its requests, and raises an error after `max_answers` answers of the given `kind`."""

    def __init__(self, model, kind: str = "", max_answers: int = 0) -> None:
        super().__init__(pretrained=model[0], tokenizer=model[1], batch_size=8)
        self.kind, self.remaining, self.requests = kind, max_answers, Counter()

    def set_cache_hook(self, cache_hook) -> None:
        super().set_cache_hook(cache_hook)
        add_partial = cache_hook.add_partial

        def add(kind, *answer) -> None:
            add_partial(kind, *answer)
            self.remaining -= kind == self.kind
            if self.kind and not self.remaining:
                raise InterruptedError

        cache_hook.add_partial = add

    def _loglikelihood_tokens(self, requests, *more, **named):
        self.requests["loglikelihood"] += len(requests)
        return super()._loglikelihood_tokens(requests, *more, **named)

    def generate_until(self, requests, *more, **named):
        self.requests["generate_until"] += len(requests)
        return super().generate_until(requests, *more, **named)


@pytest.mark.parametrize("kind", ["loglikelihood", "generate_until"])
def test_a_resumed_run_requests_only_missing_answers(model, benchmark, tmp_path, kind) -> None:
    questions, mmlu = load_questions(benchmark), Mmlu(fewshot=0, max_new_tokens=2)
    uninterrupted = CountingLM(model)
    expected = ask_questions(uninterrupted, questions, mmlu, tmp_path / "uninterrupted")
    with pytest.raises(InterruptedError):
        ask_questions(CountingLM(model, kind, 30), questions, mmlu, tmp_path / "interrupted")
    second, third = CountingLM(model), CountingLM(model)
    assert ask_questions(second, questions, mmlu, tmp_path / "interrupted") == expected
    assert second.requests[kind] == uninterrupted.requests[kind] - 30
    assert ask_questions(third, questions, mmlu, tmp_path / "interrupted") == expected
    assert not third.requests


@pytest.fixture
def project(benchmark, tmp_path) -> Path:
    folder = write_labeling_project(tmp_path / "project", ["A lamp."])
    start_history(folder)
    (folder / "data/prepared").mkdir()
    (folder / "data/prepared/benchmark").symlink_to(benchmark)
    return folder


def test_after_a_kill_and_a_restart_the_output_has_the_same_bytes(project) -> None:
    command = [sys.executable, "-m", "stages.mmlu", "base"]
    outs = [project / "metrics/mmlu" / name for name in ("base.json", "base.jsonl")]
    with subprocess.Popen(command, cwd=project, env=make_environment()) as process:
        while not any(count_answers(path) for path in project.glob(".dvc/tmp/alloy/mmlu-base-*/answers*.db")):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not any(out.exists() for out in outs)
    result = subprocess.run(
        command, cwd=project, env=make_environment(), text=True, capture_output=True, check=True, timeout=300
    )
    assert result.stderr == ""
    resumed = [out.read_bytes() for out in outs]
    (folder,) = project.glob(".dvc/tmp/alloy/mmlu-base-*")
    assert sorted(path.name for path in folder.iterdir()) == ["project", "result"]
    shutil.rmtree(project / ".dvc")
    subprocess.run(command, cwd=project, env=make_environment(), capture_output=True, check=True, timeout=300)
    assert [out.read_bytes() for out in outs] == resumed


def count_answers(log: Path) -> int:
    """Return the number of answers in a file that another process is writing."""
    return log.read_bytes().count(b"\n")


@pytest.mark.parametrize("mmlu", [{"fewshot": 0}, {"fewshot": 0, "cloze": "chat", "show_choices": False}])
def test_vllm_gives_the_same_rows_as_transformers(project, mmlu) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed")
    profile = project / "profiles/small.yaml"
    written = {}
    for backend in ("hf", "vllm"):
        sections = {"harness": {"backend": backend, "batch_size": 8}, "mmlu": {**mmlu, "limit": 4}}
        profile.write_text(yaml.safe_dump({**yaml.safe_load(profile.read_text()), **sections}))
        command = [sys.executable, "-m", "stages.mmlu", "base"]
        result = subprocess.run(
            command, cwd=project, env=make_environment(), text=True, capture_output=True, check=False, timeout=300
        )
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.count("\n") == 1
        written[backend] = read_jsonl(project / "metrics/mmlu/base.jsonl")
    assert len(written["hf"]) == 16
    for row, expected in zip(written["vllm"], written["hf"], strict=True):
        if expected["answer"].endswith("\ufffd"):
            # If the token limit cuts a UTF-8 character, vLLM drops the character, so `cut` may differ.
            expected |= {"answer": expected["answer"].rstrip("\ufffd"), "cut": row["cut"]}
        assert row == expected
