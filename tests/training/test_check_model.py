"""A model that does not fit the section `train` is an error before its weights are loaded."""

import pytest

from alloy.core.files import InputError
from alloy.training.check_model import check_model, check_scratch
from alloy.training.settings import Lora, Method, Train
from model_families import APART, make_gemma3_config
from tiny_model import SCRATCH


@pytest.mark.parametrize("config", [APART["Qwen3"](), make_gemma3_config()], ids=["flat", "below text_config"])
def test_rows_longer_than_the_context_are_an_error(config):
    check_model(config, Train(lr=1e-3, max_length=256))
    with pytest.raises(InputError, match=r"^train\.max_length: .*\b256\b.* got 257"):
        check_model(config, Train(lr=1e-3, max_length=257))


def test_the_context_of_a_new_model_must_fit_the_rows_of_both_training_runs():
    check_scratch(SCRATCH, Train(lr=1e-3, max_length=256))
    with pytest.raises(InputError, match=r"^train\.max_length: .*\b256\b.* got 257"):
        check_scratch(SCRATCH, Train(lr=1e-3, max_length=257))
    scratch = SCRATCH.model_copy(update={"train": Train(lr=1e-3, max_length=300)})
    with pytest.raises(InputError, match=r"^model\.scratch\.train\.max_length: .*\b256\b.* got 300"):
        check_scratch(scratch, Train(lr=1e-3, max_length=64))


@pytest.mark.parametrize("config", [APART["Qwen3"](), make_gemma3_config()], ids=["flat", "below text_config"])
def test_targets_of_lora_must_be_layers_of_the_model(config):
    lora = {"lr": 1e-3, "max_length": 64, "method": Method.lora}
    check_model(config, Train(**lora, lora=Lora(targets=["q_proj", "lm_head"])))
    with pytest.raises(InputError, match=r"^train\.lora\.targets: .*no_such_layer"):
        check_model(config, Train(**lora, lora=Lora(targets=["no_such_layer"])))


def test_targets_of_lora_must_be_layers_of_a_new_model():
    lora = {"lr": 1e-3, "max_length": 64, "method": Method.lora}
    check_scratch(SCRATCH, Train(**lora, lora=Lora(targets=["q_proj"])))
    with pytest.raises(InputError, match=r"^train\.lora\.targets: .*no_such_layer"):
        check_scratch(SCRATCH, Train(**lora, lora=Lora(targets=["no_such_layer"])))
