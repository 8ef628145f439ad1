"""A test in which the base model is not above chance cannot show forgetting; the explanation names another test."""

from dataclasses import replace

import pytest

from alloy.comparison.chance import (
    BaseScore,
    explain_chance_level,
    find_chance_level,
    find_furthest_above_chance,
    list_base_scores,
)
from alloy.comparison.compare import compare_models
from example_metrics import compare, make_metrics

CLOZE = BaseScore("mmlu.cloze_acc_norm", "knowledge, cloze form", 500, 0.41, 0.36, 0.45, 0.25)
LETTERS = BaseScore("mmlu.letters_acc", "knowledge, by letters", 500, 0.27, 0.23, 0.31, 0.25)
IFEVAL = BaseScore("ifeval.prompt_strict", "prompts followed", 60, 0.12, 0.05, 0.2, 0.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"low": 0.25}, False),
        ({"low": 0.2, "value": 0.3}, False),
        ({"low": None, "high": None}, False),
        ({"n": 1}, False),
    ],
)
def test_a_test_shows_loss_if_the_whole_interval_is_above_chance(change: dict, expected: bool) -> None:
    assert replace(CLOZE, **change).can_show_forgetting is expected


def test_the_test_furthest_above_chance_is_found() -> None:
    assert find_furthest_above_chance([LETTERS, IFEVAL, CLOZE]) is CLOZE
    assert find_furthest_above_chance([LETTERS, IFEVAL]) is IFEVAL
    assert find_furthest_above_chance([LETTERS]) is None
    assert find_furthest_above_chance([]) is None


def test_the_explanation_names_a_test_that_can_show_loss() -> None:
    assert explain_chance_level(CLOZE, [LETTERS, CLOZE]) is None
    explanation = explain_chance_level(LETTERS, [LETTERS, CLOZE]) or ""
    assert all(part in explanation for part in (LETTERS.title, CLOZE.title, "0.270", "0.250"))
    assert "none" in (explain_chance_level(LETTERS, [LETTERS]) or "")


def test_values_of_the_base_model_and_chance_levels_come_from_the_comparison() -> None:
    lines = compare(make_metrics(acc=10), base=make_metrics(acc=26, generated=0))
    tests = {test.name: test for test in list_base_scores(lines)}
    assert list(tests) == [
        "mmlu.cloze_acc_norm",
        "mmlu.cloze_acc",
        "mmlu.letters_acc",
        "mmlu.generated_acc",
        "mmlu.acc",
        "ifeval.prompt_strict",
    ]
    letters, ifeval = tests["mmlu.letters_acc"], tests["ifeval.prompt_strict"]
    assert (letters.value, letters.chance, letters.n, letters.can_show_forgetting) == (0.26, 0.25, 100, False)
    assert (ifeval.value, ifeval.chance, ifeval.n, ifeval.can_show_forgetting) == (0.6, 0.0, 100, True)
    assert not tests["mmlu.generated_acc"].can_show_forgetting
    assert find_furthest_above_chance(list(tests.values())) == ifeval


def test_an_answer_cannot_be_guessed_from_choices_that_are_not_shown() -> None:
    metrics, rows = make_metrics(generated=10)
    metrics["mmlu"]["generated_chance"] = 0.0
    empty = {"tuned": {}, "svm": {}}
    lines = compare_models({"base": metrics, **empty}, {"base": rows, **empty}, resamples=500, seed=0)
    tests = {test.name: test for test in list_base_scores(lines)}
    assert tests["mmlu.generated_acc"].can_show_forgetting


def test_a_metric_without_a_chance_level_is_left_out() -> None:
    assert find_chance_level("voc.f1", {"voc": {"f1": 0.1}}) is None
    assert find_chance_level("mmlu.acc", {}) is None
    assert find_chance_level("mmlu.acc", {"mmlu": {"chance": 0.33}}) == 0.33
    assert find_chance_level("ifeval.prompt_strict", {}) == 0.0


def test_without_a_base_model_there_are_no_base_scores() -> None:
    assert list_base_scores(compare(make_metrics(), base=({"voc": make_metrics()[0]["voc"]}, {}))) == []
