"""The stage: what it prints, what it writes, and how it fails."""

from pathlib import Path

import pytest

from alloy.comparison.metrics import headline
from alloy.comparison.seeds import ONE_SEED
from alloy.core.files import InputError, read_json, write_json, write_jsonl
from measured import lines, measured, rival, spent, write
from stages.compare import cost_table, main, table


def test_a_summary_keeps_the_headline_figures_only() -> None:
    figures, _ = measured(**{"gsm8k exact_match": 0.5})
    more = {
        **figures,
        "voc": {**figures["voc"], "levels": {}, "comments": 3},
        "mmlu": {**figures["mmlu"], "subjects": {}},
    }
    kept = headline(more)
    for part, count in (("voc", "comments"), ("mmlu", "questions")):
        assert kept[part] == {key: value for key, value in figures[part].items() if key != count}
    assert kept["ifeval"] == {key: figures["ifeval"][key] for key in ("prompt_strict", "instruction_strict")}
    assert kept["general"] == {"gsm8k exact_match": 0.5}
    assert headline({}) == {}


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
    spent()
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
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Trained on 75% customer and 25% general data"
    assert said[1] == "Budget: 30 customer examples, 80 steps, learning rate 0.003"
    assert not any(line.startswith("Warning") for line in said)
    assert ONE_SEED in said


def test_costs_stand_below_the_table_in_its_columns(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main()
    rows = {line[:38].strip(): line[38:] for line in capsys.readouterr().out.splitlines()}
    assert rows["seconds of training"].split() == ["50.0", "100", "7.00"]
    assert rows["core hours of training"].split() == ["0.0280", "0.0560", "0.00200"]
    assert rows["comments labelled a second"].split() == ["22.2", "12.5", "27,587"]
    assert len(rows["seconds of training"]) == len(rows["VOC F1"])


def test_small_costs_stand_apart() -> None:
    costs = {"base": 7.0e-5, "tuned": 0.00022, "svm": 3.0e-6}
    (line,) = cost_table([{"title": "core hours of training", "models": costs}]).splitlines()
    assert line.split()[-3:] == ["7.0e-05", "2.2e-04", "3.0e-06"]
    assert len(line) == len(table([]).splitlines()[0])


def test_a_model_that_was_not_made_here_has_a_dash_for_what_it_cost() -> None:
    (line,) = cost_table([{"title": "seconds of training", "models": {"svm": 7.0}}]).splitlines()
    assert line.split()[3:] == ["-", "-", "7.00"]


@pytest.mark.parametrize(
    ("customer", "dropped", "said"),
    [
        (20, 0, "Warning: mix left 10 of 30 customer examples out"),
        (30, 4, "Warning: 4 of 40 examples of the mix are over train.max_length and were dropped"),
    ],
)
def test_customer_examples_that_were_not_trained_on_are_warned_of(
    here: Path, capsys: pytest.CaptureFixture[str], customer: int, dropped: int, said: str
) -> None:
    spent(customer=customer, dropped=dropped)
    main()
    assert said in capsys.readouterr().out.splitlines()


def test_comments_that_stand_in_every_prompt_are_not_left_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spent(customer=28)
    Path("params.yaml").write_text("prompt: {examples: 2}\n", encoding="utf-8")
    main()
    assert "Warning" not in capsys.readouterr().out


def test_a_broken_gate_fails_the_stage_after_showing_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("gate: {mmlu: {acc: 0.05}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^params\.yaml: gate\.mmlu\.acc: fell by 0\.100"):
        main()
    assert "VOC F1" in capsys.readouterr().out
    assert Path("metrics/summary.json").exists()


@pytest.mark.parametrize(("achieved", "said"), [(0, True), (0.25, False)])
def test_without_general_data_the_next_step_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], achieved: float, said: bool
) -> None:
    spent(achieved=achieved)
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
    write_json("metrics/base.json", {"base": {"hosted": "some-model"}})
    write_json("metrics/train.json", {"train": {"hosted": "some-model"}})
    write_json("metrics/infer/tuned.json", {"tuned": {}})
    main()
    out = capsys.readouterr().out
    assert "Budget" not in out
    assert "seconds of training                          -       -" in out
    assert "Nothing was trained" in out
    assert ONE_SEED not in out
    assert read_json("metrics/summary.json")["tuned"] == {}
