"""The training loop: from the last checkpoint to the end, or to a requested stop."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alloy.core.files import InputError, read_json
from alloy.runtime.resume import WorkFolder
from alloy.training import distributed
from alloy.training.callbacks import Checkpoints, Progress
from alloy.training.cost import count_parameters
from alloy.training.job import TrainingJob
from alloy.training.settings import Method

if TYPE_CHECKING:
    from alloy.training.trainer import MixTrainer


@dataclass(frozen=True)
class Trained:
    """The result of a finished training: the log of its steps, and its seconds over all sessions."""

    history: list[dict[str, float]]
    seconds: float


def run_training(job: TrainingJob, trainer: "MixTrainer", work_folder: WorkFolder, tokens: list[int]) -> Trained | None:
    """Run the remaining steps; `tokens` has the tokens of each step.

    After a requested stop, when the checkpoint is saved, rank 0 raises `InputError` and other ranks return None.
    """
    checkpoint = distributed.broadcast_from_main(
        work_folder.find_checkpoint(job.stage) if distributed.is_main() else None
    )
    progress = Progress(job.stage, job.section, tokens, _read_training_seconds(checkpoint))
    checkpoints = Checkpoints(work_folder, estimate_checkpoint_size(job))
    trainer.add_callback(progress)
    trainer.add_callback(checkpoints)
    steps = trainer.args.max_steps
    if checkpoint and distributed.is_main():
        print(f"{job.stage}: continuing after step {checkpoint.name.rpartition('-')[2]} of {steps}")
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError:
        raise InputError(
            f"the GPU ran out of memory in step {trainer.state.global_step + 1}; set "
            f"{job.section}.gradient_checkpointing: true, lower {job.section}.max_length, or set "
            f"{job.section}.deepspeed to divide the state among GPUs"
        ) from None
    finally:
        checkpoints.restore_signals()
    if checkpoints.stopped:
        distributed.leave_process_group()
        if not distributed.is_main():
            return None  # rank 0 raises the error
        raise InputError(f"stopped after step {trainer.state.global_step} of {steps}; `dvc repro` continues from there")
    return Trained(trainer.state.log_history, progress.seconds)


def _read_training_seconds(checkpoint: Path | None) -> float:
    """Return the seconds of training before a checkpoint."""
    if checkpoint is None:
        return 0.0
    return read_json(checkpoint / "trainer_state.json")["stateful_callbacks"]["Progress"]["attributes"]["seconds"]


def estimate_checkpoint_size(job: TrainingJob) -> int:
    """Return the approximate bytes of a checkpoint: the weights, and for trained weights a copy and two moments."""
    size = count_parameters(job.config).total
    return 4 * size if job.train.method is Method.lora else 16 * size
