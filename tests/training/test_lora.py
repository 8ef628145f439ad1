"""A merged model gives the logits of its adapter, even for tied layers."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, Qwen3MoeConfig, Zamba2Config, ZambaConfig, set_seed

from alloy.core.files import InputError, read_json
from alloy.modeling.model_folder import load_weights
from alloy.training.check_model import check_model
from alloy.training.job import TrainingJob
from alloy.training.lora import attach_adapter, merge_adapter
from alloy.training.save_model import save_trained_model
from alloy.training.settings import Lora, Method, Train
from model_families import APART, EXPERTS, FAMILIES, SIZES, STATEFUL, build_model
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


@pytest.mark.parametrize(
    ("targets", "wrong"),
    [
        (["q_proj", "v_porj"], "'v_porj'"),
        (["all-linear", "lm_head"], "all-linear"),
        (["gate_proj", "up_proj", "experts"], "'experts'"),
        (["q_proj", ""], "''"),
    ],
)
def test_every_target_must_match_a_layer(targets, wrong):
    with pytest.raises(InputError, match=rf"^train\.lora\.targets: {wrong} "):
        attach_adapter(make_tiny_model(tied=True), Lora(targets=targets))


def test_a_target_that_matches_only_layers_without_adapter_is_an_error():
    """The output layer of a state space block, and layers of a vision tower, get no adapter."""
    for name, target in (("Falcon-H1", "out_proj"), ("Gemma 3 with vision", "fc1")):
        with pytest.raises(InputError, match=rf"^train\.lora\.targets: '{target}' "):
            attach_adapter(build_model(name), Lora(targets=["q_proj", target]))


def test_targets_that_peft_turns_into_stacked_experts_match():
    config = Qwen3MoeConfig(**SIZES, **EXPERTS, num_hidden_layers=2, head_dim=16)
    model = attach_adapter(AutoModelForCausalLM.from_config(config), Lora(targets=["gate_proj", "up_proj", "q_proj"]))
    adapted = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert any(".experts." in name for name in adapted) and any(".q_proj." in name for name in adapted)


# Families in which several layers share the weights of one attention block.
ZAMBA = {"num_hidden_layers": 6, "mamba_d_state": 8}
SHARING = {
    "Zamba": lambda: ZambaConfig(**SIZES, **ZAMBA, attn_layer_period=2, attn_layer_offset=1, n_mamba_heads=2),
    "Zamba 2": lambda: Zamba2Config(
        **SIZES,
        **ZAMBA,
        layers_block_type=["mamba", "hybrid"] * 3,
        mamba_headdim=16,
        n_mamba_heads=4,
        mamba_ngroups=1,
        num_mem_blocks=1,
        adapter_rank=4,
        use_shared_attention_adapter=False,
    ),
}


@pytest.mark.parametrize("targets", [["all-linear"], ["q_proj"], ["lm_head"]], ids=lambda targets: targets[0])
@pytest.mark.parametrize("name", SHARING)
def test_layers_that_share_weights_cannot_have_adapters(name, targets):
    train = Train(lr=1e-3, max_length=64, method=Method.lora, lora=Lora(targets=targets))
    with pytest.raises(InputError, match=r"^train\.lora\.targets: .*\.layers\.\d\.shared_transf"):
        check_model(SHARING[name](), train)


@pytest.mark.parametrize("name", SHARING)
def test_layers_with_their_own_weights_can_be_merged_if_others_share_theirs(tmp_path, name):
    def build():
        set_seed(0)
        return AutoModelForCausalLM.from_config(SHARING[name]()).eval()

    model = add_adapter(build(), ["in_proj"])
    expected = compute_logits(model)
    assert (expected - compute_logits(build())).abs().max() > 1e-3
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    torch.testing.assert_close(compute_logits(merge_adapter(build(), tmp_path)), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_without_shared_layers_are_accepted_with_all_linear_layers(name):
    check_model(FAMILIES[name](), Train(lr=1e-3, max_length=64, method=Method.lora))
