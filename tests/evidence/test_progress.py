"""The time left is estimated from expected stage times and the speed of this machine."""

import re

import pytest

from alloy.evidence.progress import Progress, estimate_stage_seconds

EXPECTED = {"base": 100.0, "train": 200.0, "mmlu@tuned": 100.0}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_shared_stages_count_only_for_the_first_run(clock: Clock) -> None:
    progress = Progress(3, EXPECTED, {"base"}, clock)
    progress.start_run()
    assert progress.estimate_seconds_left() == 400 + 2 * 300


def test_on_a_machine_of_half_the_speed_the_time_left_doubles(clock: Clock) -> None:
    progress = Progress(2, EXPECTED, {"base"}, clock)
    progress.start_run()
    progress.read_line("Running stage 'base':")
    clock.now = 200
    message = progress.read_line("\x1b[32mRunning stage 'train':\x1b[0m")
    assert message is not None
    assert "stage train" in message
    assert re.findall(r"\d+", message) == ["1", "2", "3", "20"]  # run 1 of 2, 3 min so far, 20 min left
    assert progress.estimate_seconds_left() == 2 * (300 + 300)
    assert progress.seconds == {"base": 200}


def test_cached_stages_take_no_time_and_stages_of_data_sets_are_recognized(clock: Clock) -> None:
    progress = Progress(1, EXPECTED, set(), clock)
    progress.start_run()
    progress.read_line("Stage 'base' didn't change, skipping")
    progress.read_line("Stage 'train' is cached - skipping run, checking out outputs")
    assert progress.estimate_seconds_left() == 100
    progress.read_line("Running stage 'data/mams/dvc.yaml:convert':")
    assert progress.stage == "convert"
    clock.now = 5
    progress.end_stage()
    assert progress.seconds == {"convert": 5}


def test_without_expected_times_the_time_left_is_unknown(clock: Clock) -> None:
    progress = Progress(1, {}, set(), clock)
    progress.start_run()
    message = progress.read_line("Running stage 'base':")
    assert message is not None
    assert "stage base" in message
    assert re.findall(r"\d+", message) == ["1", "1", "0"]  # run 1 of 1, 0 min so far
    assert progress.read_line("base: 3 rows") is None


def test_measured_times_replace_declared_ones() -> None:
    records = [{"seconds": {"train": 50.0, "base": 9.0}}, {"seconds": {"train": 60.0}}]
    assert estimate_stage_seconds({"train": 10.0, "mmlu@base": 7.0}, records) == {
        "train": 60.0, "mmlu@base": 7.0, "base": 9.0,
    }  # fmt: skip
