"""Attention of many rows over a prefix that they share, computed once, and over the tokens of each row itself.

The scores of all queries over the prefix are one matrix product, whatever the number of rows (Juravsky et al. 2024,
"Hydragen: High-Throughput LLM Inference with Shared Prefixes"). Rows are not padded: the new tokens of all rows form
one sequence, and a row may have one new token or many.

Algorithm, per layer:

1. Store the keys and values of the new tokens in the cache of their rows.
2. Attend to the prefix: one softmax over its keys gives a mean of its values, and the log-sum-exp of the scores, a.
3. Attend to the row's own tokens in the same way: another mean of values, and log-sum-exp b. Later tokens of the row
   are masked out.
4. The softmax over both is the weighted sum of the two means. The weight of the prefix is
   exp(a) / (exp(a) + exp(b)) = sigmoid(a - b).

Example: with scores log 3 (prefix) and log 1 (own token), a - b = log 3, and the weights are 3/4 and 1/4, as in one
softmax over both scores.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from alloy.core.files import InputError
from alloy.modeling.architecture import FULL, get_layer_types

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

NAME = "alloy_shared_prefix"
MAX_SCORES = 2**24  # attention scores in memory at a time: 64 MiB in float32


@dataclass(frozen=True)
class Step:
    """Where the tokens of one forward pass belong. `Step.for_rows` and `Step.for_branches` make it.

    Per row (rows,):
        slots: its slot in the cache.
        last_indices: the index of its last new token in the sequence.
    Per token (tokens,):
        row: the index of its row in `slots`.
        offset: its index among the new tokens of its row.
        cache_index: its index in the slot.
    In all:
        max_new: the largest number of new tokens of a row.
        max_length: the largest number of tokens of a row, those in the cache included.
    Per token (tokens,), only for rows with branches:
        stem_end, branch_start: a token sees the cache below `stem_end`, and from `branch_start` up to itself. Without
            branches it sees all tokens of its row up to itself.
    """

    slots: torch.Tensor
    last_indices: torch.Tensor
    row: torch.Tensor
    offset: torch.Tensor
    cache_index: torch.Tensor
    max_new: int
    max_length: int
    stem_end: torch.Tensor | None = None
    branch_start: torch.Tensor | None = None

    @classmethod
    def for_rows(cls, slots: list[int], cached: list[int], counts: list[int], device: torch.device) -> "Step":
        """Return the step that adds `counts` new tokens to slots that hold `cached` tokens."""
        new = torch.tensor(counts)
        row = torch.repeat_interleave(torch.arange(len(slots)), new)
        last_indices = new.cumsum(0) - 1
        offset = torch.arange(len(row)) - (last_indices + 1 - new)[row]
        cache_index = torch.tensor(cached)[row] + offset
        tensors = (tensor.to(device) for tensor in (torch.tensor(slots), last_indices, row, offset, cache_index))
        return cls(*tensors, max_new=max(counts), max_length=int(cache_index.max()) + 1)

    @classmethod
    def for_branches(cls, rows: list[tuple[int, list[int]]], device: torch.device) -> "Step":
        """Return the step that adds a stem to each empty slot, and after it the branches that continue the stem.

        `rows` has the length of the stem and the lengths of its branches. A token of a branch sees the stem and its own
        branch, as if the branch came directly after the stem.

        Example: the row (2, [1, 2]) has cache indices 0 1 | 2 | 3 4. Their positions are 0 1 | 2 | 2 3: both branches
        start at position 2.
        """
        counts = [stem + sum(branches) for stem, branches in rows]
        step = cls.for_rows(list(range(len(rows))), [0] * len(rows), counts, device)
        stem_ends, branch_starts = [], []
        for stem, branches in rows:
            start = stem
            stem_ends += [stem] * (stem + sum(branches))
            branch_starts += [0] * stem
            for length in branches:
                branch_starts += [start] * length
                start += length
        return replace(
            step,
            stem_end=torch.tensor(stem_ends, device=device),
            branch_start=torch.tensor(branch_starts, device=device),
        )

    @property
    def positions(self) -> torch.Tensor:
        """The position (tokens,) of each token after the prefix: its cache index without the branches it cannot see."""
        if self.stem_end is None or self.branch_start is None:
            return self.cache_index
        return self.cache_index - (self.branch_start - self.stem_end).clamp(min=0)


def find_unsupported_layers(model: "PreTrainedModel") -> list[str]:
    """Return the types of the layers of a model without full attention. Such layers cannot share a prefix."""
    return sorted(set(get_layer_types(model.config)) - {FULL})


def require_full_attention(config: "PreTrainedConfig") -> None:
    """Raise `InputError` if a model with this configuration has layers that cannot share a prefix."""
    if unsupported := sorted(set(get_layer_types(config)) - {FULL}):
        raise InputError(
            f"infer.engine: this model has layers of type {', '.join(unsupported)}, but the engine transformers "
            "supports full attention only; set infer.engine: vllm"
        )


class SharedPrefix:
    """Runs a model on rows that share a prefix.

    It holds the keys and values of the prefix, (key heads, prefix, width) per layer, and those of the rows after it.
    Call `reserve_slots` before `forward`: it allocates the cache of the rows and sets how much of the prefix is used.
    """

    def __init__(self, model: "PreTrainedModel", prefix: list[int]) -> None:
        """Run the model once over `prefix`, of at least one token."""
        require_full_attention(model.config)
        self.model: Any = model
        model.set_attn_implementation("sdpa")
        with torch.inference_mode():
            ids = torch.tensor([prefix], device=model.device)
            cache = self.model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        self.full_prefix = [(layer.keys[0], layer.values[0]) for layer in cache.layers]
        self.prefix = self.full_prefix
        self.cache: list[tuple[torch.Tensor, torch.Tensor]] = []
        _register_attention()
        model.set_attn_implementation(NAME)

    def reserve_slots(self, prefix_length: int, slots: int, capacity: int) -> None:
        """Allocate `slots` rows of up to `capacity` tokens after the first `prefix_length` tokens of the prefix."""
        self.prefix_length = prefix_length
        self.prefix = [(keys[:, :prefix_length], values[:, :prefix_length]) for keys, values in self.full_prefix]
        self.cache = []  # free the old cache before the new one is allocated
        self.cache = [
            (tensors[0].new_zeros(slots, heads, capacity, width), tensors[1].new_zeros(slots, heads, capacity, width))
            for tensors in self.prefix
            for heads, _, width in [tensors[0].shape]
        ]

    def forward(self, ids: list[int], step: Step, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Return the logits (rows, vocabulary) after the last new token of each row.

        `ids` are the new tokens of all rows. With `keep` (n,), indices into `ids`, return the logits (n, vocabulary)
        after these tokens instead.
        """
        with torch.inference_mode():
            output = self.model(
                input_ids=torch.tensor([ids], device=self.model.device),
                position_ids=(self.prefix_length + step.positions)[None],
                use_cache=False,
                logits_to_keep=step.last_indices if keep is None else keep,
                shared=self,
                step=step,
            )
        return output.logits[0]

    def attend_tokens(
        self, layer: int, step: Step, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Return the attention output (tokens, heads, width) of the new tokens.

        `query`, `key` and `value` are (heads, tokens, width). The steps are those at the top of this file.
        """
        keys, values = self.cache[layer]
        slot = step.slots[step.row]
        keys[slot, :, step.cache_index] = key.transpose(0, 1)
        values[slot, :, step.cache_index] = value.transpose(0, 1)
        grouped = query.unflatten(0, (len(key), -1))  # (key heads, query heads per key head, tokens, width)
        shared_output, shared_lse = _attend_prefix(grouped, *self.prefix[layer], scale)
        own_output, own_lse = self._attend_own_tokens(layer, step, grouped, scale)
        weight = torch.sigmoid(shared_lse - own_lse)[..., None].to(own_output.dtype)
        return torch.lerp(own_output, shared_output, weight).flatten(0, 1).transpose(0, 1)

    def _attend_own_tokens(
        self, layer: int, step: Step, query: torch.Tensor, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (output, log-sum-exp) of queries (key heads, groups, tokens, width) over the tokens of their rows."""
        keys, values = (tensor[:, :, : step.max_length] for tensor in self.cache[layer])
        row = step.slots[step.row]
        if 2 * len(step.slots) <= len(keys):  # copy the rows of this step; with more rows, computing all is cheaper
            keys, values, row = keys[step.slots], values[step.slots], step.row
        heads, groups, _, width = query.shape
        padded = query.new_zeros(len(keys), heads, groups, step.max_new, width)
        padded[row, :, :, step.offset] = query.permute(2, 0, 1, 3)
        last_visible = torch.full((len(keys), step.max_new), -1, device=query.device)
        last_visible[row, step.offset] = step.cache_index
        cache_indices = torch.arange(step.max_length, device=query.device)
        hidden = cache_indices > last_visible[..., None]
        if step.stem_end is not None and step.branch_start is not None:
            stem_end, branch_start = last_visible.new_zeros(hidden.shape[:2]), last_visible.new_zeros(hidden.shape[:2])
            stem_end[row, step.offset], branch_start[row, step.offset] = step.stem_end, step.branch_start
            hidden |= (cache_indices >= stem_end[..., None]) & (cache_indices < branch_start[..., None])
        scores = (padded.flatten(2, 3) * scale @ keys.mT).unflatten(2, (groups, -1))
        scores.masked_fill_(hidden[:, None, None], torch.finfo(scores.dtype).min)
        output, lse = _average_values(scores.flatten(2, 3), values)
        output, lse = output.unflatten(2, (groups, -1)), lse.unflatten(2, (groups, -1))
        return (
            output[row, :, :, step.offset].permute(1, 2, 0, 3),
            lse[row, :, :, step.offset].permute(1, 2, 0),
        )


def _average_values(scores: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of `values`, weighted by the softmax of `scores` (..., queries, keys), and their log-sum-exp."""
    scores = scores.float()
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp_()
    total = weights.sum(-1, keepdim=True)
    return (weights.to(values.dtype) @ values) / total.to(values.dtype), (top + total.log())[..., 0]


def _attend_prefix(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (output, log-sum-exp) of queries (key heads, groups, tokens, width) over the prefix."""
    heads, groups, tokens, _ = query.shape
    flat = query.flatten(1, 2)
    if flat.is_cpu:  # torch's kernel works block by block, without all scores in memory
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        output, lse = (part[0] for part in flash(flat[None], keys[None], values[None], scale=scale))
    else:
        block = max(1, MAX_SCORES // (heads * keys.shape[1]))
        parts = [_average_values(part * scale @ keys.mT, values) for part in flat.split(block, dim=1)]
        output, lse = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
    return output.unflatten(1, (groups, tokens)), lse.unflatten(1, (groups, tokens))


def _shared_prefix_attention(
    module: Any,  # noqa: ANN401 (an attention module of a transformers model)
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    shared: SharedPrefix,
    step: Step,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Implement transformers' attention interface; `shared` and `step` are arguments of the model's `forward`."""
    return shared.attend_tokens(module.layer_idx, step, query[0], key[0], value[0], scaling)[None], None


def _register_attention() -> None:
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _shared_prefix_attention)
