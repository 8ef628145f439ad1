"""The loss of the base and the tuned model on general rows, and their divergence KL(base || tuned).

All are per token. The divergence is exact, over the whole vocabulary. The loss that `train.kl_weight` adds
(alloy/training/trainer.py) uses the same divergence: it is small if tokens that the base model finds likely stay
likely.

Only one model's layers are in memory at a time. So a model that fits for the other evaluations also fits here. A model
has layers, which compute hidden states (tokens, width), and an output layer, which computes logits (tokens, vocabulary)
from them. The logits of all rows would take tens of gigabytes. Their hidden states take about a hundredth of that, and
give the same logits.

Algorithm:

1. Run the base model's layers over every row, and store the hidden states. Free the layers, keep the output layer.
2. Run the tuned model's layers over one row.
3. Compute the logits of both models, `POSITIONS` tokens at a time, and add up the losses and the divergence.
4. Repeat 2 and 3 for each row, without batches. So there is no padding, and a result does not depend on other rows.

Tokens are encoded as in training. Only the last message and its end of turn are counted, even if a chat has several
answers.

Example: the base model gives the tokens "yes" and "no" the probabilities 0.8 and 0.2, the tuned model 0.5 and 0.5. The
next token is "yes". The losses are -log 0.8 = 0.22 and -log 0.5 = 0.69 nats, the divergence is
0.8 log(0.8 / 0.5) + 0.2 log(0.2 / 0.5) = 0.19 nats.
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
from alloy.modeling.model_folder import load_context_length, load_model

POSITIONS = 256  # tokens whose logits are in memory at a time
SUM_SCALE = 1_000_000  # sums are integers of millionths of a nat, so that their order does not change the result
SUMS = ("base", "tuned", "kl")


@dataclass(frozen=True)
class Example:
    """The tokens of a row. Those from index `start` on are counted."""

    id: str
    tokens: list[int]
    start: int
    truncated: bool


def encode_rows(rows: list[Row], tokenizer: Any, max_length: int) -> list[Example]:  # noqa: ANN401 (a tokenizer)
    """Return the rows as tokens, truncated to `max_length`. This does not change the loss of the remaining tokens.

    A row whose prompt has `max_length` tokens or more is left out: it has no tokens to count.
    """
    examples = []
    for row, (ids, labels) in zip(rows, encode_examples(rows, tokenizer, AssistantTurns.last), strict=True):
        start = labels.count(IGNORED)
        if start < max_length:
            examples.append(Example(row["id"], ids[:max_length], start, len(ids) > max_length))
    return examples


class StoredStates(torch.nn.Module):
    """Replaces the layers of a model, and returns hidden states that the layers computed before."""

    output_class: Any  # the class of the layers' output, from transformers
    states: torch.Tensor

    def forward(self, *_: object, **__: object) -> Any:  # noqa: ANN401 (an `output_class`)
        """Return `states` as (1, tokens, width)."""
        return self.output_class(last_hidden_state=self.states[None])


class SplitModel:
    """A causal language model of transformers in two parts: its layers and its output layer.

    The output layer is the whole model with its layers replaced by `StoredStates`. So anything else that an
    architecture does to its logits, such as scaling or a soft cap, is included.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 (a PreTrainedModel)
        self._layers: Any = model.base_model
        self._stored = StoredStates()
        setattr(model, model.base_model_prefix, self._stored)
        self._output = model.eval()

    @torch.inference_mode()
    def compute_hidden_states(self, example: Example) -> torch.Tensor:
        """Return the last hidden states (n, width) at the n positions whose next token is counted."""
        tokens = torch.tensor([example.tokens], device=self._layers.device)
        output = self._layers(input_ids=tokens, use_cache=False)
        self._stored.output_class = type(output)
        return output.last_hidden_state[0, example.start - 1 : -1]

    @torch.inference_mode()
    def compute_logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, vocabulary) in float32 of hidden states (n, width)."""
        self._stored.states = states.to(self._output.device)
        return self._output().logits[0].float()

    def free_layers(self) -> None:
        """Free the memory of the layers; `compute_logits` still works."""
        self._layers = None


class PairedLoss:
    """Computes losses and divergence of rows, from the base model's stored hidden states and the whole tuned model."""

    def __init__(
        self, examples: list[Example], states: list[torch.Tensor], base: SplitModel, tuned: SplitModel
    ) -> None:
        self.examples_by_id = {
            example.id: (example, base_states) for example, base_states in zip(examples, states, strict=True)
        }
        self.base, self.tuned = base, tuned

    def measure_row(self, row: Row) -> Row:
        """Return `{id, tokens, base, tuned, kl, truncated}` of a row; `base`, `tuned` and `kl` are sums in nats.

        A row that `encode_rows` left out has 0 tokens and no sums.
        """
        if row["id"] not in self.examples_by_id:
            return {"id": row["id"], "tokens": 0}
        example, base_states = self.examples_by_id[row["id"]]
        tuned_states = self.tuned.compute_hidden_states(example)
        labels = torch.tensor(example.tokens[example.start :], device=tuned_states.device)
        sums = torch.zeros(len(SUMS), dtype=torch.float64, device=tuned_states.device)
        parts = (tensor.split(POSITIONS) for tensor in (base_states, tuned_states, labels))
        for part in zip(*parts, strict=True):
            sums += self._sum_losses(*part)
        for name, value in zip(SUMS, sums.tolist(), strict=True):
            if not math.isfinite(value):
                raise InputError(_describe_infinite_loss(name, row["id"], value))
        rounded = dict(zip(SUMS, (round(value, 6) for value in sums.tolist()), strict=True))
        return {"id": row["id"], "tokens": len(labels), **rounded, "truncated": example.truncated}

    def _sum_losses(self, base_states: torch.Tensor, tuned_states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the sums (3,) of `SUMS` for hidden states (n, width) and the tokens (n,) that follow them."""
        base = log_softmax(self.base.compute_logits(base_states), -1).to(labels.device)
        tuned = log_softmax(self.tuned.compute_logits(tuned_states), -1)
        losses = [nll_loss(log_probs, labels, reduction="none") for log_probs in (base, tuned)]
        divergence = kl_div(tuned, base, reduction="none", log_target=True).sum(-1)
        return torch.stack([*losses, divergence]).double().sum(-1)


def _describe_infinite_loss(name: str, row_id: str, value: float) -> str:
    """Return the error about one of `SUMS` that is not finite. `train.lr` cannot change the base model."""
    model = "base" if name == "base" else "tuned"
    quantity = "KL divergence from the base model" if name == "kl" else "loss"
    fix = (
        "use another base model, or lower model.scratch.train.lr if it was trained from scratch"
        if model == "base"
        else "train the model again, with a lower train.lr"
    )
    return f"models/{model}: expected a finite {quantity} on general row '{row_id}', got {value}; {fix}"


def open_models(base: Path, tuned: Path, rows: list[Row], max_length: int) -> PairedLoss:
    """Load both models, and compute the base model's hidden states of all `rows`."""
    model, tokenizer = load_model(base)
    base_model = SplitModel(model)
    examples = encode_rows(rows, tokenizer, min(max_length, load_context_length(base)))
    with tqdm(examples, unit="row", desc="general loss, base", disable=None, dynamic_ncols=True) as bar:
        # Clone the part that is needed, so that the memory of the prompt's states is freed.
        states = [base_model.compute_hidden_states(example).cpu().clone() for example in bar]
    base_model.free_layers()
    return PairedLoss(examples, states, base_model, SplitModel(load_model(tuned)[0]))


def count_row(row: Row, totals: "Counter[str]") -> Row | None:
    """Add a row of `measure_row` to the totals. Return it without `truncated`, or None if it was left out."""
    if not row["tokens"]:
        totals["skipped"] += 1
        return None
    totals.update({"rows": 1, "tokens": row["tokens"], "truncated": int(row.pop("truncated"))})
    totals.update({key: round(row[key] * SUM_SCALE) for key in SUMS})
    return row


def summarize_losses(totals: "Counter[str]") -> Row:
    """Return the metrics of both models: losses in nats per token, and the numbers of rows and tokens.

    The base model's divergence from itself is 0. It is included so that `kl` can be compared like any other metric.
    """
    if not totals["rows"]:
        raise InputError(
            f"general_loss.max_length: the prompts of all {totals['skipped']} held-out rows are too long; raise "
            "general_loss.max_length in the profile"
        )
    counted = {key: totals[key] for key in ("rows", "tokens", "truncated", "skipped")}
    base, tuned, divergence = (round(totals[key] / SUM_SCALE / totals["tokens"], 4) for key in SUMS)
    return {
        "base": {"loss": {**counted, "general": base, "kl": 0.0}},
        "tuned": {"loss": {**counted, "general": tuned, "kl": divergence}},
    }
