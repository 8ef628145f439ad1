"""What goes on beside the steps of a training: the bar, the clock, checkpoints, and a clean stop."""

import math
import os
import shutil
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from tqdm import tqdm
from transformers.trainer_callback import ExportableState, TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from alloy.core.files import InputError
from alloy.runtime.resume import WorkFolder

SECONDS = 30.0  # between checkpoints, unless ALLOY_CHECKPOINT_SECONDS says otherwise
SHARE = 0.05  # of the time at most goes into them


class Progress(TrainerCallback, ExportableState):
    """A bar over the steps, with loss and speed; the seconds of training, over all of its sessions."""

    def __init__(self, stage: str, section: str, work: list[int], seconds: float = 0.0) -> None:
        """`work`: the tokens of each step; `seconds`: of training before this session."""
        self.stage = stage
        self.section = section
        self.work = work
        self.seconds = seconds
        self.bar: tqdm[Any] | None = None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps; `Trainer` asks for it."""
        return {"args": {}, "attributes": {"seconds": self.seconds}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Open the bar where the training stands; `disable=None` shows it on a terminal only."""
        hidden = None if state.is_world_process_zero else True
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            unit="step",
            desc=self.stage,
            disable=hidden,
            dynamic_ncols=True,
        )
        self.begun = self.seconds, time.perf_counter(), state.global_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Stop the clock after the step."""
        before, start, _ = self.begun
        self.seconds = before + time.perf_counter() - start

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Show the step that ended; a loss that is no number ends the run."""
        if self.bar is None or not logs or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss became {logs['loss']} in step {state.global_step}; lower {self.section}.lr, "
                "or look for the row that did it"
            )
        before, _, first = self.begun
        speed = sum(self.work[first : state.global_step]) / max(self.seconds - before, 1e-9)
        self.bar.set_postfix_str(f"loss {logs['loss']:.3f}, {speed:,.0f} tokens/s", refresh=False)
        self.bar.update(state.global_step - self.bar.n)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()


class Checkpoints(TrainerCallback):
    """Saves a checkpoint from time to time, and before a stop that was asked for by a signal or by a later run.

    A checkpoint is due after half a minute, and later where saving takes long: a twentieth of the time at most.
    """

    def __init__(self, place: WorkFolder, size: int) -> None:
        """`size`: bytes of a checkpoint, about."""
        self.place = place
        self.size = size
        self.every = seconds_between()
        self.cost = 0.0
        self.asked = False
        self.stopped = False
        self.handlers: dict[int, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Start the clock, and take the signals that ask for an end."""
        self.last = time.perf_counter()
        self.handlers = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, self.handlers[number])  # the second time it ends at once

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Ask for a checkpoint where one is due, and for the end where one is wanted; all processes agree."""
        now = time.perf_counter()
        due = now - self.last >= (max(self.every, self.cost / SHARE) if self.every else 0.0)
        stop = self.asked or (state.is_world_process_zero and self.place.is_taken_over())
        if args.world_size > 1:
            wants = torch.tensor([due, stop], dtype=torch.int32, device=args.device)
            torch.distributed.all_reduce(wants, torch.distributed.ReduceOp.MAX)
            due, stop = map(bool, wants.tolist())
        if state.global_step >= state.max_steps:
            return
        if due or stop:
            if state.is_world_process_zero:
                room(self.place.path, self.size)
            self.last = now
            control.should_save = True
        if stop:
            self.stopped = True
            control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Call the checkpoint whole once every process has written its part."""
        if args.world_size > 1:
            torch.distributed.barrier()
        if state.is_world_process_zero:
            self.place.keep_checkpoint(Path(str(args.output_dir), f"checkpoint-{state.global_step}"))
        self.cost = time.perf_counter() - self.last
        self.last = time.perf_counter()

    def release(self) -> None:
        """Give the signals back."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


def seconds_between() -> float:
    """Return the seconds that the environment wants between checkpoints; 0: one after each step."""
    text = os.environ.get("ALLOY_CHECKPOINT_SECONDS") or str(SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise InputError(f"ALLOY_CHECKPOINT_SECONDS: '{text}' is no number of seconds; give 0 or more, or unset it")
    return seconds


def room(folder: Path, size: int) -> None:
    """Raise `InputError` unless the disk below `folder` takes `size` more bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise InputError(
            f"{folder}: {size / 2**30:.1f} GiB are to be written and {free / 2**30:.1f} GiB are free; make room, then "
            "`dvc repro` goes on from the last checkpoint"
        )
