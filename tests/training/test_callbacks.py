"""Callbacks: when a checkpoint is due, how a training is stopped, and what the progress bar shows."""

import io
import re
import signal
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from alloy.core.files import InputError
from alloy.runtime.durable import SEAL
from alloy.runtime.resume import WorkFolder
from alloy.training.callbacks import Checkpoints, Progress, check_disk_space

GIB = 2**30
Usage = namedtuple("Usage", "total used free")


class Clock:
    """A clock that only moves when a test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


@pytest.fixture
def work_folder(tmp_path: Path) -> WorkFolder:
    claim = tmp_path / "claim"
    claim.write_text("this run")
    return WorkFolder(tmp_path / "train", claim, "this run")


@pytest.fixture
def free(monkeypatch) -> list[int]:
    """The free bytes of the disk."""
    free_bytes = [1000 * GIB]
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, free_bytes[0]))
    return free_bytes


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """The signals that reach the handlers from before the training."""
    got: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda number, _: got.append(number)) for number in numbers]
    yield got
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


class Training:
    """Calls the callbacks as `Trainer` does, one step at a time."""

    def __init__(
        self, callback: Any, clock: Clock, work_folder: WorkFolder, steps: int = 1000, begun: int = 0, **state: Any
    ) -> None:
        self.callback = callback
        self.clock = clock
        self.args = TrainingArguments(output_dir=str(work_folder.path), use_cpu=True, report_to="none")
        self.state = TrainerState(max_steps=steps, global_step=begun, **state)
        self.control = TrainerControl()
        callback.on_train_begin(self.args, self.state, self.control)

    def step(self, seconds: float = 0.0) -> TrainerControl:
        """Run a step of `seconds`; return the control flags after it."""
        self.control = TrainerControl()
        self.state.global_step += 1
        self.clock.now += seconds
        self.callback.on_step_end(self.args, self.state, self.control)
        return self.control

    def save(self, seconds: float = 0.0) -> None:
        """Write the requested checkpoint, in `seconds`."""
        Path(self.args.output_dir or "", f"checkpoint-{self.state.global_step}").mkdir(parents=True)
        self.clock.now += seconds
        self.callback.on_save(self.args, self.state, self.control)


@pytest.fixture
def start(clock: Clock, work_folder: WorkFolder, free: list[int], signals: list[int]) -> Iterator[Any]:
    """Return a function that starts a training run with checkpoints of 10 GiB."""
    started: list[Checkpoints] = []

    def begin(**kwargs: Any) -> Training:
        started.append(Checkpoints(work_folder, 10 * GIB))
        return Training(started[-1], clock, work_folder, **kwargs)

    yield begin
    for checkpoints in started:
        checkpoints.restore_signals()


def test_a_checkpoint_is_due_after_half_a_minute_and_then_after_another(start):
    training = start()
    assert not training.step(29).should_save
    assert training.step(1).should_save
    training.save()
    assert not training.step(29).should_save
    assert training.step(1).should_save


def test_saving_takes_a_twentieth_of_the_time_at_most(start):
    training = start()
    assert training.step(30).should_save
    training.save(seconds=10)
    assert not training.step(199).should_save
    assert training.step(1).should_save
    training.save(seconds=1)
    assert training.step(30).should_save


@pytest.mark.parametrize(("given", "seconds"), [("5", 5), ("", 30), ("0.5", 0.5)])
def test_the_environment_sets_the_checkpoint_interval(monkeypatch, start, given, seconds):
    monkeypatch.setenv("ALLOY_CHECKPOINT_SECONDS", given)
    training = start()
    assert not training.step(seconds - 0.1).should_save
    assert training.step(0.1).should_save


@pytest.mark.parametrize("given", ["often", "-1", "nan"])
def test_an_invalid_number_of_seconds_names_the_variable(monkeypatch, work_folder, given):
    monkeypatch.setenv("ALLOY_CHECKPOINT_SECONDS", given)
    with pytest.raises(InputError, match=rf"^ALLOY_CHECKPOINT_SECONDS: .* got '{given}'"):
        Checkpoints(work_folder, 1)


def test_an_interval_of_0_seconds_saves_after_every_step(monkeypatch, start):
    monkeypatch.setenv("ALLOY_CHECKPOINT_SECONDS", "0")
    training = start()
    for _ in range(3):
        assert training.step().should_save
        training.save(seconds=10)


def test_after_the_last_step_no_checkpoint_is_due(start):
    training = start(steps=1)
    control = training.step(3600)
    assert not control.should_save
    assert not control.should_training_stop


def test_a_checkpoint_is_complete_once_it_is_written_and_replaces_earlier_ones(start, work_folder):
    training = start()
    training.step(30)
    training.save()
    assert work_folder.find_checkpoint("train") == work_folder.path / "checkpoint-1"
    training.step(30)
    (work_folder.path / "checkpoint-2").mkdir()
    assert work_folder.find_checkpoint("train") == work_folder.path / "checkpoint-1"
    (work_folder.path / "checkpoint-2").rmdir()
    training.save()
    assert work_folder.find_checkpoint("train") == work_folder.path / "checkpoint-2"
    assert [path.name for path in work_folder.path.iterdir()] == ["checkpoint-2"]
    assert [path.name for path in (work_folder.path / "checkpoint-2").iterdir()] == [SEAL]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_requests_a_checkpoint_and_a_stop_after_the_step(start, signals, number):
    training = start()
    signal.raise_signal(number)
    control = training.step()
    assert (control.should_save, control.should_training_stop) == (True, True)
    assert training.callback.stopped
    assert signals == []


def test_without_a_signal_the_training_continues(start):
    training = start()
    control = training.step(30)
    assert (control.should_save, control.should_training_stop) == (True, False)
    assert not training.callback.stopped


def test_a_second_signal_goes_to_the_previous_handler(start, signals):
    start()
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    assert signals == [signal.SIGINT]


def test_the_signal_handlers_are_restored(start, signals):
    training = start()
    training.callback.restore_signals()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert signals == [signal.SIGTERM, signal.SIGINT]


def test_signals_of_a_training_run_that_never_started_are_not_changed(work_folder, signals):
    Checkpoints(work_folder, 1).restore_signals()
    signal.raise_signal(signal.SIGTERM)
    assert signals == [signal.SIGTERM]


def test_a_signal_in_the_last_step_lets_the_training_finish(start):
    training = start(steps=1)
    signal.raise_signal(signal.SIGTERM)
    assert not training.step().should_training_stop
    assert not training.callback.stopped


def test_a_training_run_that_a_later_run_takes_over_saves_and_stops(start, work_folder):
    training = start()
    assert not training.step().should_training_stop
    work_folder.claim.write_text("a later run")
    control = training.step()
    assert (control.should_save, control.should_training_stop) == (True, True)


def test_a_training_run_without_a_claim_is_superseded(start, work_folder):
    training = start()
    work_folder.claim.unlink()
    assert training.step().should_training_stop


def test_a_checkpoint_that_does_not_fit_on_the_disk_stops_the_run_before_it_is_written(start, free):
    training = start()
    free[0] = 10 * GIB
    assert training.step(30).should_save
    training.save()
    free[0] = 10 * GIB - 1
    with pytest.raises(InputError, match=r"train: .*\b10\.0 GiB.*\b10\.0 GiB"):
        training.step(30)
    assert not training.control.should_save


def test_disk_space_is_only_checked_when_a_checkpoint_is_due(start, free):
    training = start()
    free[0] = 0
    assert not training.step(1).should_save


def test_a_full_disk_is_an_error_with_the_needed_and_the_free_space(tmp_path, free):
    free[0] = 3 * GIB // 2
    check_disk_space(tmp_path, 3 * GIB // 2)
    with pytest.raises(InputError) as error:
        check_disk_space(tmp_path, 4 * GIB)
    line = str(error.value)
    assert line.startswith(f"{tmp_path}: ")
    assert re.findall(r"[\d.]+ GiB", line) == ["4.0 GiB", "1.5 GiB"]
    assert "`dvc repro`" in line


@pytest.fixture
def progress(clock: Clock, work_folder: WorkFolder) -> Iterator[Training]:
    """A training run with steps of 100 tokens that was resumed after 50 seconds."""
    callback = Progress("train", "train", [100] * 1000, seconds=50.0)
    training = Training(callback, clock, work_folder)
    yield training
    callback.on_train_end(training.args, training.state, training.control)


def log_loss(training: Training, **logs: float) -> None:
    training.callback.on_log(training.args, training.state, training.control, logs=logs)


def test_the_training_time_adds_up_over_sessions_without_the_time_between_them(progress, clock):
    progress.step(2)
    progress.step(3)
    assert progress.callback.seconds == 55
    clock.now += 1000
    assert progress.callback.seconds == 55


def test_a_checkpoint_keeps_the_seconds_of_training(progress):
    progress.step(5)
    assert progress.callback.state() == {"args": {}, "attributes": {"seconds": 55.0}}


class Terminal(io.StringIO):
    """A stream that is a terminal according to `isatty`."""

    def isatty(self) -> bool:
        return True


def test_the_bar_starts_at_the_current_step_and_shows_the_loss_and_the_speed_of_this_session(clock, work_folder):
    with redirect_stderr(Terminal()) as terminal:
        callback = Progress("train", "train", [100] * 1000, seconds=50.0)
        training = Training(callback, clock, work_folder, begun=400)
        for _ in range(2):
            training.step(2)
            log_loss(training, loss=1.23456)
        callback.on_train_end(training.args, training.state, training.control)
    first, *_, last = re.split("[\r\n]+", terminal.getvalue().strip())
    assert re.match(r"train: +40%.* 400/1000 ", first)
    assert re.match(r"train: +40%.* 402/1000 .*, loss 1\.235, 50 tokens/s\]", last)


@pytest.mark.parametrize("screen", [Terminal(), io.StringIO()], ids=["beside rank 0", "in a log"])
def test_the_bar_is_shown_on_a_terminal_of_rank_0_only(clock, work_folder, screen):
    with redirect_stderr(screen):
        callback = Progress("train", "train", [100] * 1000)
        training = Training(callback, clock, work_folder, is_world_process_zero=not screen.isatty())
        training.step()
        log_loss(training, loss=1.0)
        callback.on_train_end(training.args, training.state, training.control)
    assert not screen.getvalue()


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_the_step_and_the_setting(clock, work_folder, loss):
    callback = Progress("base", "model.scratch.train", [100] * 1000)
    training = Training(callback, clock, work_folder)
    training.step()
    training.step()
    with pytest.raises(InputError) as error:
        log_loss(training, loss=loss)
    line = str(error.value)
    assert f"loss became {loss} in step 2;" in line
    assert "model.scratch.train.lr" in line


def test_a_log_without_a_loss_is_ignored(clock, work_folder):
    with redirect_stderr(Terminal()) as terminal:
        callback = Progress("train", "train", [100] * 1000)
        training = Training(callback, clock, work_folder)
        log_loss(training, train_runtime=1.0)
        callback.on_log(training.args, training.state, training.control)
        callback.on_train_end(training.args, training.state, training.control)
    assert "loss" not in terminal.getvalue()
