"""TRL's SFTTrainer with the loss that suits the vocabulary, and a bar that shows it train."""

from typing import Any

import torch
from tqdm import tqdm
from transformers import Trainer
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments
from trl.trainer.sft_trainer import SFTTrainer

SMALL_VOCABULARY = 32_768


class CompletionTrainer(SFTTrainer):
    """SFTTrainer that computes whole logits where they are small.

    TRL walks the vocabulary in tiles to spare memory and computes each tile twice; with a vocabulary of 3,072
    tokens that was over half of a step's time.
    """

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 (as in Trainer)
        """Return the loss by the model's own head, or by TRL's tiles for a large vocabulary."""
        if self.model.config.get_text_config().vocab_size > SMALL_VOCABULARY:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return Trainer.compute_loss(self, model, {**inputs, "use_cache": False}, return_outputs, num_items_in_batch)


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
        """Show and keep the loss of the step that ended."""
        if self.bar is not None and logs and "loss" in logs:
            self.losses.append({"step": state.global_step, "loss": logs["loss"]})
            self.bar.update(state.global_step - self.bar.n)
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()
