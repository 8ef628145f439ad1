"""`alloy report` prints the last run's comparison and verdict, and has DVC write the page if it is out of date."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from alloy.commands import report
from alloy.comparison.costs import read_costs
from alloy.core.files import InputError, Row, read_json, write_json
from example_metrics import make_metrics, make_svm_metrics, write_costs, write_metrics
from repositories import commit_all, make_repository, read_output, run_command
from stages import compare

LINE: Row = {
    "name": "voc.f1",
    "title": "VOC F1",
    "n": 100,
    "change": {"value": 0.4, "low": 0.3, "high": 0.5, "p": 0.002},
    "models": {"base": {"value": 0.1}, "tuned": {"value": 0.5}, "svm": {"value": 0.3}},
}
COMPARISON: Row = {
    "measures": [LINE],
    "verdict": [{"topic": "Task", "outcome": "better", "text": "F1 0.500 (base: 0.100)."}],
    "mmlu": {"formulation": None},
}
COSTS: list[Row] = [{"title": "seconds of training", "models": {"base": 92.0, "tuned": 109.0}}]
PIPELINE = """
stages:
  compare:
    cmd: touch trained-again && cp source.json metrics/compare.json
    deps: [source.json]
    outs: [metrics/compare.json]
  report:
    cmd: wc -c < metrics/compare.json > metrics/report.html
    deps: [metrics/compare.json]
    outs: [metrics/report.html]
"""


def test_the_results_are_the_tables_and_the_verdict() -> None:
    metrics, costs, verdict = report.format_results(COMPARISON, COSTS).split("\n\n")
    assert " ".join(metrics.splitlines()[1].split()) == "VOC F1 100 0.100 0.500 +0.400 +0.300 to +0.500 0.002 0.300"
    assert costs.split()[-4:] == ["training", "92.0", "109", "-"]
    first, _ = verdict.splitlines()  # the second line is about training seeds
    (finding,) = COMPARISON["verdict"]
    assert first == f"{finding['topic']}: better. {finding['text']}"


def test_the_results_match_the_output_of_the_stage_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("seed: 1\n")
    write_metrics({"base": make_metrics(), "tuned": make_metrics(f1=50, acc=40), "svm": make_svm_metrics()})
    write_costs()
    compare.main()
    printed = capsys.readouterr().out
    results = report.format_results(read_json(report.COMPARISON), read_costs())
    assert results in printed
    assert results.count("\n") > 20


def test_without_a_tuned_model_there_is_no_note_on_training_seeds() -> None:
    words = report.format_results({**COMPARISON, "verdict": []}, COSTS).split("\n\n")[2]
    assert len(words.splitlines()) == 1


@pytest.mark.parametrize(
    "compared", [{}, [], {**COMPARISON, "verdict": [{"topic": "x"}]}, {**COMPARISON, "measures": [{"models": 1}]}]
)
def test_the_error_of_an_invalid_comparison_names_the_file(compared: Row) -> None:
    with pytest.raises(InputError, match=r"^metrics/compare\.json: .*`dvc repro"):
        report.format_results(compared, COSTS)


def test_before_the_first_run_the_error_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^metrics/compare\.json: .*`dvc repro`") as caught:
        report.main(browse=False)
    assert "\n" not in str(caught.value)


def record_file(path: str, content: str) -> Row:
    """Write a file, and return its entry of dvc.lock."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)
    return {"path": path, "md5": hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()}


def test_a_report_is_current_if_it_and_its_results_are_as_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = [record_file("metrics/compare.json", "{}"), {"path": "alloy/comparison", "md5": "of the code"}]
    stage = {"deps": inputs, "outs": [record_file("metrics/report.html", "page")]}
    assert report.is_current(stage)
    assert not report.is_current({})
    for file in ("metrics/compare.json", "metrics/report.html"):
        content = Path(file).read_text()
        Path(file).write_text("other")
        assert not report.is_current(stage)
        Path(file).unlink()
        assert not report.is_current(stage)
        Path(file).write_text(content)
    assert report.is_current(stage)


@pytest.mark.slow
def test_dvc_writes_a_report_that_is_out_of_date_and_runs_no_other_stage(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project")
    (project / "dvc.yaml").write_text(PIPELINE)
    (project / "metrics").mkdir()
    for name in ("base", "train", "svm", "infer/base", "infer/tuned"):
        write_json(project / f"metrics/{name}.json", {Path(name).name: {}})
    write_json(project / "source.json", COMPARISON)
    read_output(project, "dvc", "repro", "-q")
    commit_all(project, "start")
    page, mark = project / "metrics/report.html", project / "trained-again"
    mark.unlink()

    def show_report(*words: str, **env: str) -> tuple[str, str]:
        result = run_command(project, sys.executable, "-m", "alloy", "report", *words, **env)
        return result.stdout, result.stderr

    out, errors = show_report()
    assert out.splitlines()[-1] == "report: metrics/report.html"
    assert errors == ""
    first = page.read_text()
    page.unlink()
    assert show_report()[1].startswith("report: metrics/report.html ")
    assert page.read_text() == first
    write_json(project / "source.json", {})  # `compare` would run again
    write_json(project / "metrics/compare.json", {**COMPARISON, "measures": [LINE, LINE]})
    assert show_report()[0].splitlines()[-1] == "report: metrics/report.html"
    assert int(page.read_text()) == (project / "metrics/compare.json").stat().st_size
    assert not mark.exists()
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 > {opened}\n")
    browser.chmod(0o755)
    show_report("--open", BROWSER=f"{browser} %s", PATH=os.environ["PATH"])
    assert opened.read_text() == f"file://{page}\n"
