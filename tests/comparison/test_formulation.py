"""The headline accuracy is that of the formulation in which base does best, for every model."""

import pytest

from alloy.comparison.formulation import add_headline, find_best_formulation

BASE = {"cloze_acc": 0.32, "cloze_acc_norm": 0.41, "letters_acc": 0.26}
TUNED = {"cloze_acc": 0.31, "cloze_acc_norm": 0.38, "letters_acc": 0.60}


@pytest.mark.parametrize(
    ("better", "expected"),
    [
        ({}, "cloze_acc_norm"),
        ({"letters_acc": 0.62}, "letters_acc"),
        ({"cloze_acc": 0.5}, "cloze_acc"),
        ({"cloze_acc": 0.41, "letters_acc": 0.41}, "cloze_acc_norm"),
    ],
)
def test_base_decides_and_of_equal_formulations_the_first_is_used(better: dict, expected: str) -> None:
    assert find_best_formulation({**BASE, **better}) == expected


def test_a_model_that_was_not_measured_has_no_formulation() -> None:
    assert find_best_formulation({}) is None
    figures, rows = {"base": {"voc": {"f1": 0.1}}, "tuned": {"mmlu": TUNED}}, {"base": {}, "tuned": {}}
    assert add_headline(figures, rows) == (figures, rows)


def test_all_models_get_the_accuracy_of_the_same_formulation_everywhere() -> None:
    def of(shares: dict) -> dict:
        return {"mmlu": {**shares, "groups": {"stem": shares}, "subjects": {"physics": shares}}, "voc": {"f1": 0.1}}

    asked = [{"id": "1", "cloze_acc": 0, "cloze_acc_norm": 1, "letters_acc": 0}]
    figures = {"base": of(BASE), "tuned": of(TUNED), "svm": {"voc": {"f1": 0.2}}}
    rows = {"base": {"mmlu": asked, "voc": [{"id": "c"}]}, "tuned": {"mmlu": asked}, "svm": {}}
    named, copied = add_headline(figures, rows)
    for model, shares in (("base", BASE), ("tuned", TUNED)):
        mmlu = named[model]["mmlu"]
        expected = shares["cloze_acc_norm"]
        assert (mmlu["acc"], mmlu["groups"]["stem"]["acc"], mmlu["subjects"]["physics"]["acc"]) == (expected,) * 3
        assert mmlu["formulation"] == "cloze_acc_norm"
        assert copied[model]["mmlu"] == [{**asked[0], "acc": 1}]
    assert named["svm"] == figures["svm"]
    assert copied["base"]["voc"] == [{"id": "c"}]
    assert "acc" not in figures["base"]["mmlu"]  # what was given is as it was
    assert "acc" not in asked[0]
