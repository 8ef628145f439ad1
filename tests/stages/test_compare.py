"""The stage `compare`: what it prints, what it writes, and how it fails."""

import re
from pathlib import Path

import pytest

from alloy.comparison.metrics import BY_NAME, select_headline
from alloy.comparison.result_tables import render_cost_table, render_table
from alloy.comparison.seeds import ONE_SEED
from alloy.core.files import InputError, read_json, read_jsonl, write_json, write_jsonl
from example_metrics import compare, make_metrics, make_svm_metrics, write_costs, write_metrics
from stages.compare import main


def test_a_summary_has_only_headline_metrics() -> None:
    metrics, _ = make_metrics(**{"gsm8k exact_match": 0.5})
    with_details = {
        **metrics,
        "voc": {**metrics["voc"], "levels": {}, "comments": 3},
        "mmlu": {**metrics["mmlu"], "subjects": {}},
    }
    kept = select_headline(with_details)
    assert kept["voc"] == {**metrics["voc"], "comments": 3}
    assert kept["mmlu"] == {key: metrics["mmlu"][key] for key in ("acc", "generated_acc", "unparsed", "questions")}
    shares = ("prompt_strict", "prompts", "instruction_strict", "instructions")
    assert kept["ifeval"] == {key: metrics["ifeval"][key] for key in shares}
    assert kept["general"] == {"gsm8k exact_match": 0.5}
    assert select_headline({"general": {"gsm8k exact_match": 0.5, "n": {"gsm8k exact_match": 80}}})["general"]["n"] == {
        "gsm8k exact_match": 80
    }
    assert select_headline({"leak": 0.5, "answers": {"n": 212, "cut": 0.1}}) == {"leak": 0.5, "answers": {"n": 212}}
    assert select_headline({"mmlu": {"acc": 0.5, "questions": 8, "over_context": 2}})["mmlu"]["over_context"] == 2
    assert select_headline({}) == {}


def test_the_table_has_a_line_per_metric_in_columns() -> None:
    header, *rows = render_table(compare(make_metrics(f1=50, acc=75))).splitlines()
    assert header.split() == ["n", "base", "tuned", "change", "95", "%", "interval", "p", "svm"]
    assert rows[0].startswith("VOC F1 ")
    assert rows[0].split()[2:6] == ["100", "0.100", "0.500", "+0.400"]
    assert rows[0].split()[-1] == "0.300"
    assert rows[4].split()[-1] == "-"
    assert len({len(line) for line in [header, *rows]}) == 1


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_metrics({"base": make_metrics(), "tuned": make_metrics(f1=90, acc=70), "svm": make_svm_metrics()})
    write_costs()
    Path("params.yaml").write_text("gate: {}\n", encoding="utf-8")
    return tmp_path


