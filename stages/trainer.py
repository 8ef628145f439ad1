"""TRL's SFTTrainer with the loss that suits the vocabulary, and a bar that shows it train."""

import math
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments
from trl.trainer.sft_trainer import SFTTrainer

from stages.records import InputError
from stages.sft import IGNORED

SMALL_VOCABULARY = 32_768


class CompletionTrainer(SFTTrainer):
    """SFTTrainer that computes logits for the completions alone, and whole where they are small.

    TRL walks the vocabulary in tiles to spare memory and computes each tile twice; with a vocabulary of a few thousand
    tokens that was over half of a step's time.
    """

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401 (a PreTrainedModel, maybe wrapped)
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 (as in Trainer)
        """Return the mean cross-entropy over the completion tokens of the global batch."""
        if model.config.get_text_config().vocab_size > SMALL_VOCABULARY:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        inputs = dict(inputs)
        targets = inputs.pop("labels")[:, 1:]
        kept = (targets != IGNORED).any(dim=0).nonzero().flatten()
        outputs = model(**inputs, use_cache=False, logits_to_keep=kept)
        targets = targets[:, kept].flatten()
        total = cross_entropy(outputs.logits.flatten(0, 1).float(), targets, ignore_index=IGNORED, reduction="sum")
        if num_items_in_batch is None:
            loss = total / (targets != IGNORED).sum()
        else:
            # The count is over all processes, and DDP averages over them.
            loss = total / num_items_in_batch * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss


class TrainProgress(TrainerCallback):
    """A bar over optimiser steps that shows the loss, and keeps the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.bar: tqdm[Any] | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Open the bar; `disable=None` shows it on a terminal only."""
        self.bar = tqdm(total=state.max_steps, unit="step", desc="train", disable=None, dynamic_ncols=True)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Show and keep the loss of the step that ended; a loss that is no number ends the run."""
        if self.bar is not None and logs and "loss" in logs:
            if not math.isfinite(logs["loss"]):
                raise InputError(f"train: the loss became {logs['loss']} in step {state.global_step}; lower train.lr")
            self.losses.append({"step": state.global_step, "loss": logs["loss"]})
            self.bar.update(state.global_step - self.bar.n)
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()
