"""transformers' Trainer with what Alloy adds: an order that no topology changes, losses by category, an anchor."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from torch.utils.data import Sampler
from transformers.trainer import Trainer

from alloy.formats.general import CUSTOMER


class Rounds(Sampler[int]):
    """`total` rows: one epoch after the other, each in an order of its own.

    Global batches run on over the end of an epoch, so that all are full and any number of processes sees the same.
    """

    def __init__(self, rows: int, total: int, seed: int) -> None:
        self.rows, self.total, self.seed = rows, total, seed

    def __len__(self) -> int:
        """Return the number of rows in all."""
        return self.total

    def __iter__(self) -> Iterator[int]:
        """Yield indices of rows."""
        for epoch in range(-(-self.total // self.rows)):
            order = torch.randperm(self.rows, generator=torch.Generator().manual_seed(self.seed + epoch))
            yield from order[: self.total - epoch * self.rows].tolist()


class Anchor:
    """Holds the tuned model to the base one on general rows: `weight` times KL(base || tuned) a token.

    The term is that of distillation (Hinton et al., 2015) with the base as the teacher; it is the forward
    divergence, so that what the base holds likely must stay likely. `base` is a frozen copy; None where the tuned
    model is an adapter, which is switched off for it.
    """

    def __init__(self, weight: float, base: torch.nn.Module | None) -> None:
        self.weight = weight
        self.base = base

    def model(self, tuned: Any) -> tuple[AbstractContextManager[Any], Any]:  # noqa: ANN401 (a PeftModel)
        """Return (context, model) for the base's logits."""
        return (nullcontext(), self.base) if self.base is not None else (tuned.disable_adapter(), tuned)


class MixTrainer(Trainer):
    """Supervised fine-tuning on batches of `alloy.training.packing.flatten`.

    Logits are computed for the completion tokens alone, and whole: with prompts of hundreds of tokens and answers of
    tens there are few, and a loss by token is there to be told by category and anchored.
    """

    def __init__(self, *args: Any, order: Rounds, categories: list[str], anchor: Anchor | None, **kwargs: Any) -> None:  # noqa: ANN401 (Trainer's own)
        super().__init__(*args, **kwargs)
        self._loss_shifts_labels = False  # `flatten` has shifted them, and the Trainer counts them
        self.order = order
        self.categories = categories
        self.anchor = anchor
        self.sums = torch.zeros(2, len(categories), dtype=torch.float64, device=self.args.device)

    def _get_train_sampler(self, train_dataset: Any = None) -> Rounds:  # noqa: ANN401 (a Dataset)
        return self.order

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401 (a PreTrainedModel, maybe wrapped)
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 (as in Trainer)
        """Return the mean cross-entropy over the completion tokens of the global batch, and the anchor's term."""
        inputs = dict(inputs)
        labels, category = inputs.pop("labels")[0], inputs.pop("category")[0]
        logits = model(**inputs, use_cache=False).logits[0].float()  # (completion tokens, vocabulary)
        losses = cross_entropy(logits, labels, reduction="none")
        ones = torch.ones_like(losses.detach())
        seen = torch.stack([losses.detach(), ones]).to(self.sums.dtype)
        self.sums.index_add_(1, category, seen)
        total = losses.sum()
        if self.anchor is not None:
            total = total + self.anchor.weight * self._divergence(model, inputs, logits, category)
        # The count is over all processes, and their gradients are averaged.
        count = num_items_in_batch if num_items_in_batch is not None else labels.numel() * self.args.world_size
        return total / count * self.args.world_size

    def _divergence(
        self,
        model: Any,  # noqa: ANN401 (a PreTrainedModel, maybe wrapped)
        inputs: dict[str, Any],
        logits: torch.Tensor,
        category: torch.Tensor,
    ) -> torch.Tensor:
        """Return KL(base || tuned) summed over the completion tokens of general rows."""
        assert self.anchor is not None
        customer = self.categories.index(CUSTOMER) if CUSTOMER in self.categories else -1
        general = (category != customer).nonzero().flatten()
        if not len(general):
            return logits.new_zeros(())
        context, base = self.anchor.model(self.accelerator.unwrap_model(model))
        places = inputs["logits_to_keep"][general]
        with context, torch.no_grad():
            wanted = base(**{**inputs, "logits_to_keep": places}, use_cache=False).logits[0].float()
        return kl_div(log_softmax(logits[general], -1), log_softmax(wanted, -1), reduction="sum", log_target=True)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step with the mean loss of each category that it saw and the tokens behind it."""
        if "loss" in logs:
            sums = self.accelerator.reduce(self.sums, reduction="sum")
            assert isinstance(sums, torch.Tensor)
            losses, tokens = sums.tolist()
            self.sums.zero_()
            for name, loss, count in zip(self.categories, losses, tokens, strict=True):
                if count:
                    logs[f"loss/{name}"] = loss / count
                    logs[f"tokens/{name}"] = count
        super().log(logs, start_time)
