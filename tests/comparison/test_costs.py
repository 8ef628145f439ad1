"""Training budgets are compared between runs, and the costs of all models are listed in one table."""

from pathlib import Path

import pytest

from alloy.comparison.costs import (
    Budget,
    compute_budget,
    describe_budget,
    describe_unequal_budgets,
    find_trained_share,
    format_amount,
    list_costs,
    read_costs,
)
from alloy.core.files import InputError, write_json

BUDGET = Budget(customer=100, steps=50, lr=1e-3)


def test_a_model_that_was_not_trained_has_no_budget() -> None:
    assert compute_budget({"achieved": 0.25}, {"hosted": "some-model"}, 1e-3) is None


def test_a_mix_without_customer_rows_has_a_budget_of_0_examples() -> None:
    train = {"steps": 5, "source": {"maths": {"examples": 9}}, "general_share": {"tokens": 1.0}}
    mix = {"unit": "tokens", "source": {"maths": {"rows": 10}}, "too_long": {"maths": 1}}
    assert compute_budget(mix, train, 1e-3) == Budget(0, 5, 1e-3, general=1.0)


def test_a_budget_counts_seen_examples_and_not_mixed_ones() -> None:
    source = {"customer": {"examples": 715}, "maths": {"examples": 30}}
    train = {"steps": 5, "source": source, "general_share": {"examples": 0.04, "tokens": 0.1}}
    mix = {"unit": "tokens", "achieved": 0.25, "source": {"customer": {"rows": 3549}}, "too_long": {"customer": 7}}
    budget = compute_budget(mix, train, 1e-3)
    assert budget == Budget(715, 5, 1e-3, general=0.1, too_long=7, unseen=2834)
    assert [line.split(":")[0] for line in describe_budget(budget, 3556)] == ["Budget", "Warning", "Warning"]
    assert "715" in describe_budget(budget, 3556)[0]


@pytest.mark.parametrize(("train", "share"), [({"general_share": {"examples": 0.2}}, 0.2), ({"hosted": "m"}, 0.25)])
def test_the_share_comes_from_training_or_without_training_from_the_mix(train: dict, share: float) -> None:
    assert find_trained_share({"achieved": 0.25, "unit": "examples"}, train) == share


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(90, 50, 1e-3), "Warning: customer examples differ: 90 to 100; "),
        (Budget(100, 1074, 1e-3), "Warning: steps differ: 50 to 1,074; set mix.budget to total "),
        (Budget(100, 50, 1e-5), "Warning: learning rates differ: 1e-05 to 0.001; "),
        (Budget(100, 50, 1e-3, too_long=3), "Warning: examples that are too long differ: 0 to 3; "),
    ],
)
def test_each_difference_of_budgets_is_one_line(budget: Budget, expected: str) -> None:
    (line,) = describe_unequal_budgets([BUDGET, budget, BUDGET])
    assert line.startswith(expected)


def test_equal_budgets_one_budget_and_no_budgets_give_no_warning() -> None:
    assert (
        describe_unequal_budgets([BUDGET, BUDGET])
        == describe_unequal_budgets([BUDGET])
        == describe_unequal_budgets([])
        == []
    )


def test_gpu_hours_and_core_hours_are_two_lines() -> None:
    lines = {line["title"]: line["models"] for line in list_costs({}, {"gpu_hours": 2.5}, {"core_hours": 0.1}, {})}
    assert lines == {"core hours of training": {"svm": 0.1}, "GPU hours of training": {"tuned": 2.5}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (7.0e-5, "7.0e-05"),
        (0.00022, "2.2e-04"),
        (0.00201, "0.00201"),
        (7, "7.00"),
        (63.365, "63.4"),
        (119.1, "119"),
        (999.6, "1,000"),
        (27587.0, "27,587"),
    ],
)
def test_an_amount_has_three_digits_or_two_if_it_is_tiny(value: float, text: str) -> None:
    assert format_amount(value) == text


ORIGINS = [{"hub": "a/b", "revision": "c"}, {"path": "../m"}, {"gguf": "m.gguf"}, {"package": "p", "version": "1"}]


@pytest.mark.parametrize("origin", ORIGINS)
def test_costs_are_read_next_to_the_origin_of_an_existing_base_model(origin: dict, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json("metrics/base.json", {"base": {**origin, "sha256": "0" * 64, "stop_token": "<|im_end|>"}})
    write_json("metrics/train.json", {"train": {"core_hours": 0.5}})
    write_json("metrics/svm.json", {"svm": {"svm": {"core_hours": 0.1}}})
    for model in ("base", "tuned"):
        write_json(f"metrics/infer/{model}.json", {model: {"infer": {}}})
    (line,) = read_costs()
    assert line["models"] == {"tuned": 0.5, "svm": 0.1}


def test_the_error_of_an_invalid_cost_of_the_base_model_names_its_key(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json("metrics/base.json", {"base": {"core_hours": "many"}})
    with pytest.raises(InputError, match=r"metrics/base\.json: base\.core_hours"):
        read_costs()
