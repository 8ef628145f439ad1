"""Attention within each example gives the results of transformers' mask for packed rows."""

import copy

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    set_seed,
)

from alloy.training import packed_attention
from alloy.training.packing import flatten_rows, flatten_rows_with_lengths, prepare_examples
from alloy.training.settings import Train
from tiny_model import ROWS, make_tokenizer

SIZES = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "mistral": MistralConfig(**SIZES, sliding_window=None),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=16),
    "qwen3_moe": Qwen3MoeConfig(**SIZES, head_dim=16, moe_intermediate_size=32, num_experts=4, num_experts_per_tok=2),
}


def make_model(config):
    set_seed(0)
    return AutoModelForCausalLM.from_config(config)


def compute_loss_and_gradients(model, rows, collate):
    model.zero_grad()
    batch = collate(rows)
    labels, _ = batch.pop("labels"), batch.pop("category")
    loss = torch.nn.functional.cross_entropy(model(**batch, use_cache=False).logits[0], labels[0])
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("name", CONFIGS)
def test_losses_and_gradients_equal_those_with_a_mask(name):
    rows = list(prepare_examples(ROWS, make_tokenizer(), Train(lr=1e-3, max_length=128)).dataset.select(range(3)))
    assert max(len(row["seq_lengths"]) for row in rows) > 1
    masked = make_model(CONFIGS[name])
    assert packed_attention.supports_packed_attention(masked.config)
    packed = copy.deepcopy(masked)
    packed_attention.enable_packed_attention(packed)
    for expected, found in zip(
        compute_loss_and_gradients(masked, rows, flatten_rows),
        compute_loss_and_gradients(packed, rows, flatten_rows_with_lengths),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        MistralConfig(**SIZES, sliding_window=8),
        GPT2Config(vocab_size=320, n_embd=32, n_layer=1, n_head=2),
        LlamaConfig(**SIZES, attention_dropout=0.1),
    ],
    ids=["a sliding window", "another interface", "dropout"],
)
def test_models_with_other_attention_keep_the_mask(config):
    assert not packed_attention.supports_packed_attention(config)
