"""The stage gate: it fails if a limit is broken, after all other outputs of the run are written."""

import re
from pathlib import Path

import pytest
import yaml

from alloy.core.files import InputError
from example_metrics import make_metrics, make_svm_metrics, write_costs, write_metrics
from stages import compare, gate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_metrics({"base": make_metrics(), "tuned": make_metrics(f1=90, acc=70), "svm": make_svm_metrics()})
    write_costs()
    Path("params.yaml").write_text("gate: {}\n", encoding="utf-8")
    return tmp_path


def run_gate() -> None:
    compare.main()
    gate.main()


def test_the_gate_comes_last_after_the_report_of_the_same_run() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert "metrics/report.html" in stages["gate"]["deps"]
    assert [name for name, stage in stages.items() if "gate" in stage.get("params", [])] == ["gate"]
    assert not {"outs", "metrics", "plots"} & stages["gate"].keys()  # nothing can come after it


def test_without_limits_the_gate_passes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_gate()
    assert re.fullmatch(r"gate: .*\b0 limits.*", capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("leaks", [0, 12])
def test_a_limit_on_too_few_items_fails_the_stage_and_names_their_number(project: Path, leaks: int) -> None:
    write_metrics({"tuned": make_metrics(chat=leaks)})
    Path("params.yaml").write_text("gate: {chat: {leak: 0.5}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^params\.yaml: gate\.chat\.leak: expected at least 30 items .* got 12;"):
        run_gate()


def with_emotions(tuned: int) -> None:
    """Write the metrics of the models; the given number of the tuned model's 100 answers are right with emotions."""
    write_metrics(
        {
            "base": make_metrics(full=10),
            "tuned": make_metrics(f1=90, full=tuned, acc=70),
            "svm": make_svm_metrics(full=20),
        }
    )


def test_a_gate_on_leakage_fails_the_stage(project: Path) -> None:
    write_metrics({"tuned": make_metrics(leak=92)})
    Path("params.yaml").write_text("gate: {leak: 0.05}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^params\.yaml: gate\.leak: rose by 0\.868 \(0\.000 to 0\.868\)"):
        run_gate()


def test_a_broken_gate_fails_with_a_line_per_limit(project: Path) -> None:
    Path("params.yaml").write_text("gate: {mmlu: {acc: 0.05}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^params\.yaml: gate\.mmlu\.acc: fell by 0\.100"):
        run_gate()


def test_a_gate_can_be_put_on_path_and_emotion(project: Path) -> None:
    Path("params.yaml").write_text("gate: {voc: {f1_full: 0.05}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^params\.yaml: gate\.voc\.f1_full: not "):
        run_gate()  # labels without emotions
    with_emotions(5)
    run_gate()
    with_emotions(4)
    with pytest.raises(InputError, match=r"^params\.yaml: gate\.voc\.f1_full: fell by 0\.060"):
        run_gate()


@pytest.mark.parametrize(("key", "change"), [("general", "0.500 (2.000 to 2.500)"), ("kl", "0.300 (0.000 to 0.300)")])
def test_a_gate_on_the_loss_is_in_nats(project: Path, key: str, change: str) -> None:
    write_metrics({"base": make_metrics(loss=2.0), "tuned": make_metrics(loss=2.5, kl=0.3), "svm": make_svm_metrics()})
    Path("params.yaml").write_text(f"gate: {{loss: {{{key}: 1.5}}}}\n", encoding="utf-8")
    run_gate()
    Path("params.yaml").write_text(f"gate: {{loss: {{{key}: 0.2}}}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"^params\.yaml: gate\.loss\.{key}: .*{re.escape(change)}.*\b0\.2\b"):
        run_gate()
