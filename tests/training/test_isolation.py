"""Packed examples do not see each other: their logits equal the logits of separate examples, for each model family."""

import pytest
import torch

from alloy.modeling.architecture import find_language_model, get_layer_types, keeps_state
from alloy.training.check_model import resolve_packing
from alloy.training.isolation import examples_stay_apart, find_packing_problem
from alloy.training.packing import Examples, flatten_rows, prepare_examples
from alloy.training.settings import Train
from model_families import APART, FAMILIES, STATEFUL, UNMASKED, build_model
from tiny_model import ROWS, make_tokenizer

TRAIN = Train(lr=1e-3, max_length=128)
ROWS = ROWS[:6]


def compute_logits(model, rows) -> torch.Tensor:
    """Return (completion tokens, vocabulary) for packed rows, as `MixTrainer` computes them."""
    batch = flatten_rows(rows)
    del batch["labels"], batch["category"]
    with torch.no_grad():
        return model(**batch, use_cache=False).logits[0]


def compute_apart(model, examples: Examples) -> torch.Tensor:
    """Return the same logits, computed for each example separately, in packed order."""
    found = []
    for row in examples.dataset:
        start = 0
        for length in row["seq_lengths"]:
            example = {key: row[key][start : start + length] for key in ("input_ids", "labels", "category")}
            found.append(compute_logits(model, [{**example, "seq_lengths": [length]}]))
            start += length
    return torch.cat(found)


def compute_packed(model, examples: Examples) -> torch.Tensor:
    """Return the same for the packed rows."""
    return torch.cat([compute_logits(model, [row]) for row in examples.dataset])


@pytest.mark.parametrize("name", FAMILIES)
def test_an_example_in_a_row_has_the_logits_of_the_example_alone(name):
    model = build_model(name)
    train, _ = resolve_packing(model.config, TRAIN)
    examples = prepare_examples(ROWS, make_tokenizer(), train)
    torch.testing.assert_close(compute_packed(model, examples), compute_apart(model, examples), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", APART)
def test_models_that_separate_examples_are_packed(name):
    config = build_model(name).config
    assert resolve_packing(config, TRAIN) == (TRAIN, None)
    assert max(len(row["seq_lengths"]) for row in prepare_examples(ROWS, make_tokenizer(), TRAIN).dataset) > 1


@pytest.mark.parametrize("name", STATEFUL | UNMASKED)
def test_examples_that_see_each_other_are_not_packed(name):
    model = build_model(name)
    train, line = resolve_packing(model.config, TRAIN)
    assert not train.packing
    assert "train.packing" in str(line)
    examples = prepare_examples(ROWS, make_tokenizer(), TRAIN)
    assert (compute_packed(model, examples) - compute_apart(model, examples)).abs().max() > 1e-4


@pytest.mark.parametrize("name", FAMILIES)
def test_layers_with_a_state_are_read_from_the_configuration_and_masks_are_tested(name):
    config = build_model(name).config
    assert any(map(keeps_state, get_layer_types(config))) == (name in STATEFUL)
    assert examples_stay_apart(config) == (name in APART)
    assert (find_packing_problem(config) is None) == (name in APART)


def test_the_test_changes_neither_the_configuration_nor_the_random_numbers():
    config = APART["Gemma 3 with vision"]()
    before = config.to_dict()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    examples_stay_apart(config)
    assert torch.equal(torch.rand(3), expected)
    assert config.to_dict() == before


def test_a_model_that_cannot_be_tested_is_not_packed(monkeypatch):
    config = APART["Qwen3"]()
    kind, _ = find_language_model(config)

    def refuse(self, *_, **__):
        raise ValueError("token_type_ids are needed")

    monkeypatch.setattr(kind, "forward", refuse)
    assert examples_stay_apart(config) is None


def test_a_profile_without_packing_needs_no_test():
    train = TRAIN.model_copy(update={"packing": False})
    assert resolve_packing(object(), train) == (train, None)
