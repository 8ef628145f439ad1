"""The stage: what it prints, what it writes, and how it fails."""

from pathlib import Path

import pytest

from measured import lines, measured, rival, write
from stages.compare import main, summarise, table
from stages.records import InputError, read_json, write_json, write_jsonl


def test_a_summary_keeps_the_headline_figures_only() -> None:
    figures, _ = measured(**{"gsm8k exact_match": 0.5})
    more = {
        **figures,
        "voc": {**figures["voc"], "levels": {}, "comments": 3},
        "mmlu": {**figures["mmlu"], "subjects": {}},
    }
    kept = summarise(more)
    assert kept["voc"] == figures["voc"]
    assert kept["mmlu"] == figures["mmlu"]
    assert kept["ifeval"] == {key: figures["ifeval"][key] for key in ("prompt_strict", "instruction_strict")}
    assert kept["general"] == {"gsm8k exact_match": 0.5}
    assert summarise({}) == {}


def test_the_table_has_a_line_a_measure_in_columns() -> None:
    header, *rest = table(lines(measured(f1=50, acc=75))).splitlines()
    assert header.split() == ["base", "tuned", "change", "95", "%", "interval", "p", "svm"]
    assert rest[0].startswith("VOC F1 ")
    assert rest[0].split()[2:5] == ["0.100", "0.500", "+0.400"]
    assert rest[0].split()[-1] == "0.300"
    assert rest[4].split()[-1] == "-"
    assert len({len(line) for line in [header, *rest]}) == 1


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write({"base": measured(), "tuned": measured(f1=90, acc=70), "svm": rival()})
    write_json("metrics/mix.json", {"mix": {"achieved": 0.25}})
    Path("params.yaml").write_text("gate: {}\n", encoding="utf-8")
    return tmp_path


def test_the_stage_writes_the_summary_the_comparison_and_the_points_to_plot(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main()
    summary = read_json("metrics/summary.json")
    assert list(summary) == ["base", "tuned", "svm"]
    assert (summary["tuned"]["voc"]["f1"], summary["tuned"]["mmlu"]["acc"]) == (0.9, 0.7)
    assert "mmlu" not in summary["svm"]
    assert Path("metrics/tradeoff.csv").read_text() == "model,mmlu_acc,voc_f1\nbase,0.8,0.1\ntuned,0.7,0.9\n"
    compared = read_json("metrics/compare.json")
    assert [line["key"] for line in compared["measures"]] == [line["key"] for line in lines(measured())]
    assert compared["verdict"][0].startswith("Task: F1 0.900, base has 0.100.")
    assert capsys.readouterr().out.startswith("Trained on 75% customer and 25% general data\n\n")


def test_a_broken_gate_fails_the_stage_after_showing_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("gate: {mmlu_drop: 0.05}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^params\.yaml: gate\.mmlu_drop: mmlu\.acc fell by 0\.100"):
        main()
    assert "VOC F1" in capsys.readouterr().out
    assert Path("metrics/summary.json").exists()


@pytest.mark.parametrize(("achieved", "said"), [(0, True), (0.25, False)])
def test_without_general_data_the_next_step_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], achieved: float, said: bool
) -> None:
    write_json("metrics/mix.json", {"mix": {"achieved": achieved}})
    main()
    assert ("dvc exp run -S mix.ratio=" in capsys.readouterr().out) is said


def test_rows_of_another_test_set_are_refused(here: Path) -> None:
    _, rows = measured()
    write_jsonl("metrics/mmlu/tuned.jsonl", rows["mmlu"][1:])
    with pytest.raises(InputError, match=r"^metrics/mmlu/tuned\.jsonl:1: id 'q1' where base has 'q0'"):
        main()
    assert not Path("metrics/summary.json").exists()


def test_a_hosted_base_is_scored_beside_the_rival(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write({"base": rival(20), "tuned": ({}, {}), "svm": rival()})
    main()
    out = capsys.readouterr().out
    assert "Nothing was trained" in out
    assert read_json("metrics/summary.json")["tuned"] == {}
