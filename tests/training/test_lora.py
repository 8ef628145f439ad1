"""A merged model gives the logits of its adapter, even for tied layers."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, set_seed

from alloy.core.files import read_json
from alloy.modeling.model_folder import load_weights
from alloy.training.job import TrainingJob
from alloy.training.lora import attach_adapter, merge_adapter
from alloy.training.save_model import save_trained_model
from alloy.training.settings import Lora, Method, Train
from model_families import APART, STATEFUL, build_model
from tiny_model import make_tokenizer

IDS = torch.arange(10, 30)[None]
TARGETS = {
    "the output layer": ["q_proj", "lm_head"],
    "the embeddings": ["q_proj", "embed_tokens"],
    "neither": ["q_proj"],
    "all linear layers": ["all-linear"],
}


def make_tiny_model(tied: bool):
    config = APART["Qwen3"]()
    config.tie_word_embeddings = tied
    set_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def add_adapter(model, targets: list[str]) -> PeftModel:
    """Return the model with an adapter that changes it."""
    found = attach_adapter(model, Lora(rank=2, targets=targets))
    set_seed(1)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    return found.eval()


def compute_logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


class Trainer:
    """The attributes of a trainer that `save_trained_model` uses."""

    def __init__(self, model) -> None:
        self.model, self.accelerator = model, self

    def unwrap_model(self, model):
        return model


@pytest.mark.parametrize("targets", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_saved_merged_model_has_the_logits_of_its_adapter(tmp_path, tied, targets):
    model = add_adapter(make_tiny_model(tied), targets)
    expected = compute_logits(model)
    assert (expected - compute_logits(make_tiny_model(tied))).abs().max() > 0.01
    train = Train(lr=1e-3, method=Method.lora, lora=Lora(rank=2, targets=targets))
    base = make_tiny_model(tied)
    job = TrainingJob(
        stage="train",
        section="train",
        key="",
        train=train,
        seed=0,
        config=base.config,
        tokenizer=make_tokenizer(),
        load_model=lambda _: base,
        output=tmp_path,
    )
    save_trained_model(job, Trainer(model), tmp_path / "out", {})
    loaded = load_weights(tmp_path / "out", torch.float32).eval()
    torch.testing.assert_close(compute_logits(loaded), expected, atol=1e-4, rtol=1e-4)
    adapts_tied_layer = targets in (TARGETS["the output layer"], TARGETS["the embeddings"])
    assert read_json(tmp_path / "out/config.json")["tie_word_embeddings"] == (tied and not adapts_tied_layer)


@pytest.mark.parametrize("targets", TARGETS.values(), ids=TARGETS)
def test_an_adapter_that_is_not_merged_has_the_same_logits_on_a_tied_base(tmp_path, targets):
    model = add_adapter(make_tiny_model(tied=True), targets)
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    assert torch.equal(
        compute_logits(merge_adapter(make_tiny_model(tied=True), tmp_path)), compute_logits(model.merge_and_unload())
    )


@pytest.mark.parametrize("name", ["Gemma 3 with vision", *STATEFUL])
@pytest.mark.parametrize("targets", [["all-linear"], ["q_proj", "v_proj"]], ids=["all", "some"])
def test_adapters_of_stateful_and_vision_models_are_on_text_layers_and_can_be_merged(tmp_path: Path, name, targets):
    before = compute_logits(build_model(name))
    model = add_adapter(build_model(name), targets)
    names = [key for key, parameter in model.named_parameters() if parameter.requires_grad]
    assert names and not [key for key in names if "vision" in key or "multi_modal" in key]
    expected = compute_logits(model)
    assert (expected - before).abs().max() > 1e-4
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    torch.testing.assert_close(
        compute_logits(merge_adapter(build_model(name), tmp_path)), expected, atol=1e-3, rtol=1e-3
    )
