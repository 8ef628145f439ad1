"""A model that does not fit the section `train` is refused by its configuration alone."""

import pytest

from alloy.core.files import InputError
from alloy.training.check_model import check_model, check_scratch
from alloy.training.settings import Lora, Method, Train
from families import APART, gemma3_with_vision
from small import SCRATCH


@pytest.mark.parametrize("config", [APART["Qwen3"](), gemma3_with_vision()], ids=["flat", "below text_config"])
def test_rows_beyond_the_context_are_refused(config):
    check_model(config, Train(lr=1e-3, max_length=256))
    with pytest.raises(InputError, match=r"^train\.max_length: 257 .* 256 tokens"):
        check_model(config, Train(lr=1e-3, max_length=257))


def test_a_new_model_must_hold_its_own_rows_and_those_of_train():
    check_scratch(SCRATCH, Train(lr=1e-3, max_length=256))
    with pytest.raises(InputError, match=r"^train\.max_length: 257 "):
        check_scratch(SCRATCH, Train(lr=1e-3, max_length=257))
    own = SCRATCH.model_copy(update={"train": Train(lr=1e-3, max_length=300)})
    with pytest.raises(InputError, match=r"^model\.scratch\.train\.max_length: 300 "):
        check_scratch(own, Train(lr=1e-3, max_length=64))


@pytest.mark.parametrize("config", [APART["Qwen3"](), gemma3_with_vision()], ids=["flat", "below text_config"])
def test_targets_of_lora_must_be_layers_of_the_model(config):
    lora = {"lr": 1e-3, "max_length": 64, "method": Method.lora}
    check_model(config, Train(**lora, lora=Lora(targets=["q_proj", "lm_head"])))
    with pytest.raises(InputError, match=r"^train\.lora\.targets: .*no_such_layer"):
        check_model(config, Train(**lora, lora=Lora(targets=["no_such_layer"])))