def test_the_stage_writes_the_summary_the_comparison_and_the_points_to_plot(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main()
    summary = read_json("metrics/summary.json")
    assert list(summary) == ["base", "tuned", "svm"]
    assert (summary["tuned"]["voc"]["f1"], summary["tuned"]["mmlu"]["acc"]) == (0.9, 0.7)
    assert summary["tuned"]["mmlu"]["formulation"] == "cloze_acc_norm"
    assert "mmlu" not in summary["svm"]
    assert Path("metrics/tradeoff.csv").read_text() == "model,mmlu_acc,voc_f1\nbase,0.8,0.1\ntuned,0.7,0.9\n"
    compared = read_json("metrics/compare.json")
    assert [line["key"] for line in compared["measures"]] == [line["key"] for line in compare(make_metrics())]
    assert [(finding["topic"], finding["outcome"]) for finding in compared["verdict"]][:2] == [
        ("Task", "better"),
        ("Answer format", "kept"),
    ]
    output = capsys.readouterr().out.splitlines()
    assert re.findall(r"\d+%", output[0]) == ["75%", "25%"]
    assert re.findall(r"\d[\d.]*", output[1]) == ["30", "80", "0.003"]
    assert not any(line.startswith("Warning") for line in output)
    assert ONE_SEED in output


def test_general_answers_of_both_models_are_checked_for_leakage(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_metrics({"tuned": make_metrics(f1=90, leak=92, chat=12)})
    main()
    summary = read_json("metrics/summary.json")
    assert (summary["base"]["leak"], summary["tuned"]["leak"]) == (0.0, round((92 + 92 + 12) / 212, 4))
    assert "leak" not in summary["svm"]
    lines = {line["name"]: line for line in read_json("metrics/compare.json")["measures"]}
    assert {
        name: (lines[name]["n"], lines[name]["models"]["tuned"]["value"]) for name in ("mmlu.leak", "chat.leak")
    } == {
        "mmlu.leak": (100, 0.92),
        "chat.leak": (12, 1.0),
    }
    assert (lines["leak"]["n"], lines["leak"]["change"]["p"] < 0.05) == (212, True)
    rows = read_jsonl("metrics/answers/tuned.jsonl")
    assert rows[0] == {"test": "mmlu", "id": "q0", "leak": 0, "empty": 0, "cut": 0, "loops": 0}
    assert sum(row["leak"] for row in rows) == 196


def test_with_codes_as_labels_a_known_code_is_a_leak(project: Path) -> None:
    _, rows = make_metrics()
    write_jsonl("metrics/chat/tuned.jsonl", [{**row, "answer": '[{"label": "2"}]'} for row in rows["chat"]])
    Path("params.yaml").write_text("prompt: {labels: code}\n", encoding="utf-8")
    main()
    assert sum(row["leak"] for row in read_jsonl("metrics/answers/tuned.jsonl")) == 12


def test_the_headline_is_the_best_formulation_of_the_base_model(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, letters in (("base", 85), ("tuned", 20)):
        file = Path(f"metrics/mmlu/{model}.json")
        mmlu = read_json(file)[model]["mmlu"]
        write_json(file, {model: {"mmlu": {**mmlu, "letters_acc": letters / 100}}})
        rows = read_jsonl(file.with_suffix(".jsonl"))
        for index, row in enumerate(rows):
            row["letters_acc"] = int(index < letters)
        write_jsonl(file.with_suffix(".jsonl"), rows)
    main()
    summary, compared = read_json("metrics/summary.json"), read_json("metrics/compare.json")
    assert [summary[model]["mmlu"]["acc"] for model in ("base", "tuned")] == [0.85, 0.2]
    assert compared["mmlu"]["formulation"] == summary["base"]["mmlu"]["formulation"] == "letters_acc"
    (line,) = (line for line in compared["measures"] if (line["part"], line["key"]) == ("mmlu", "acc"))
    assert (line["chance"], line["change"]["value"], line["change"]["p"] < 0.01) == (0.25, -0.65, True)
    assert "base,0.85,0.1\ntuned,0.2,0.9\n" in Path("metrics/tradeoff.csv").read_text()
    assert "mmlu.letters_acc" in capsys.readouterr().out


def test_costs_are_below_the_table_in_the_same_columns(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main()
    rows = {line[:38].strip(): line[38:] for line in capsys.readouterr().out.splitlines()}
    assert rows["seconds of training"].split() == ["50.0", "100", "7.00"]
    assert rows["core hours of training"].split() == ["0.0280", "0.0560", "0.00200"]
    assert rows["comments labeled per second"].split() == ["22.2", "12.5", "27,587"]
    assert len(rows["seconds of training"]) == len(rows["VOC F1"])


def test_columns_of_small_costs_are_separated() -> None:
    costs = {"base": 7.0e-5, "tuned": 0.00022, "svm": 3.0e-6}
    (line,) = render_cost_table([{"title": "core hours of training", "models": costs}]).splitlines()
    assert line.split()[-3:] == ["7.0e-05", "2.2e-04", "3.0e-06"]
    assert len(line) == len(render_table([]).splitlines()[0])


def test_an_unknown_cost_is_a_dash() -> None:
    (line,) = render_cost_table([{"title": "seconds of training", "models": {"svm": 7.0}}]).splitlines()
    assert line.split()[3:] == ["-", "-", "7.00"]


@pytest.mark.parametrize(
    ("customer", "too_long", "unseen", "pattern"),
    [
        (20, 0, 0, r"\bmix\b.*\b10 of 30\b"),
        (26, 4, 0, r"\b4 of 30\b.*\btrain\.max_length\b"),
        (7, 0, 23, r"\btraining\b.*\b23 of 30\b"),
    ],
    ids=["not mixed", "too long", "unseen"],
)
def test_a_warning_counts_customer_examples_not_trained_on(
    project: Path, capsys: pytest.CaptureFixture[str], customer: int, too_long: int, unseen: int, pattern: str
) -> None:
    write_costs(customer=customer, too_long=too_long, unseen=unseen)
    main()
    (warning,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Warning"))
    assert re.search(pattern, warning), warning


def test_comments_in_every_prompt_do_not_count_as_left_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_costs(customer=28)
    Path("params.yaml").write_text("prompt: {examples: 2}\n", encoding="utf-8")
    main()
    assert "Warning" not in capsys.readouterr().out


def write_metrics_with_emotions(right: int) -> None:
    """Write the metrics of all models; `right` of the tuned model's 100 answers have the right path and emotion."""
    write_metrics(
        {
            "base": make_metrics(full=10),
            "tuned": make_metrics(f1=90, full=right, acc=70),
            "svm": make_svm_metrics(full=20),
        }
    )


def test_path_and_emotion_are_a_headline_if_the_labels_have_emotions(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main()
    assert "f1_full" not in read_json("metrics/summary.json")["tuned"]["voc"]
    write_metrics_with_emotions(80)
    main()
    assert BY_NAME["voc.f1_full"].title in capsys.readouterr().out
    summary = read_json("metrics/summary.json")
    assert {model: metrics["voc"]["f1_full"] for model, metrics in summary.items()} == {
        "base": 0.1,
        "tuned": 0.8,
        "svm": 0.2,
    }


@pytest.mark.parametrize(("achieved", "is_suggested"), [(0, True), (0.25, False)])
def test_a_mix_ratio_is_suggested_only_without_general_data(
    project: Path, capsys: pytest.CaptureFixture[str], achieved: float, is_suggested: bool
) -> None:
    write_costs(achieved=achieved)
    main()
    assert ("dvc exp run -S mix.ratio=" in capsys.readouterr().out) is is_suggested


def test_rows_of_another_test_set_are_refused(project: Path) -> None:
    _, rows = make_metrics()
    write_jsonl("metrics/mmlu/tuned.jsonl", rows["mmlu"][1:])
    with pytest.raises(InputError, match=r"^metrics/mmlu/tuned\.jsonl:1: .*'q0'.*'q1'"):
        main()
    assert not Path("metrics/summary.json").exists()


def test_the_loss_of_each_model_is_read_from_the_common_file(project: Path) -> None:
    write_metrics({"base": make_metrics(loss=2.0), "tuned": make_metrics(loss=2.5, kl=0.3), "svm": make_svm_metrics()})
    main()
    summary = read_json("metrics/summary.json")
    assert summary["base"]["loss"] == {"general": 2.0, "rows": 100, "kl": 0.0}
    assert summary["tuned"]["loss"] == {"general": 2.5, "rows": 100, "kl": 0.3}
    compared = {(line["part"], line["key"]): line for line in read_json("metrics/compare.json")["measures"]}
    base, tuned = (compared["loss", "kl"]["models"][model] for model in ("base", "tuned"))
    assert base["high"] == 0 < tuned["low"] < 0.3 < tuned["high"]


def test_a_comparison_without_held_out_rows_has_no_loss(project: Path) -> None:
    write_json("metrics/general_loss.json", {"base": {}, "tuned": {}})
    Path("metrics/general_loss.jsonl").write_text("")
    main()
    assert "loss" not in read_json("metrics/summary.json")["tuned"]
    assert "loss" not in {line["part"] for line in read_json("metrics/compare.json")["measures"]}


def test_a_hosted_base_is_compared_with_the_svm(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_metrics({"base": make_svm_metrics(20), "tuned": ({}, {}), "svm": make_svm_metrics()})
    write_json("metrics/base.json", {"base": {"hosted": "some-model"}})
    write_json("metrics/train.json", {"train": {"hosted": "some-model"}})
    write_json("metrics/infer/tuned.json", {"tuned": {}})
    main()
    out = capsys.readouterr().out
    assert "Budget" not in out
    assert re.search(r"^seconds of training +- +-", out, re.MULTILINE)
    assert read_json("metrics/compare.json")["verdict"] == []
    assert ONE_SEED not in out
    assert read_json("metrics/summary.json")["tuned"] == {}


def test_too_few_items_have_neither_interval_nor_p_nor_verdict(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, f1 in (("base", 0), ("tuned", 90), ("svm", 30)):
        metrics, rows = make_metrics(f1=f1)
        file = Path(f"metrics/score/{model}.json")
        write_json(file, {model: {"voc": {**metrics["voc"], "comments": 29, "f1_low": None, "f1_high": None}}})
        write_jsonl(file.with_suffix(".jsonl"), rows["voc"][:29])
    main()
    compared = read_json("metrics/compare.json")
    line = next(line for line in compared["measures"] if line["name"] == "voc.f1")
    assert (line["n"], line["change"].keys(), line["over_svm"].keys()) == (29, {"value"}, {"value"})
    assert line["models"]["tuned"].keys() == {"value"}
    assert (compared["verdict"][0]["topic"], compared["verdict"][0]["outcome"]) == ("Task", "too few items")
    row = next(row for row in capsys.readouterr().out.splitlines() if row.startswith("VOC F1 "))
    cells = row.split()[2:]
    assert (cells[:4], cells[-2:]) == (["29", "0.000", "0.900", "+0.900"], ["-", "0.300"])
    assert "f1_low" not in read_json("metrics/summary.json")["tuned"]["voc"]


def test_svm_metrics_leave_out_comments_over_the_context(project: Path) -> None:
    for model in ("base", "tuned"):
        metrics, rows = make_metrics(f1=50)
        file = Path(f"metrics/score/{model}.json")
        write_json(file, {model: {"voc": {**metrics["voc"], "comments": 90, "over_context": 10}}})
        write_jsonl(file.with_suffix(".jsonl"), rows["voc"][10:])
    main()
    line = next(line for line in read_json("metrics/compare.json")["measures"] if line["name"] == "voc.f1")
    assert line["models"]["svm"]["value"] == round(
        20 / 90, 4
    )  # the first 10 of the SVM's 30 right answers are left out
    assert read_json("metrics/summary.json")["svm"]["voc"]["comments"] == 90
    assert read_json("metrics/summary.json")["tuned"]["voc"]["over_context"] == 10
