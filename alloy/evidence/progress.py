"""Progress of an experiment, from the lines that DVC prints: which run, which stage, and the time left."""

import re
import time
from collections.abc import Callable

from alloy.core.files import Row

_RUNNING = re.compile(r"Running stage '(?:.*:)?([^':]+)'")
_SKIPPED = re.compile(r"Stage '(?:.*:)?([^':]+)' (?:didn't change|is cached)")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
MIN_MEASURED_SECONDS = 30.0  # before that, the speed of this machine is not estimated


class Progress:
    """Follow the lines that DVC prints, and estimate the time left.

    `expected`: seconds per stage, measured on some machine; they are scaled by the speed of this machine so far.
    `shared`: stages that only the first run executes, for all runs. `seconds`: measured seconds of each stage of the
    current run.
    """

    def __init__(
        self, runs: int, expected: dict[str, float], shared: set[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._runs, self._run_number = runs, 0
        self._expected, self._shared, self._clock = expected, shared, clock
        self._start_time = clock()
        self._measured_seconds = self._expected_seconds = 0.0  # of finished stages
        self._pending: set[str] = set()
        self.stage, self._stage_start = "", 0.0
        self.seconds: Row = {}

    def start_run(self) -> None:
        """Note that the next run starts."""
        self._run_number += 1
        self._pending = set(self._expected) - (self._shared if self._run_number > 1 else set())
        self.seconds, self.stage = {}, ""

    def read_line(self, line: str) -> str | None:
        """Process a line that DVC printed; return a message if a stage starts."""
        text = _COLORS.sub("", line)
        if skipped := _SKIPPED.search(text):
            self.end_stage()
            self._pending.discard(skipped[1])
        if not (started := _RUNNING.search(text)):
            return None
        self.end_stage()
        self.stage, self._stage_start = started[1], self._clock()
        return f"evidence: run {self._run_number} of {self._runs}, stage {self.stage}; {self._describe_time()}"

    def end_stage(self) -> None:
        """Note that the current stage has ended."""
        if not self.stage:
            return
        seconds = self._clock() - self._stage_start
        self.seconds[self.stage] = round(seconds, 1)
        if self.stage in self._expected:
            self._measured_seconds, self._expected_seconds = (
                self._measured_seconds + seconds,
                self._expected_seconds + self._expected[self.stage],
            )
        self._pending.discard(self.stage)
        self.stage = ""

    def estimate_seconds_left(self) -> float | None:
        """Return the estimated seconds left, or None if no stage has an expected time.

        1. Sum the expected seconds of the pending stages of this run, and of the stages of all later runs.
        2. Multiply by the speed so far: measured / expected seconds of finished stages.
        """
        if not self._expected:
            return None
        later = sum(value for stage, value in self._expected.items() if stage not in self._shared)
        remaining = sum(self._expected[stage] for stage in self._pending) + later * (self._runs - self._run_number)
        speed = (
            self._measured_seconds / self._expected_seconds if self._expected_seconds >= MIN_MEASURED_SECONDS else 1.0
        )
        return remaining * speed

    def _describe_time(self) -> str:
        left = self.estimate_seconds_left()
        so_far = f"{_format_minutes(self._clock() - self._start_time)} so far"
        return so_far if left is None else f"{so_far}, about {_format_minutes(left)} left"


def _format_minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 120 else f"{minutes} min"


def estimate_stage_seconds(declared: Row, records: list[Row]) -> dict[str, float]:
    """Return the seconds of each stage: the largest value in the records, else the one the experiment declares."""
    measured: dict[str, float] = {}
    for record in records:
        for stage, value in record["seconds"].items():
            measured[stage] = max(value, measured.get(stage, 0.0))
    return {**declared, **measured}
