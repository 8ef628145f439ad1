"""Loss of base and tuned model on general rows, and KL(base || tuned): per token, over the whole vocabulary, exact.

Only one model's layers are in memory at a time, so what fits for the other evaluations fits here. A model is split into
its layers, which make hidden states (tokens, width), and its output layer, which makes logits (tokens, vocabulary) of
them. The logits of all rows would be tens of gigabytes; their hidden states are about a hundredth of that, and give the
same logits again.

1. The base's layers run over every row, and the hidden states are kept. The layers are freed, the output layer stays.
2. The tuned model's layers run over a row. Both output layers make logits, `POSITIONS` tokens at a time, and the sums
   of loss and divergence are taken.

Tokens are encoded as in training, and those of the last message and its end of turn are counted, of a chat with several
answers as well.
The divergence is KL(base || tuned), as in the anchor of training (alloy/training/trainer.py): what the base holds
likely must stay likely. Rows are computed one by one: no padding, and no figure depends on what else is in a batch.
"""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import kl_div, log_softmax, nll_loss
from tqdm import tqdm

from alloy.core.files import InputError, Row
from alloy.modeling.chat_examples import IGNORED, AssistantTurns, encode_examples
from alloy.modeling.model_folder import context_length, load_model

POSITIONS = 256  # of logits in memory at once
MICRO = 1_000_000  # sums are kept in whole millionths of a nat, so that adding them up is exact
SUMS = ("base", "tuned", "kl")


@dataclass(frozen=True)
class Example:
    """A row as `tokens`; the loss is taken over those from index `start` on."""

    id: str
    tokens: list[int]
    start: int
    truncated: bool


def encode(rows: list[Row], tokenizer: Any, max_length: int) -> list[Example]:  # noqa: ANN401 (a tokenizer)
    """Return the rows as tokens, cut after `max_length` of them: what comes later does not change the loss before.

    A row whose prompt alone is that long has no tokens left to count, and is left out.
    """
    examples = []
    for row, (ids, labels) in zip(rows, encode_examples(rows, tokenizer, AssistantTurns.last), strict=True):
        start = labels.count(IGNORED)
        if start < max_length:
            examples.append(Example(row["id"], ids[:max_length], start, len(ids) > max_length))
    return examples


class GivenStates(torch.nn.Module):
    """Takes the place of a model's layers, and returns hidden states that these made before."""

    kind: Any  # the class of what the layers return, an output of transformers
    states: torch.Tensor

    def forward(self, *_: object, **__: object) -> Any:  # noqa: ANN401 (of `kind`)
        """Return `states` as (1, tokens, width)."""
        return self.kind(last_hidden_state=self.states[None])


class SplitModel:
    """A causal language model of transformers in two parts: its layers and its output layer.

    The output layer is the model with `GivenStates` in the place of its layers, so that what an architecture does to
    its logits, such as scaling or a soft cap, is done here as well.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 (a PreTrainedModel)
        self._layers: Any = model.base_model
        self._given = GivenStates()
        setattr(model, model.base_model_prefix, self._given)
        self._output = model.eval()

    @torch.inference_mode()
    def hidden_states(self, example: Example) -> torch.Tensor:
        """Return (n, width): the last hidden states at the n positions whose next token is counted."""
        tokens = torch.tensor([example.tokens], device=self._layers.device)
        output = self._layers(input_ids=tokens, use_cache=False)
        self._given.kind = type(output)
        return output.last_hidden_state[0, example.start - 1 : -1]

    @torch.inference_mode()
    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return (n, vocabulary) in float32 for hidden states (n, width) that the layers made before."""
        self._given.states = states.to(self._output.device)
        return self._output().logits[0].float()

    def free_layers(self) -> None:
        """Let go of the layers; `logits` still works."""
        self._layers = None


class PairedLoss:
    """Measures rows with both models: the base's hidden states of `examples` are at hand, the tuned model is whole."""

    def __init__(
        self, examples: list[Example], states: list[torch.Tensor], base: SplitModel, tuned: SplitModel
    ) -> None:
        self.known = {example.id: (example, kept) for example, kept in zip(examples, states, strict=True)}
        self.base, self.tuned = base, tuned

    def measure(self, row: Row) -> Row:
        """Return `{id, tokens, base, tuned, kl, truncated}` of a row: sums over its tokens, in nats.

        A row that `encode` left out has 0 tokens and no sums.
        """
        if row["id"] not in self.known:
            return {"id": row["id"], "tokens": 0}
        example, before = self.known[row["id"]]
        after = self.tuned.hidden_states(example)
        labels = torch.tensor(example.tokens[example.start :], device=after.device)
        sums = torch.zeros(len(SUMS), dtype=torch.float64, device=after.device)
        for part in zip(before.split(POSITIONS), after.split(POSITIONS), labels.split(POSITIONS), strict=True):
            sums += self._sums(*part)
        for name, number in zip(SUMS, sums.tolist(), strict=True):
            if not math.isfinite(number):
                model = "base" if name == "base" else "tuned"
                raise InputError(f"models/{model}: the loss on general row '{row['id']}' is {number}; train it again")
        rounded = dict(zip(SUMS, (round(number, 6) for number in sums.tolist()), strict=True))
        return {"id": row["id"], "tokens": len(labels), **rounded, "truncated": example.truncated}

    def _sums(self, before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return (3,) in the order of `SUMS`, for hidden states (n, width) and the tokens (n,) that follow them."""
        base = log_softmax(self.base.logits(before), -1).to(labels.device)
        tuned = log_softmax(self.tuned.logits(after), -1)
        losses = [nll_loss(logs, labels, reduction="none") for logs in (base, tuned)]
        divergence = kl_div(tuned, base, reduction="none", log_target=True).sum(-1)
        return torch.stack([*losses, divergence]).double().sum(-1)


def open_models(base: Path, tuned: Path, rows: list[Row], max_length: int) -> PairedLoss:
    """Return the measurement of `rows` with the models in two folders; the base's layers have run over all of them."""
    model, tokenizer = load_model(base)
    before = SplitModel(model)
    examples = encode(rows, tokenizer, min(max_length, context_length(base)))
    with tqdm(examples, unit="row", desc="general loss, base", disable=None, dynamic_ncols=True) as bar:
        states = [before.hidden_states(example).cpu().clone() for example in bar]  # a clone lets go of the prompt's
    before.free_layers()
    return PairedLoss(examples, states, before, SplitModel(load_model(tuned)[0]))


def keep(row: Row, totals: "Counter[str]") -> Row | None:
    """Add a measured row to the totals; return what is written of it, or None for one that was left out."""
    if not row["tokens"]:
        totals["skipped"] += 1
        return None
    totals.update({"rows": 1, "tokens": row["tokens"], "truncated": int(row.pop("truncated"))})
    totals.update({key: round(row[key] * MICRO) for key in SUMS})
    return row


def report(totals: "Counter[str]") -> Row:
    """Return the metrics of both models: nats per token, and what they were measured on.

    The base's divergence from itself is 0; with it the comparison and the gate treat `kl` as any other metric.
    """
    if not totals["rows"]:
        raise InputError(
            f"general_loss.max_length: all {totals['skipped']} held-out rows have prompts that are as long or longer; "
            "raise it in the profile"
        )
    counted = {key: totals[key] for key in ("rows", "tokens", "truncated", "skipped")}
    base, tuned, divergence = (round(totals[key] / MICRO / totals["tokens"], 4) for key in SUMS)
    return {
        "base": {"loss": {**counted, "general": base, "kl": 0.0}},
        "tuned": {"loss": {**counted, "general": tuned, "kl": divergence}},
    }
