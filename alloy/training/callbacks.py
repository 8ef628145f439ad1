"""Callbacks of the Trainer: progress bar, training time, checkpoints, and a clean stop."""

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

CHECKPOINT_SECONDS = 30.0  # between checkpoints; ALLOY_CHECKPOINT_SECONDS overrides it
MAX_TIME_SHARE = 0.05  # the largest share of the time that is spent on checkpoints


class Progress(TrainerCallback, ExportableState):
    """Shows a progress bar with loss and speed, and measures the seconds of training over all sessions."""

    def __init__(self, stage: str, section: str, tokens_per_step: list[int], seconds: float = 0.0) -> None:
        """`tokens_per_step`: the tokens of each step. `seconds`: the time of training before this session."""
        self.stage = stage
        self.section = section
        self.tokens_per_step = tokens_per_step
        self.seconds = seconds
        self.bar: tqdm[Any] | None = None

    def state(self) -> dict[str, Any]:
        """Return the state that `Trainer` saves in a checkpoint."""
        return {"args": {}, "attributes": {"seconds": self.seconds}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Open the bar at the current step. `disable=None` shows it on a terminal only."""
        hidden = None if state.is_world_process_zero else True
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            unit="step",
            desc=self.stage,
            disable=hidden,
            dynamic_ncols=True,
        )
        self.session_start = self.seconds, time.perf_counter(), state.global_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Add the time of the step."""
        before, start, _ = self.session_start
        self.seconds = before + time.perf_counter() - start

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Show the loss of the step. Raise `InputError` if it is not a finite number."""
        if self.bar is None or not logs or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss became {logs['loss']} in step {state.global_step}; lower {self.section}.lr, "
                "or look for a broken row in the training data"
            )
        before, _, first = self.session_start
        speed = sum(self.tokens_per_step[first : state.global_step]) / max(self.seconds - before, 1e-9)
        self.bar.set_postfix_str(f"loss {logs['loss']:.3f}, {speed:,.0f} tokens/s", refresh=False)
        self.bar.update(state.global_step - self.bar.n)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()


class Checkpoints(TrainerCallback):
    """Saves checkpoints at intervals, and before a stop that a signal or a later run requests.

    The interval is half a minute, or longer if saving is slow: checkpoints take at most a twentieth of the time.
    """

    def __init__(self, work_folder: WorkFolder, size: int) -> None:
        """`size`: the approximate bytes of a checkpoint."""
        self.work_folder = work_folder
        self.size = size
        self.interval = read_checkpoint_interval()
        self.save_seconds = 0.0
        self.stop_requested = False
        self.stopped = False
        self.handlers: dict[int, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Start the clock, and handle the signals that request a stop."""
        self.last_saved = time.perf_counter()
        self.handlers = {
            number: signal.signal(number, self._request_stop) for number in (signal.SIGTERM, signal.SIGINT)
        }

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True
        signal.signal(number, self.handlers[number])  # a second signal stops at once

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Request a checkpoint if one is due, and a stop if one was requested. All processes decide the same."""
        now = time.perf_counter()
        due = now - self.last_saved >= (
            max(self.interval, self.save_seconds / MAX_TIME_SHARE) if self.interval else 0.0
        )
        stop = self.stop_requested or (state.is_world_process_zero and self.work_folder.is_superseded())
        if args.world_size > 1:
            flags = torch.tensor([due, stop], dtype=torch.int32, device=args.device)
            torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
            due, stop = map(bool, flags.tolist())
        if state.global_step >= state.max_steps:
            return
        if due or stop:
            if state.is_world_process_zero:
                check_disk_space(self.work_folder.path, self.size)
            self.last_saved = now
            control.should_save = True
        if stop:
            self.stopped = True
            control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Wait until every process has written its part, then mark the checkpoint as complete."""
        if args.world_size > 1:
            torch.distributed.barrier()
        if state.is_world_process_zero:
            self.work_folder.keep_checkpoint(Path(str(args.output_dir), f"checkpoint-{state.global_step}"))
        self.save_seconds = time.perf_counter() - self.last_saved
        self.last_saved = time.perf_counter()

    def restore_signals(self) -> None:
        """Restore the signal handlers from before the training."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


def read_checkpoint_interval() -> float:
    """Return the seconds between checkpoints, from the environment; 0 saves one after each step."""
    text = os.environ.get("ALLOY_CHECKPOINT_SECONDS") or str(CHECKPOINT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise InputError(
            f"ALLOY_CHECKPOINT_SECONDS: expected a number of seconds of at least 0, such as 30, got '{text}'; "
            "change or unset the variable"
        )
    return seconds


def check_disk_space(folder: Path, size: int) -> None:
    """Raise `InputError` unless the disk of `folder` has `size` free bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise InputError(
            f"{folder}: a checkpoint needs {size / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB are free; free some "
            "space, then `dvc repro` continues from the last checkpoint"
        )
