"""Block attention over packed rows on a CPU: each example is computed separately, without a mask.

For packed rows, transformers passes a dense mask to torch's attention. On a CPU that takes time with the square of the
row's length, even for pairs of tokens that the mask hides.

Algorithm, for one row:

1. Split queries, keys and values into the examples, by their lengths.
2. Compute causal attention for each example.
3. Concatenate the outputs.

Example: two examples of 500 tokens take 2 * 500^2 = 500,000 pairs of tokens instead of 1000^2 = 1,000,000.

Losses and gradients are the same (tests/training/test_packed_attention.py), in less time
(benchmarks/packed_attention.py). On a GPU the mask is used.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "alloy_packed"
TESTED_MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3", "qwen3_moe")  # architectures that were tested


def packed_attention_forward(
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
    """Implement transformers' attention interface: return (1, tokens, heads, width).

    `query` is (1, heads, tokens, width); `key` and `value` may have fewer heads. `example_lengths`, which add up to the
    tokens, is a keyword argument of the model's `forward`.
    """
    if others.get("softcap") is not None or others.get("s_aux") is not None or others.get("dropout"):
        raise AssertionError(f"{type(module).__name__} has a soft cap, sinks or dropout: not supported here")
    examples = zip(*(tensor.split(example_lengths, dim=2) for tensor in (query, key, value)), strict=True)
    outputs = [
        scaled_dot_product_attention(*example, is_causal=True, scale=scaling, enable_gqa=True) for example in examples
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def supports_packed_attention(config: Any) -> bool:  # noqa: ANN401 (the fields are those of the model's own class)
    """Return whether all layers of a model have plain causal attention, through transformers' attention interface.

    False with a sliding window, a soft cap, attention sinks or dropout, and with layers that carry a state from token
    to token (convolution, state space).
    """
    return (
        config.model_type in TESTED_MODEL_TYPES
        and set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        and getattr(config, "sliding_window", None) is None
        and config.attention_dropout == 0.0
    )


def enable_packed_attention(model: "PreTrainedModel") -> None:
    """Make a model use this attention; its `forward` then needs the argument `example_lengths`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention_forward)
    model.set_attn_implementation(NAME)
