"""Answers by transformers on this machine: the prompts' common beginning computed once, no padding, no idle row.

A row that has ended gives its place to the next comment; a token that the grammar forces costs no forward pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from alloy.inference.engine import CompiledConstraint, Completion, Done, Finish, Matcher, Request
from alloy.inference.prefix_attention import SharedPrefix, Step
from alloy.inference.settings import Infer
from alloy.modeling.architecture import read_context_length
from alloy.modeling.chat_template import common_length, encode, render_prompt

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PREFILL = 4096  # new tokens of a forward pass over prompts, about


@dataclass
class Row:
    """One answer in the making: `fresh` are tokens whose keys and values are not yet in `slot`, `held` counts the rest.

    `room` is how many tokens the answer may have.
    """

    number: int
    fresh: list[int]
    room: int
    prepared: Any = None
    slot: int = -1
    held: int = 0
    answer: list[int] = field(default_factory=list)
    matcher: Matcher | None = None
    finish: Finish | None = None


class TransformersEngine:
    """Answers greedily with a model on this machine."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        infer: Infer,
        common: list[int],
        constraint: CompiledConstraint | None = None,
    ) -> None:
        """`common`, the tokens that prompts begin with, is computed now; answers are held to `constraint`."""
        self.model: Any = model.eval()
        self.tokenizer: Any = tokenizer
        self.infer = infer
        self.constraint = constraint
        self.context = read_context_length(self.model.config)
        stops = self.model.generation_config.eos_token_id
        self.stops = {self.tokenizer.eos_token_id, *(stops if isinstance(stops, list) else [stops])}
        self.masks = constraint.masks(infer.batch_size) if constraint else None
        self.common = common
        self.shared = SharedPrefix(model, common)

    def complete(self, requests: list[Request], done: Done) -> list[Completion]:
        """Return one completion per request, in their order."""
        prompts = encode(self.tokenizer, [render_prompt(self.tokenizer, request.messages) for request in requests])
        return self.answer(prompts, [request.source for request in requests], done)

    def answer(self, prompts: list[list[int]], sources: Sequence[str | None], done: Done) -> list[Completion]:
        """Return one completion per prompt, which comes as tokens; its answer may quote the source.

        Each is given to `done` as it ends.
        """
        # Not more than `self.common`, whatever these comments are: a run that goes on computes the same numbers.
        common = common_length([self.common, *prompts, min(prompts, key=len)[:-1]])
        rows = [
            Row(number, prompt[common:], min(self.infer.max_new_tokens, self.context - len(prompt)))
            for number, prompt in enumerate(prompts)
        ]
        completions: dict[int, Completion] = {}

        def end(row: Row) -> None:
            completions[row.number] = Completion(
                self.tokenizer.decode(row.answer, skip_special_tokens=True),
                row.finish or Finish.stop,
                tokens_in=len(prompts[row.number]),
                cached_in=common,
                tokens_out=len(row.answer),
                reason=self._over(prompts[row.number]) if row.finish is Finish.context else "",
            )
            done(row.number, completions[row.number])

        for row, source in zip(rows, sources, strict=True):
            if row.room <= 0:
                row.finish = Finish.context
                end(row)
            elif self.constraint and source is not None:  # only for what is asked
                row.prepared = self.constraint.prepare(source)
        self._answer([row for row in rows if row.finish is None], common, end)
        return [completions[row.number] for row in rows]

    def _over(self, prompt: list[int]) -> str:
        return f"the prompt has {len(prompt)} tokens, the model's context {self.context}"

    def _answer(self, pending: list[Row], common: int, end: Callable[[Row], object]) -> None:
        """Answer all behind `common` tokens; the longest first, so that too large a batch fails at once."""
        pending = sorted(pending, key=lambda row: len(row.fresh))
        slots = min(self.infer.batch_size, len(pending))
        self.shared.reserve(common, slots, max((len(row.fresh) + row.room for row in pending), default=0))
        free, active = list(range(slots)), list[Row]()
        while pending or active:
            group = active
            if pending and (4 * len(free) >= slots or not active):
                group = self._admit(pending, free)
                active = sorted([*active, *group], key=lambda row: row.slot)
            counts = [len(row.fresh) for row in group]
            step = Step.of([row.slot for row in group], [row.held for row in group], counts, self.model.device)
            self._choose(group, self.shared.forward([token for row in group for token in row.fresh], step))
            for row in (row for row in group if row.finish):
                free.append(row.slot)
                end(row)
            active = [row for row in active if not row.finish]

    def _admit(self, pending: list[Row], free: list[int]) -> list[Row]:
        """Take as many rows as there are slots and a forward pass takes tokens, one at least."""
        group: list[Row] = []
        while (
            pending and free and (not group or sum(len(row.fresh) for row in group) + len(pending[-1].fresh) <= PREFILL)
        ):
            row = pending.pop()
            row.slot = free.pop()
            if self.constraint:
                row.matcher = self.constraint.match(row.prepared)
                self._force(row)
            group.append(row)
        return group

    def _choose(self, group: list[Row], logits: torch.Tensor) -> None:
        """Append the likeliest token that is allowed to each row, and those that must follow it."""
        if self.constraint and self.masks is not None:
            masks = self.masks[[row.slot for row in group]].to(logits.device)
            self.constraint.apply(logits, masks)
        for row, token in zip(group, logits.argmax(-1).tolist(), strict=True):
            row.held += len(row.fresh)
            row.fresh = []
            self._append(row, token)
            self._force(row)

    def _append(self, row: Row, token: int) -> None:
        if token in self.stops:
            row.finish = Finish.stop
            return
        row.answer.append(token)
        row.fresh.append(token)
        if row.matcher:
            row.matcher.accept(token)
            if row.matcher.ended:
                row.finish = Finish.stop
                return
        if len(row.answer) >= row.room:
            row.finish = Finish.length

    def _force(self, row: Row) -> None:
        """Append what has no alternative, and leave the mask of what has."""
        while row.matcher and self.masks is not None and row.finish is None:
            row.matcher.fill(self.masks, row.slot)
            token = only_token(self.masks[row.slot].numpy())
            if token is None:
                return
            self._append(row, token)


def only_token(mask: "np.ndarray") -> int | None:
    """Return the one token that `mask` (words of 32 tokens) allows, or None where there is a choice."""
    (words,) = mask.nonzero()
    if len(words) != 1:
        return None
    bits = int(mask[words[0]]) & 0xFFFFFFFF
    return int(words[0]) * 32 + bits.bit_length() - 1 if bits & (bits - 1) == 0 else None
