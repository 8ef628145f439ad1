"""Trains from the last checkpoint on, until the end or until someone asks for a stop."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alloy.core.files import InputError, read_json
from alloy.runtime.resume import WorkFolder
from alloy.training import distributed
from alloy.training.callbacks import Checkpoints, Progress
from alloy.training.cost import parameters
from alloy.training.job import TrainingJob
from alloy.training.settings import Method

if TYPE_CHECKING:
    from alloy.training.trainer import MixTrainer


@dataclass(frozen=True)
class Trained:
    """What a finished training tells: the losses of its steps, and its seconds over all sessions."""

    history: list[dict[str, float]]
    seconds: float


def train(job: TrainingJob, trainer: "MixTrainer", place: WorkFolder, tokens: list[int]) -> Trained | None:
    """Take the steps that are left; `tokens` are those of each step. Return None beside rank 0 after a stop.

    A stop that was asked for raises on rank 0, once its checkpoint is saved.
    """
    checkpoint = distributed.share(place.find_checkpoint(job.stage) if distributed.is_main() else None)
    progress = Progress(job.stage, job.section, tokens, _seconds(checkpoint))
    checkpoints = Checkpoints(place, checkpoint_size(job))
    trainer.add_callback(progress)
    trainer.add_callback(checkpoints)
    steps = trainer.args.max_steps
    if checkpoint and distributed.is_main():
        print(f"{job.stage}: going on after step {checkpoint.name.rpartition('-')[2]} of {steps}")
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError:
        raise InputError(
            f"the GPU's memory is full in step {trainer.state.global_step + 1}; set "
            f"{job.section}.gradient_checkpointing, lower {job.section}.max_length, or share the state among GPUs by "
            f"{job.section}.deepspeed"
        ) from None
    finally:
        checkpoints.release()
    if checkpoints.stopped:
        distributed.leave()
        if not distributed.is_main():
            return None  # rank 0 says it, and fails
        raise InputError(f"stopped after step {trainer.state.global_step} of {steps}; `dvc repro` goes on from there")
    return Trained(trainer.state.log_history, progress.seconds)


def _seconds(checkpoint: Path | None) -> float:
    """Return the seconds of training before a checkpoint."""
    if checkpoint is None:
        return 0.0
    return read_json(checkpoint / "trainer_state.json")["stateful_callbacks"]["Progress"]["attributes"]["seconds"]


def checkpoint_size(job: TrainingJob) -> int:
    """Return the bytes of a checkpoint, about: the weights, and for those that are trained a copy and two moments."""
    size = parameters(job.config).total
    return 4 * size if job.train.method is Method.lora else 16 * size
