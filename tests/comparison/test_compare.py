"""Comparison of models: every metric with its interval, and paired changes."""

import pytest

from alloy.comparison.compare import compare_models, require_same_ids
from alloy.core.files import InputError
from example_metrics import compare, make_metrics, make_svm_metrics


def index_by_key(compared: list[dict]) -> dict[tuple[str, str], dict]:
    return {(line["part"], line["key"]): line for line in compared}


def test_a_line_has_the_values_of_all_models_and_the_change() -> None:
    line = index_by_key(compare(make_metrics(f1=50)))["voc", "f1"]
    assert line["n"] == 100
    assert {model: value["value"] for model, value in line["models"].items()} == {"base": 0.1, "tuned": 0.5, "svm": 0.3}
    assert line["change"]["value"] == 0.4
    assert line["change"]["low"] < 0.4 < line["change"]["high"]
    assert line["change"]["p"] < 0.05
    assert line["over_svm"]["value"] == 0.2


def test_ifeval_counts_instructions_and_whole_prompts() -> None:
    lines = index_by_key(compare(make_metrics(ifeval=20)))
    assert lines["ifeval", "prompt_strict"]["models"]["tuned"]["value"] == 0.2
    assert lines["ifeval", "instruction_strict"]["models"]["tuned"]["value"] == 0.6
    prompts, instructions = (lines["ifeval", key]["models"]["tuned"] for key in ("prompt_strict", "instruction_strict"))
    assert instructions["high"] - instructions["low"] < prompts["high"] - prompts["low"]


def test_labels_with_emotions_have_a_line_with_n_interval_and_p() -> None:
    tuned, base, svm = make_metrics(f1=60, full=40), make_metrics(f1=10, full=5), make_svm_metrics(50, full=30)
    line = index_by_key(compare(tuned, base, svm))["voc", "f1_full"]
    assert line["n"] == 100
    assert {model: value["value"] for model, value in line["models"].items()} == {
        "base": 0.05,
        "tuned": 0.4,
        "svm": 0.3,
    }
    assert all(value["low"] < value["value"] < value["high"] for value in line["models"].values())
    assert line["change"]["low"] < line["change"]["value"] == 0.35 < line["change"]["high"]
    assert line["change"]["p"] < 0.05
    assert line["over_svm"]["value"] == 0.1


def test_labels_without_emotions_have_no_line_for_emotions() -> None:
    assert ("voc", "f1") in index_by_key(compare(make_metrics()))
    assert ("voc", "f1_full") not in index_by_key(compare(make_metrics()))


def test_the_score_of_the_article_has_no_interval() -> None:
    line = index_by_key(compare(make_metrics()))["voc", "nova_f1"]
    assert line["models"]["base"] == {"value": 0.2}
    assert line["change"] == {"value": 0.0}


def test_the_svm_has_only_task_metrics() -> None:
    assert [line["key"] for line in compare(make_metrics()) if "svm" in line["models"]] == [
        "f1",
        "precision",
        "recall",
        "nova_f1",
    ]


def test_each_task_of_a_profile_has_a_line() -> None:
    compared = compare(make_metrics(**{"gsm8k exact_match": 0.5}), base=make_metrics(**{"gsm8k exact_match": 0.75}))
    line = compared[-1]
    assert (line["title"], line["change"]) == ("gsm8k exact_match", {"value": -0.25})


def test_the_general_loss_is_a_mean_over_tokens_and_its_change_is_paired() -> None:
    lines = index_by_key(compare(make_metrics(loss=2.5, kl=0.25), base=make_metrics(loss=2.0)))
    loss, kl = lines["loss", "general"], lines["loss", "kl"]
    assert [loss["n"], loss["models"]["base"]["value"], loss["models"]["tuned"]["value"]] == [100, 2.0, 2.5]
    change, base = loss["change"], loss["models"]["base"]
    assert change["value"] == 0.5
    assert 0.45 < change["low"] < 0.5 < change["high"] < 0.55
    assert change["high"] - change["low"] < (base["high"] - base["low"]) / 3  # rows vary more than their changes
    assert kl["models"]["base"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert kl["models"]["tuned"]["low"] < 0.25 < kl["models"]["tuned"]["high"]
    assert kl["change"]["value"] == 0.25


def test_an_unchanged_model_has_a_loss_change_of_0() -> None:
    lines = index_by_key(compare(make_metrics(loss=2.123457), base=make_metrics(loss=2.123457)))
    for key in ("general", "kl"):
        assert lines["loss", key]["change"] == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_a_hosted_base_model_has_only_task_metrics() -> None:
    metrics, rows = make_svm_metrics()
    models = {"base": metrics, "tuned": {}, "svm": metrics}
    compared = compare_models(models, {"base": rows, "tuned": {}, "svm": rows}, resamples=200, seed=0)
    assert {line["part"] for line in compared} == {"voc"}
    assert all(line["change"] is None for line in compared)


def test_rows_of_other_comments_are_refused() -> None:
    rows = [{"id": "a"}, {"id": "b"}]
    require_same_ids("x.jsonl", rows, rows)
    with pytest.raises(InputError, match=r"^x\.jsonl:2: .*'b'.*'c'"):
        require_same_ids("x.jsonl", [{"id": "a"}, {"id": "c"}], rows)
    with pytest.raises(InputError, match=r"^x\.jsonl: .*\b2 rows .*\b1;"):
        require_same_ids("x.jsonl", rows[:1], rows)
