"""The headline accuracy of all models uses the formulation in which the base model has the highest accuracy."""

import pytest

from alloy.comparison.formulation import add_headline, find_best_formulation

BASE = {"cloze_acc": 0.32, "cloze_acc_norm": 0.41, "letters_acc": 0.26}
TUNED = {"cloze_acc": 0.31, "cloze_acc_norm": 0.38, "letters_acc": 0.60}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "cloze_acc_norm"),
        ({"letters_acc": 0.62}, "letters_acc"),
        ({"cloze_acc": 0.5}, "cloze_acc"),
        ({"cloze_acc": 0.41, "letters_acc": 0.41}, "cloze_acc_norm"),
    ],
)
def test_the_best_formulation_of_the_base_model_is_used_and_ties_go_to_the_first(changes: dict, expected: str) -> None:
    assert find_best_formulation({**BASE, **changes}) == expected


def test_a_model_that_was_not_measured_has_no_formulation() -> None:
    assert find_best_formulation({}) is None
    metrics, rows = {"base": {"voc": {"f1": 0.1}}, "tuned": {"mmlu": TUNED}}, {"base": {}, "tuned": {}}
    assert add_headline(metrics, rows) == (metrics, rows)


def test_all_models_groups_and_rows_have_the_accuracy_of_the_same_formulation() -> None:
    def add_groups(shares: dict) -> dict:
        return {"mmlu": {**shares, "groups": {"stem": shares}, "subjects": {"physics": shares}}, "voc": {"f1": 0.1}}

    questions = [{"id": "1", "cloze_acc": 0, "cloze_acc_norm": 1, "letters_acc": 0}]
    metrics = {"base": add_groups(BASE), "tuned": add_groups(TUNED), "svm": {"voc": {"f1": 0.2}}}
    rows = {"base": {"mmlu": questions, "voc": [{"id": "c"}]}, "tuned": {"mmlu": questions}, "svm": {}}
    with_headline, rows_with_headline = add_headline(metrics, rows)
    for model, shares in (("base", BASE), ("tuned", TUNED)):
        mmlu = with_headline[model]["mmlu"]
        expected = shares["cloze_acc_norm"]
        assert (mmlu["acc"], mmlu["groups"]["stem"]["acc"], mmlu["subjects"]["physics"]["acc"]) == (expected,) * 3
        assert mmlu["formulation"] == "cloze_acc_norm"
        assert rows_with_headline[model]["mmlu"] == [{**questions[0], "acc": 1}]
    assert with_headline["svm"] == metrics["svm"]
    assert rows_with_headline["base"]["voc"] == [{"id": "c"}]
    assert "acc" not in metrics["base"]["mmlu"]  # the arguments are not modified
    assert "acc" not in questions[0]
