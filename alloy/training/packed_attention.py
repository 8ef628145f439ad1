"""Attention over packed rows on a CPU: each example by itself, so that no mask of all tokens by all tokens is made.

transformers gives torch's attention a dense mask for packed rows. On a CPU that costs time with the square of a row's
length, also for what the mask hides. Here each example has a causal attention of its own: the same losses and gradients
(tests/training/test_packed_attention.py) in less time (benchmarks/packed_attention.py). On a GPU the mask stays.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "alloy_packed"
PLAIN = ("llama", "mistral", "qwen2", "qwen3", "qwen3_moe")  # architectures that were tested


def attend(
    module: Any,  # noqa: ANN401 (a model's own attention)
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    example_lengths: list[int],
    **others: object,
) -> tuple[torch.Tensor, None]:
    """Be an attention of transformers: return (1, tokens, heads, width) for `query` (1, heads, tokens, width).

    `key` and `value` may have fewer heads. `example_lengths`, which sum to the tokens, comes as a keyword argument of
    the model's `forward`.
    """
    if others.get("softcap") is not None or others.get("s_aux") is not None or others.get("dropout"):
        raise AssertionError(f"{type(module).__name__} has an attention that packed rows know nothing of")
    parts = zip(*(tensor.split(example_lengths, dim=2) for tensor in (query, key, value)), strict=True)
    found = [scaled_dot_product_attention(*part, is_causal=True, scale=scaling, enable_gqa=True) for part in parts]
    return torch.cat(found, dim=2).transpose(1, 2), None


def fits(config: Any) -> bool:  # noqa: ANN401 (the fields are those of the model's own class)
    """Say whether all layers of a model have plain causal attention, by transformers' interface.

    Not those with a sliding window, a soft cap, attention sinks or dropout, nor those beside which others (convolution,
    state space) carry state from token to token.
    """
    return (
        config.model_type in PLAIN
        and set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        and getattr(config, "sliding_window", None) is None
        and config.attention_dropout == 0.0
    )


def use(model: "PreTrainedModel") -> None:
    """Let a model attend so; its `forward` then needs `example_lengths`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    model.set_attn_implementation(NAME)
