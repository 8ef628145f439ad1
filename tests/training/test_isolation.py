"""No example changes another: what each family is trained on gives the logits of each example by itself."""

import pytest
import torch

from alloy.modeling.architecture import keeps_state, language_model, layer_kinds
from alloy.training.check_model import without_packing
from alloy.training.isolation import examples_stay_apart, why_not_packed
from alloy.training.packing import Examples, flatten, prepare
from alloy.training.settings import Train
from families import APART, FAMILIES, STATEFUL, UNMASKED, build
from small import ROWS, tokenizer

TRAIN = Train(lr=1e-3, max_length=128)
ROWS = ROWS[:6]


def logits(model, rows) -> torch.Tensor:
    """Return (completion tokens, vocabulary) for packed rows, as `MixTrainer` computes them."""
    batch = flatten(rows)
    del batch["labels"], batch["category"]
    with torch.no_grad():
        return model(**batch, use_cache=False).logits[0]


def apart(model, examples: Examples) -> torch.Tensor:
    """Return the same for each example of `examples` by itself, in the order in which they are packed."""
    found = []
    for row in examples.dataset:
        start = 0
        for length in row["seq_lengths"]:
            one = {key: row[key][start : start + length] for key in ("input_ids", "labels", "category")}
            found.append(logits(model, [{**one, "seq_lengths": [length]}]))
            start += length
    return torch.cat(found)


def packed(model, examples: Examples) -> torch.Tensor:
    """Return the same for the rows as they are packed."""
    return torch.cat([logits(model, [row]) for row in examples.dataset])


@pytest.mark.parametrize("name", FAMILIES)
def test_an_example_has_the_logits_that_it_has_by_itself(name):
    model = build(name)
    train, _ = without_packing(model.config, TRAIN)
    examples = prepare(ROWS, tokenizer(), train)
    torch.testing.assert_close(packed(model, examples), apart(model, examples), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", APART)
def test_examples_that_stay_apart_are_packed(name):
    config = build(name).config
    assert without_packing(config, TRAIN) == (TRAIN, None)
    assert max(len(row["seq_lengths"]) for row in prepare(ROWS, tokenizer(), TRAIN).dataset) > 1


@pytest.mark.parametrize("name", STATEFUL | UNMASKED)
def test_others_are_not_packed_since_that_changes_them(name):
    model = build(name)
    train, line = without_packing(model.config, TRAIN)
    assert not train.packing
    assert "train.packing" in str(line)
    examples = prepare(ROWS, tokenizer(), TRAIN)
    assert (packed(model, examples) - apart(model, examples)).abs().max() > 1e-4


@pytest.mark.parametrize("name", FAMILIES)
def test_a_state_is_read_from_the_configuration_and_masks_are_tried_out(name):
    config = build(name).config
    assert any(map(keeps_state, layer_kinds(config))) == (name in STATEFUL)
    assert examples_stay_apart(config) == (name in APART)
    assert (why_not_packed(config) is None) == (name in APART)


def test_trying_out_changes_neither_the_configuration_nor_the_random_numbers():
    config = APART["Gemma 3 with vision"]()
    before = config.to_dict()
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    examples_stay_apart(config)
    assert torch.equal(torch.rand(3), wanted)
    assert config.to_dict() == before


def test_a_model_that_cannot_be_tried_out_is_not_packed(monkeypatch):
    config = APART["Qwen3"]()
    kind, _ = language_model(config)

    def refuse(self, *_, **__):
        raise ValueError("token_type_ids are needed")

    monkeypatch.setattr(kind, "forward", refuse)
    assert examples_stay_apart(config) is None


def test_what_is_not_packed_by_the_profile_is_not_tried_out():
    train = TRAIN.model_copy(update={"packing": False})
    assert without_packing(object(), train) == (train, None)
