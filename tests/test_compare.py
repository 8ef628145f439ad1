"""Base beside tuned: the table, the verdict in words, and the gate at, above and below its limit."""

from pathlib import Path
from typing import Any

import pytest

from stages.compare import failures, main, summarise, table, verdict
from stages.records import InputError, read_json, write_json
from stages.experiment import Gate

Row = dict[str, Any]


def model(acc: float = 0.8, generated: float = 0.7, unparsed: float = 0.01, f1: float = 0.1) -> Row:
    voc = {"f1": f1, "precision": 0.2, "recall": 0.3, "f1_low": f1 - 0.05, "f1_high": f1 + 0.05}
    return {
        "voc": {**voc, "invalid_json": 0.0, "invented_labels": 0.0},
        "mmlu": {"acc": acc, "generated_acc": generated, "unparsed": unparsed},
    }


def summary(tuned: Row, base: Row | None = None) -> Row:
    return {"base": base or model(), "tuned": tuned}


def test_a_summary_keeps_the_headline_figures_only() -> None:
    given = model()
    voc = {**given["voc"], "levels": {"L1": 1.0}, "comments": 3, "broken_paths": 0.0}
    assert summarise({"voc": voc}, {"mmlu": {**given["mmlu"], "subjects": {}, "questions": 5}}) == given


def test_the_table_has_base_tuned_and_change() -> None:
    header, *lines = table(summary(model(acc=0.75, generated=0.0, unparsed=0.96, f1=0.725))).splitlines()
    assert header.split() == ["base", "tuned", "change"]
    assert [line.split()[-3:] for line in lines] == [
        ["0.100", "0.725", "+0.625"],
        ["0.200", "0.200", "+0.000"],
        ["0.300", "0.300", "+0.000"],
        ["0.800", "0.750", "-0.050"],
        ["0.700", "0.000", "-0.700"],
        ["0.010", "0.960", "+0.950"],
    ]
    assert lines[0].startswith("VOC F1 ")
    assert lines[-1].startswith("general answers that are no choice ")


def test_the_columns_of_the_table_stand_below_each_other() -> None:
    lines = table(summary(model(f1=1.0, acc=0.0))).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_a_model_that_still_answers_is_judged_by_its_accuracy() -> None:
    assert verdict(summary(model(acc=0.75, generated=0.72))) == (
        "General accuracy changed by -0.050 by likelihood and +0.020 by generated answer."
    )


def test_a_model_that_no_longer_answers_has_lost_the_form() -> None:
    assert verdict(summary(model(acc=0.75, generated=0.0, unparsed=0.96))) == (
        "Asked in chat, 96% of the tuned model's answers are none of the choices, of base's 1%: the form of the answer "
        "is lost. By likelihood 75% is known where base knew 80%."
    )


def test_a_base_that_never_answered_has_lost_nothing() -> None:
    silent = model(generated=0.0, unparsed=0.95)
    assert verdict(summary(silent, base=silent)).startswith("General accuracy changed by +0.000")


@pytest.mark.parametrize(("unparsed", "lost"), [(0.20, False), (0.22, True)])
def test_the_form_is_lost_above_a_fifth_more_without_an_answer(unparsed: float, lost: bool) -> None:
    assert ("form of the answer is lost" in verdict(summary(model(unparsed=unparsed)))) is lost


def test_without_a_gate_anything_passes() -> None:
    assert failures(summary(model(acc=0.0, generated=0.0)), Gate()) == []


@pytest.mark.parametrize(
    ("tuned", "passes"),
    [(0.7499, False), (0.7501, True), (0.8, True), (0.9, True), (0.0, False)],
)
def test_the_gate_breaks_just_above_its_limit(tuned: float, passes: bool) -> None:
    assert (not failures(summary(model(acc=tuned)), Gate(mmlu_drop=0.05))) is passes
    assert (not failures(summary(model(acc=0.1, generated=tuned - 0.1)), Gate(generated_drop=0.05))) is passes


def test_a_loss_equal_to_the_limit_passes() -> None:
    assert failures(summary(model(acc=0.25), base=model(acc=0.5)), Gate(mmlu_drop=0.25)) == []


@pytest.mark.parametrize(("base", "tuned", "limit"), [(0.8, 0.75, 0.05), (0.8, 0.7, 0.1), (0.9, 0.88, 0.02)])
def test_a_loss_equal_to_the_limit_passes_however_floats_round(base: float, tuned: float, limit: float) -> None:
    assert failures(summary(model(acc=tuned), base=model(acc=base)), Gate(mmlu_drop=limit)) == []


def test_a_gate_of_0_lets_no_loss_pass_but_equality() -> None:
    assert failures(summary(model()), Gate(0.0, 0.0)) == []
    assert len(failures(summary(model(acc=0.7999)), Gate(0.0, 0.0))) == 1


def test_every_broken_limit_has_a_line_with_its_mend() -> None:
    assert failures(summary(model(acc=0.7, generated=0.1)), Gate(0.05, 0.2)) == [
        "params.yaml: gate.mmlu_drop: mmlu.acc fell by 0.100 (0.800 to 0.700), 0.05 is allowed; "
        "raise mix.ratio or lower train.lr",
        "params.yaml: gate.generated_drop: mmlu.generated_acc fell by 0.600 (0.700 to 0.100), 0.2 is allowed; "
        "raise mix.ratio or lower train.lr",
    ]


def project(folder: Path, gate: str) -> None:
    (folder / "params.yaml").write_text(f"gate: {gate}\n", encoding="utf-8")
    for name, figures in summary(model(acc=0.7, f1=0.9)).items():
        write_json(f"metrics/score/{name}.json", {name: {"voc": figures["voc"]}})
        write_json(f"metrics/mmlu/{name}.json", {name: {"mmlu": figures["mmlu"]}})
    write_json("metrics/mix.json", {"mix": {"achieved": 0.25}})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_writes_the_summary_and_the_points_to_plot(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(here, "{mmlu_drop: 0.2}")
    main()
    assert read_json("metrics/summary.json") == summary(model(acc=0.7, f1=0.9))
    assert Path("metrics/tradeoff.csv").read_text() == "model,mmlu_acc,voc_f1\nbase,0.8,0.1\ntuned,0.7,0.9\n"
    assert capsys.readouterr().out.startswith("Trained on 75% customer and 25% general data\n\n")


def test_a_broken_gate_fails_the_stage_after_showing_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(here, "{mmlu_drop: 0.05}")
    with pytest.raises(InputError, match=r"^params\.yaml: gate\.mmlu_drop: mmlu\.acc fell by 0\.100"):
        main()
    assert "VOC F1" in capsys.readouterr().out
    assert Path("metrics/summary.json").exists()


@pytest.mark.parametrize(("achieved", "said"), [(0, True), (0.25, False)])
def test_without_general_data_the_next_step_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], achieved: float, said: bool
) -> None:
    project(here, "{}")
    write_json("metrics/mix.json", {"mix": {"achieved": achieved}})
    main()
    assert ("dvc exp run -S mix.ratio=" in capsys.readouterr().out) is said
