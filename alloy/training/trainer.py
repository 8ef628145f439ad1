"""transformers' Trainer with three additions: `EpochSampler`, losses by category, and a KL penalty."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from torch.utils.data import Sampler
from transformers.trainer import Trainer

from alloy.formats.general import CUSTOMER


class EpochSampler(Sampler[int]):
    """Yields `total` indices of `rows` rows: one epoch after another, each shuffled with its own seed.

    1. The order of epoch e is a permutation with the seed `seed + e`.
    2. The orders are concatenated and cut after `total` indices.

    A global batch can contain the end of one epoch and the start of the next. So all batches are full, and they are the
    same for any number of processes.

    Example: 3 rows and 4 steps of 2 rows could give the order 2 0 1 | 0 2 1 | 1 2, that is the batches (2 0), (1 0),
    (2 1), (1 2).
    """

    def __init__(self, rows: int, total: int, seed: int) -> None:
        self.rows, self.total, self.seed = rows, total, seed

    def __len__(self) -> int:
        """Return the total number of indices."""
        return self.total

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of rows."""
        for epoch in range(-(-self.total // self.rows)):
            order = torch.randperm(self.rows, generator=torch.Generator().manual_seed(self.seed + epoch))
            yield from order[: self.total - epoch * self.rows].tolist()


class KlPenalty:
    """Keeps the tuned model close to the base model on general rows: adds `weight` times KL(base || tuned) per token.

    The term is that of distillation (Hinton et al., 2015), with the base model as the teacher. It is the forward
    divergence: tokens that the base model finds likely must stay likely. `base` is a frozen copy of the base model. It
    is None if the tuned model is an adapter: the base model is then the model with the adapter switched off.
    """

    def __init__(self, weight: float, base: torch.nn.Module | None) -> None:
        self.weight = weight
        self.base = base

    def get_base(self, tuned: Any) -> tuple[AbstractContextManager[Any], Any]:  # noqa: ANN401 (a PeftModel)
        """Return (context, model): call the model within the context to get the logits of the base model."""
        return (nullcontext(), self.base) if self.base is not None else (tuned.disable_adapter(), tuned)


class MixTrainer(Trainer):
    """Trains on batches of `alloy.training.packing.flatten_rows`.

    Logits are computed for completion tokens only. These are few: prompts have hundreds of tokens, answers tens. So a
    fused loss is not needed, and the loss of each token is known, for the losses by category and for the KL penalty.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 (Trainer's own)
        order: EpochSampler,
        categories: list[str],
        kl_penalty: KlPenalty | None,
        **kwargs: Any,  # noqa: ANN401 (Trainer's own)
    ) -> None:
        super().__init__(*args, **kwargs)
        self._loss_shifts_labels = False  # `flatten_rows` has shifted them; the Trainer uses this to count them
        self.order = order
        self.categories = categories
        self.kl_penalty = kl_penalty
        self.sums = torch.zeros(2, len(categories), dtype=torch.float64, device=self.args.device)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:  # noqa: ANN401 (a Dataset)
        return self.order

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401 (a PreTrainedModel, maybe wrapped)
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 (as in Trainer)
        """Return this batch's part of the mean loss over the completion tokens of the global batch.

        1. Compute the cross-entropy of each completion token.
        2. Add it to the sums by category, for `log`.
        3. Add the KL penalty: its weight times the divergence at the completion tokens of general rows.
        4. Divide the sum by the completion tokens of the global batch, over all processes. Multiply it by the number of
           processes, since their gradients are averaged.
        """
        inputs = dict(inputs)
        labels, category = inputs.pop("labels")[0], inputs.pop("category")[0]
        logits = model(**inputs, use_cache=False).logits[0].float()  # (completion tokens, vocabulary)
        losses = cross_entropy(logits, labels, reduction="none")
        ones = torch.ones_like(losses.detach())
        loss_and_count = torch.stack([losses.detach(), ones]).to(self.sums.dtype)
        self.sums.index_add_(1, category, loss_and_count)
        total = losses.sum()
        if self.kl_penalty is not None:
            total = total + self.kl_penalty.weight * self._compute_divergence(model, inputs, logits, category)
        count = num_items_in_batch if num_items_in_batch is not None else labels.numel() * self.args.world_size
        return total / count * self.args.world_size

    def _compute_divergence(
        self,
        model: Any,  # noqa: ANN401 (a PreTrainedModel, maybe wrapped)
        inputs: dict[str, Any],
        logits: torch.Tensor,
        category: torch.Tensor,
    ) -> torch.Tensor:
        """Return KL(base || tuned) summed over the completion tokens of general rows."""
        assert self.kl_penalty is not None
        customer = self.categories.index(CUSTOMER) if CUSTOMER in self.categories else -1
        general = (category != customer).nonzero().flatten()
        if not len(general):
            return logits.new_zeros(())
        context, base = self.kl_penalty.get_base(self.accelerator.unwrap_model(model))
        indices = inputs["logits_to_keep"][general]
        with context, torch.no_grad():
            base_logits = base(**{**inputs, "logits_to_keep": indices}, use_cache=False).logits[0].float()
        return kl_div(log_softmax(logits[general], -1), log_softmax(base_logits, -1), reduction="sum", log_target=True)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step; add the mean loss and the number of completion tokens of each category in it."""
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
