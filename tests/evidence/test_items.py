"""Rows of metrics are recorded as columns of numbers, without text, and give the same metrics when read back."""

from pathlib import Path

import pytest

from alloy.comparison.answers import flag_answers
from alloy.comparison.item_rows import select_rows
from alloy.comparison.metrics import METRICS
from alloy.core.files import read_jsonl, write_jsonl
from alloy.evidence.items import FILES, RecordedRows, read_items
from alloy.sweep.dvc_experiments import RunSettings
from alloy.sweep.results import Run, count_rows
from example_metrics import FORMAT, make_metrics, make_svm_metrics, write_metrics

SETTINGS = RunSettings(0.0, 0.1, 0, "")


class Folder:
    """The files of a folder, as the sweep reads them."""

    def read_text(self, path: str, /) -> str:
        return Path(path).read_text()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    models = {
        "base": make_metrics(full=4),
        "tuned": make_metrics(f1=40, leak=30, full=20, kl=0.3),
        "svm": make_svm_metrics(full=10),
    }
    write_metrics(models)
    for model in ("base", "tuned"):
        write_jsonl(f"metrics/answers/{model}.jsonl", flag_answers(models[model][1], FORMAT)["answers"])
    return tmp_path


def test_metrics_of_recorded_rows_match_the_files(project: Path) -> None:
    kept = Run("kept", SETTINGS, {}, None, RecordedRows(read_items(project)), "cloze_acc")
    run = Run("whole", SETTINGS, {}, None, Folder(), "cloze_acc")
    counted = 0
    for metric in METRICS:
        for model in ("base", "tuned", *(["svm"] if metric.part == "voc" else [])):
            before = count_rows(metric, [(run, model)])
            after = count_rows(metric, [(kept, model)])
            assert (before is None) == (after is None), metric.name
            if before is not None and after is not None:
                counted += 1
                assert abs(before[0] - after[0]).max() <= 10, metric.name  # losses are kept in hundred thousandths
    assert counted > 30


def test_no_text_is_recorded_and_ids_are_recorded_once(project: Path) -> None:
    found = read_items(project)
    assert sorted(found["files"]) == sorted(FILES)
    assert set(found["files"]["metrics/ifeval/tuned.jsonl"]) == {
        "items", "prompt_strict", "instruction_strict", "instruction_loose", "cut",
    }  # fmt: skip
    keys = {path: columns["items"] for path, columns in found["files"].items()}
    assert keys["metrics/score/svm.jsonl"] == keys["metrics/score/tuned.jsonl"]
    assert len(found["names"]) == 5


def test_a_model_that_was_not_measured_has_no_rows(project: Path) -> None:
    (project / "metrics/mmlu/tuned.jsonl").write_text("")
    run = Run("kept", SETTINGS, {}, None, RecordedRows(read_items(project)), "cloze_acc")
    acc = next(metric for metric in METRICS if metric.name == "mmlu.acc")
    assert run.read_rows(acc, "tuned") is None
    assert len(run.read_rows(acc, "base") or []) == len(read_jsonl("metrics/mmlu/base.jsonl"))
    assert select_rows(acc, "base", read_jsonl, "cloze_acc") is not None
