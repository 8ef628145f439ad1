"""Attention of many rows over a prefix that all share, computed once, and over the tokens that are each row's own.

All rows' queries meet the prefix in one matrix product, whatever the number of rows (Juravsky et al. 2024, "Hydragen");
the two parts are joined by their log-sum-exp, which gives the softmax over both. Rows need no padding: their new tokens
stand one behind the other in one sequence, and a row may bring one token or many.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from alloy.core.files import InputError
from alloy.modeling.architecture import FULL, layer_kinds

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

NAME = "alloy_shared_prefix"
SCORES = 2**24  # attention scores held at once: 64 MiB in float32


@dataclass(frozen=True)
class Step:
    """Where the tokens of one forward pass belong: `slots` (rows,) of the cache, the `last` (rows,) token of each.

    Of each token (tokens,): `row` among `slots`, `within` the row's new tokens, `place` in the row's own part. `most`
    is the largest number of new tokens of a row, `longest` that of tokens of its own.

    Rows that branch have two more (tokens,): a token sees only the places of its row below `stem` and from `branch` on.
    Without them it sees all places up to its own.
    """

    slots: torch.Tensor
    last: torch.Tensor
    row: torch.Tensor
    within: torch.Tensor
    place: torch.Tensor
    most: int
    longest: int
    stem: torch.Tensor | None = None
    branch: torch.Tensor | None = None

    @classmethod
    def of(cls, slots: list[int], starts: list[int], counts: list[int], device: torch.device) -> "Step":
        """Return the step in which the slots, whose own parts have `starts` tokens, get `counts` more."""
        new = torch.tensor(counts)
        row = torch.repeat_interleave(torch.arange(len(slots)), new)
        last = new.cumsum(0) - 1
        within = torch.arange(len(row)) - (last + 1 - new)[row]
        place = torch.tensor(starts)[row] + within
        tensors = (tensor.to(device) for tensor in (torch.tensor(slots), last, row, within, place))
        return cls(*tensors, most=max(counts), longest=int(place.max()) + 1)

    @classmethod
    def of_branches(cls, rows: list[tuple[int, list[int]]], device: torch.device) -> "Step":
        """Return the step in which each slot gets a stem and the branches that go on from it, one after another.

        `rows` has the length of the stem and those of the branches. A token of a branch sees the stem and its own
        branch, as if the branch came right after the stem.

        Example: one row (2, [1, 2]) has the places 0 to 4, its tokens stand at the positions 0 1 | 2 | 2 3.
        """
        step = cls.of(list(range(len(rows))), [0] * len(rows), [stem + sum(ends) for stem, ends in rows], device)
        stems, branches = [], []
        for stem, lengths in rows:
            start = stem
            stems += [stem] * (stem + sum(lengths))
            branches += [0] * stem
            for length in lengths:
                branches += [start] * length
                start += length
        return replace(step, stem=torch.tensor(stems, device=device), branch=torch.tensor(branches, device=device))

    @property
    def position(self) -> torch.Tensor:
        """The position (tokens,) of each token behind the prefix: its place, less the branches that it does not see."""
        if self.stem is None or self.branch is None:
            return self.place
        return self.place - (self.branch - self.stem).clamp(min=0)


def other_layers(model: "PreTrainedModel") -> list[str]:
    """Return the kinds of layers of a model that have no full attention, which a prefix is not shared by."""
    return sorted(set(layer_kinds(model.config)) - {FULL})


def require_full_attention(config: "PreTrainedConfig") -> None:
    """Raise `InputError` if a model of this configuration has layers that share no prefix."""
    if others := sorted(set(layer_kinds(config)) - {FULL}):
        raise InputError(
            f"infer.engine: this model has layers of {', '.join(others)}, and transformers here knows full "
            "attention alone; set infer.engine: vllm"
        )


class SharedPrefix:
    """Keys and values of a prefix, (key heads, prefix, width) a layer, and of rows behind it.

    `reserve` makes room for the rows, and says how much of the prefix they share.
    """

    def __init__(self, model: "PreTrainedModel", prefix: list[int]) -> None:
        """Run the model once over `prefix`, of one token at least."""
        require_full_attention(model.config)
        self.model: Any = model
        model.set_attn_implementation("sdpa")
        with torch.inference_mode():
            ids = torch.tensor([prefix], device=model.device)
            cache = self.model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        self.whole = [(layer.keys[0], layer.values[0]) for layer in cache.layers]
        self.prefix = self.whole
        self.rows: list[tuple[torch.Tensor, torch.Tensor]] = []
        _register()
        model.set_attn_implementation(NAME)

    def reserve(self, length: int, slots: int, capacity: int) -> None:
        """Make room for `slots` rows of up to `capacity` tokens behind the first `length` tokens of the prefix."""
        self.prefix_length = length
        self.prefix = [(keys[:, :length], values[:, :length]) for keys, values in self.whole]
        self.rows = []  # before the new room is taken
        self.rows = [
            (tensors[0].new_zeros(slots, heads, capacity, width), tensors[1].new_zeros(slots, heads, capacity, width))
            for tensors in self.prefix
            for heads, _, width in [tensors[0].shape]
        ]

    def forward(self, ids: list[int], step: Step, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Return the logits (rows, vocabulary) behind the last new token of each row; `ids` are those of all rows.

        `keep` (places,) asks for those behind other tokens, by their place in `ids`: (places, vocabulary).
        """
        with torch.inference_mode():
            output = self.model(
                input_ids=torch.tensor([ids], device=self.model.device),
                position_ids=(self.prefix_length + step.position)[None],
                use_cache=False,
                logits_to_keep=step.last if keep is None else keep,
                shared=self,
                step=step,
            )
        return output.logits[0]

    def attend(
        self, layer: int, step: Step, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Return (tokens, heads, width): what the new tokens find; `query`, `key`, `value`: (heads, tokens, width)."""
        keys, values = self.rows[layer]
        slot = step.slots[step.row]
        keys[slot, :, step.place] = key.transpose(0, 1)
        values[slot, :, step.place] = value.transpose(0, 1)
        grouped = query.unflatten(0, (len(key), -1))  # by the head of the key
        shared, shared_weight = _over_prefix(grouped, *self.prefix[layer], scale)
        own, own_weight = self._own(layer, step, grouped, scale)
        share = torch.sigmoid(shared_weight - own_weight)[..., None].to(own.dtype)
        return torch.lerp(own, shared, share).flatten(0, 1).transpose(0, 1)

    def _own(self, layer: int, step: Step, query: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the queries (key heads, groups, tokens, width) find in their own rows, and its log weight."""
        keys, values = (tensor[:, :, : step.longest] for tensor in self.rows[layer])
        row = step.slots[step.row]
        if 2 * len(step.slots) <= len(keys):  # else it is cheaper to let the others idle than to copy
            keys, values, row = keys[step.slots], values[step.slots], step.row
        heads, groups, _, width = query.shape
        padded = query.new_zeros(len(keys), heads, groups, step.most, width)
        padded[row, :, :, step.within] = query.permute(2, 0, 1, 3)
        seen = torch.full((len(keys), step.most), -1, device=query.device)  # the last place that a query sees
        seen[row, step.within] = step.place
        places = torch.arange(step.longest, device=query.device)
        hidden = places > seen[..., None]
        if step.stem is not None and step.branch is not None:
            stem, branch = seen.new_zeros(seen.shape), seen.new_zeros(seen.shape)
            stem[row, step.within], branch[row, step.within] = step.stem, step.branch
            hidden |= (places >= stem[..., None]) & (places < branch[..., None])
        scores = (padded.flatten(2, 3) * scale @ keys.mT).unflatten(2, (groups, -1))
        scores.masked_fill_(hidden[:, None, None], torch.finfo(scores.dtype).min)
        found, weight = _weigh(scores.flatten(2, 3), values)
        found, weight = found.unflatten(2, (groups, -1)), weight.unflatten(2, (groups, -1))
        return (
            found[row, :, :, step.within].permute(1, 2, 0, 3),
            weight[row, :, :, step.within].permute(1, 2, 0),
        )


def _weigh(scores: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of `values` by the softmax of `scores` (.., queries, keys), and the log of its denominator."""
    scores = scores.float()
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp_()
    total = weights.sum(-1, keepdim=True)
    return (weights.to(values.dtype) @ values) / total.to(values.dtype), (top + total.log())[..., 0]


def _over_prefix(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the queries (key heads, groups, tokens, width) find in the prefix, and its log weight."""
    heads, groups, tokens, _ = query.shape
    flat = query.flatten(1, 2)
    if flat.is_cpu:  # block by block in the cache, without all scores in memory
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        found, weight = (part[0] for part in flash(flat[None], keys[None], values[None], scale=scale))
    else:
        block = max(1, SCORES // (heads * keys.shape[1]))
        parts = [_weigh(part * scale @ keys.mT, values) for part in flat.split(block, dim=1)]
        found, weight = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
    return found.unflatten(1, (groups, tokens)), weight.unflatten(1, (groups, tokens))


def _attention(
    module: Any,  # noqa: ANN401 (a model's own attention)
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
    """Be an attention of transformers; the rows come as the keyword arguments of the model's `forward`."""
    return shared.attend(module.layer_idx, step, query[0], key[0], value[0], scaling)[None], None


def _register() -> None:
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
