"""An engine for transformers on this machine.

It is faster than `generate` in four ways:

- The common prefix of all prompts is computed once (`prefix_attention.py`).
- Rows are not padded.
- A row that has ended makes room for the next prompt (continuous batching, Yu et al. 2022, "Orca").
- A token that the grammar forces needs no forward pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from alloy.inference.engine import CompiledConstraint, Completion, Finish, Matcher, OnCompletion, Request
from alloy.inference.prefix_attention import SharedPrefix, Step
from alloy.inference.settings import Infer
from alloy.modeling.architecture import read_context_length
from alloy.modeling.chat_template import encode, find_common_length, render_prompt

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PREFILL_TOKENS = 4096  # approximate number of new tokens per forward pass over prompts


@dataclass
class Generation:
    """One answer that is being generated.

    `index` is the index of its prompt. The keys and values of `cached` tokens are in the cache `slot`; those of
    `new_tokens` are computed by the next forward pass. The answer may have up to `max_tokens` tokens.
    """

    index: int
    new_tokens: list[int]
    max_tokens: int
    prepared: Any = None
    slot: int = -1
    cached: int = 0
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
        common_prefix: list[int],
        constraint: CompiledConstraint | None = None,
    ) -> None:
        """Compute `common_prefix`, the tokens that all prompts start with. Answers follow the `constraint`, if any."""
        self.model: Any = model.eval()
        self.tokenizer: Any = tokenizer
        self.infer = infer
        self.constraint = constraint
        self.context = read_context_length(self.model.config)
        stops = self.model.generation_config.eos_token_id
        self.stop_tokens = {self.tokenizer.eos_token_id, *(stops if isinstance(stops, list) else [stops])}
        self.masks = constraint.allocate_masks(infer.batch_size) if constraint else None
        self.common_prefix = common_prefix
        self.shared = SharedPrefix(model, common_prefix)

    def complete(self, requests: list[Request], on_completion: OnCompletion) -> list[Completion]:
        """Return one completion per request, in the same order; call `on_completion` with each when it ends."""
        prompts = encode(self.tokenizer, [render_prompt(self.tokenizer, request.messages) for request in requests])
        return self.generate_answers(prompts, [request.source for request in requests], on_completion)

    def generate_answers(
        self, prompts: list[list[int]], sources: Sequence[str | None], on_completion: OnCompletion
    ) -> list[Completion]:
        """Return one completion per prompt (token ids); call `on_completion` with each when it ends.

        An answer may quote the source of its prompt; without a source it is not constrained.
        """
        # Never longer than `self.common_prefix`, even if these prompts share more, so that a resumed run computes the
        # same numbers.
        prefix_length = find_common_length([self.common_prefix, *prompts, min(prompts, key=len)[:-1]])
        rows = [
            Generation(index, prompt[prefix_length:], min(self.infer.max_new_tokens, self.context - len(prompt)))
            for index, prompt in enumerate(prompts)
        ]
        completions: dict[int, Completion] = {}

        def finish_row(row: Generation) -> None:
            completions[row.index] = Completion(
                self.tokenizer.decode(row.answer, skip_special_tokens=True),
                row.finish or Finish.stop,
                tokens_in=len(prompts[row.index]),
                cached_in=prefix_length,
                tokens_out=len(row.answer),
                reason=self._explain_overflow(prompts[row.index]) if row.finish is Finish.context else "",
            )
            on_completion(row.index, completions[row.index])

        for row, source in zip(rows, sources, strict=True):
            if row.max_tokens <= 0:
                row.finish = Finish.context
                finish_row(row)
            elif self.constraint and source is not None:
                row.prepared = self.constraint.prepare_source(source)
        self._run_generations([row for row in rows if row.finish is None], prefix_length, finish_row)
        return [completions[row.index] for row in rows]

    def _explain_overflow(self, prompt: list[int]) -> str:
        return f"the prompt has {len(prompt)} tokens, the model's context {self.context}"

    def _run_generations(
        self, pending: list[Generation], prefix_length: int, finish_row: Callable[[Generation], object]
    ) -> None:
        """Generate all answers after a prefix of `prefix_length` tokens.

        Algorithm (continuous batching), repeated until no row is left:

        1. If a quarter of the cache slots is free, or no row is active, start pending rows and run a step for these
           alone. The longest prompts come first, so that a batch that is too large for the memory fails at once.
        2. Otherwise run a step for all active rows: one forward pass over the new tokens of each row.
        3. Append the best allowed token to each row, and the tokens that the grammar forces after it.
        4. Rows that have ended free their slot.
        """
        pending = sorted(pending, key=lambda row: len(row.new_tokens))
        slots = min(self.infer.batch_size, len(pending))
        capacity = max((len(row.new_tokens) + row.max_tokens for row in pending), default=0)
        self.shared.reserve_slots(prefix_length, slots, capacity)
        free, active = list(range(slots)), list[Generation]()
        while pending or active:
            group = active
            if pending and (4 * len(free) >= slots or not active):
                group = self._start_pending(pending, free)
                active = sorted([*active, *group], key=lambda row: row.slot)
            counts = [len(row.new_tokens) for row in group]
            step = Step.for_rows([row.slot for row in group], [row.cached for row in group], counts, self.model.device)
            logits = self.shared.forward([token for row in group for token in row.new_tokens], step)
            self._append_best_tokens(group, logits)
            for row in (row for row in group if row.finish):
                free.append(row.slot)
                finish_row(row)
            active = [row for row in active if not row.finish]

    def _start_pending(self, pending: list[Generation], free: list[int]) -> list[Generation]:
        """Move rows from `pending` into free slots: at least one, and up to about `PREFILL_TOKENS` tokens in all."""
        group: list[Generation] = []
        while (
            pending
            and free
            and (not group or sum(len(row.new_tokens) for row in group) + len(pending[-1].new_tokens) <= PREFILL_TOKENS)
        ):
            row = pending.pop()
            row.slot = free.pop()
            if self.constraint:
                row.matcher = self.constraint.make_matcher(row.prepared)
                self._append_forced_tokens(row)
            group.append(row)
        return group

    def _append_best_tokens(self, group: list[Generation], logits: torch.Tensor) -> None:
        """Append the most likely allowed token to each row, and the tokens that the grammar forces after it."""
        if self.constraint and self.masks is not None:
            masks = self.masks[[row.slot for row in group]].to(logits.device)
            self.constraint.apply_masks(logits, masks)
        for row, token in zip(group, logits.argmax(-1).tolist(), strict=True):
            row.cached += len(row.new_tokens)
            row.new_tokens = []
            self._append_token(row, token)
            self._append_forced_tokens(row)

    def _append_token(self, row: Generation, token: int) -> None:
        if token in self.stop_tokens:
            row.finish = Finish.stop
            return
        row.answer.append(token)
        row.new_tokens.append(token)
        if row.matcher:
            row.matcher.accept(token)
            if row.matcher.ended:
                row.finish = Finish.stop
                return
        if len(row.answer) >= row.max_tokens:
            row.finish = Finish.length

    def _append_forced_tokens(self, row: Generation) -> None:
        """Append tokens while only one is allowed, and leave the mask of the first token with alternatives."""
        while row.matcher and self.masks is not None and row.finish is None:
            row.matcher.fill_mask(self.masks, row.slot)
            token = find_only_token(self.masks[row.slot].numpy())
            if token is None:
                return
            self._append_token(row, token)


def find_only_token(mask: "np.ndarray") -> int | None:
    """Return the only token that a bit mask (words of 32 tokens) allows, or None if it allows none or several."""
    (words,) = mask.nonzero()
    if len(words) != 1:
        return None
    bits = int(mask[words[0]]) & 0xFFFFFFFF
    return int(words[0]) * 32 + bits.bit_length() - 1 if bits & (bits - 1) == 0 else None
