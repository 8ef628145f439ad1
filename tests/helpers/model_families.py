"""Tiny random models of families with different kinds of layers, with the vocabulary of the small tokenizer."""

from typing import Any

from transformers import (
    AutoModelForCausalLM,
    FalconH1Config,
    Gemma3Config,
    Gemma3TextConfig,
    GptOssConfig,
    GraniteMoeHybridConfig,
    Lfm2Config,
    OPTConfig,
    Qwen3_5TextConfig,
    Qwen3Config,
    Qwen3NextConfig,
    set_seed,
)

ENDS = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2}
SIZES: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,  # large, so that the logits of a token depend on each token that it attends to
    **ENDS,
}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "num_hidden_layers": 2,
    "layer_types": ["linear_attention", "full_attention"],
    "head_dim": 16,
}
EXPERTS = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


def make_gemma3_config(**text):
    """Return a configuration like Gemma 3 4B: sizes under `text_config`, and a vision tower."""
    layers = {"num_hidden_layers": 2, "head_dim": 16, "sliding_window": 16}
    text_sizes = {**SIZES, **layers, "layer_types": ["sliding_attention", "full_attention"], **text}
    return Gemma3Config(text_config=text_sizes, vision_config=VISION, **ENDS)


# Families in which packed examples are isolated: all layers are attention layers, and their masks separate examples.
APART = {
    "Qwen3": lambda: Qwen3Config(**SIZES, num_hidden_layers=2, head_dim=16),
    "Gemma 3": lambda: Gemma3TextConfig(
        **SIZES, num_hidden_layers=2, head_dim=16, sliding_window=8, layer_types=["sliding_attention", "full_attention"]
    ),
    "Gemma 3 with vision": make_gemma3_config,
}
# Families in which a layer carries a state from one example to the next.
STATEFUL = {
    "Qwen3.5": lambda: Qwen3_5TextConfig(**SIZES, **LINEAR),
    "Qwen3-Next": lambda: Qwen3NextConfig(**SIZES, **LINEAR, **EXPERTS, shared_expert_intermediate_size=16),
    "LFM2": lambda: Lfm2Config(**SIZES, num_hidden_layers=2, layer_types=["conv", "full_attention"]),
    "Falcon-H1": lambda: FalconH1Config(
        **SIZES, num_hidden_layers=2, head_dim=16, mamba_d_ssm=32, mamba_n_heads=2, mamba_d_head=16, mamba_d_state=16
    ),
    "Granite 4 H": lambda: GraniteMoeHybridConfig(
        **SIZES,
        shared_intermediate_size=64,
        num_hidden_layers=3,
        layer_types=["mamba", "attention", "mamba"],
        mamba_n_heads=4,
        mamba_d_head=16,
        mamba_d_state=16,
        num_local_experts=0,
        tie_word_embeddings=True,
    ),
}
# Families with only attention layers, in which the masks of transformers 5.19 do not separate examples.
UNMASKED = {
    "GPT-OSS": lambda: GptOssConfig(
        **SIZES, num_hidden_layers=2, head_dim=16, num_local_experts=2, num_experts_per_tok=2
    ),
    "OPT": lambda: OPTConfig(
        vocab_size=320, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=32
    ),
}
FAMILIES = APART | STATEFUL | UNMASKED


def build_model(name: str) -> Any:
    """Return the tiny model of a family with random weights, from a fixed seed."""
    set_seed(0)
    return AutoModelForCausalLM.from_config(FAMILIES[name]()).eval()
