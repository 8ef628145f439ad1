"""How far an experiment is: which run, which stage, and how long it will take, by what DVC prints."""

import re
import time
from collections.abc import Callable

from alloy.core.files import Row

_RUNNING = re.compile(r"Running stage '(?:.*:)?([^':]+)'")
_SKIPPED = re.compile(r"Stage '(?:.*:)?([^':]+)' (?:didn't change|is cached)")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
ENOUGH = 30.0  # seconds that must have been measured before they say how fast this machine is


class Progress:
    """Follows the lines that DVC prints.

    `expected`: seconds that stages take, as measured on some machine; they are scaled by what this one took so far.
    `shared`: stages that the first run makes for all. `seconds`: what the stages of the run in hand took.
    """

    def __init__(
        self, runs: int, expected: dict[str, float], shared: set[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._runs, self._run = runs, 0
        self._expected, self._shared, self._clock = expected, shared, clock
        self._began = clock()
        self._spent = self._foreseen = 0.0  # of stages that ran to their end
        self._todo: set[str] = set()
        self.stage, self._since = "", 0.0
        self.seconds: Row = {}

    def start(self) -> None:
        """Note that the next run starts."""
        self._run += 1
        self._todo = set(self._expected) - (self._shared if self._run > 1 else set())
        self.seconds, self.stage = {}, ""

    def see(self, line: str) -> str | None:
        """Take a line that DVC printed; return what there is to say when a stage starts."""
        text = _COLORS.sub("", line)
        if skipped := _SKIPPED.search(text):
            self.end_stage()
            self._todo.discard(skipped[1])
        if not (started := _RUNNING.search(text)):
            return None
        self.end_stage()
        self.stage, self._since = started[1], self._clock()
        return f"evidence: run {self._run} of {self._runs}, stage {self.stage}; {self._time()}"

    def end_stage(self) -> None:
        """Note that the stage in hand has ended."""
        if not self.stage:
            return
        took = self._clock() - self._since
        self.seconds[self.stage] = round(took, 1)
        if self.stage in self._expected:
            self._spent, self._foreseen = self._spent + took, self._foreseen + self._expected[self.stage]
        self._todo.discard(self.stage)
        self.stage = ""

    def left(self) -> float | None:
        """Return the seconds that are left, None if nothing is known of them."""
        if not self._expected:
            return None
        later = sum(value for stage, value in self._expected.items() if stage not in self._shared)
        ahead = sum(self._expected[stage] for stage in self._todo) + later * (self._runs - self._run)
        speed = self._spent / self._foreseen if self._foreseen >= ENOUGH else 1.0
        return ahead * speed

    def _time(self) -> str:
        left = self.left()
        so_far = f"{_minutes(self._clock() - self._began)} so far"
        return so_far if left is None else f"{so_far}, about {_minutes(left)} left"


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 120 else f"{minutes} min"


def expected_seconds(declared: Row, records: list[Row]) -> dict[str, float]:
    """Return the seconds of each stage: the longest that a record has, else those that the experiment declares."""
    measured: dict[str, float] = {}
    for record in records:
        for stage, value in record["seconds"].items():
            measured[stage] = max(value, measured.get(stage, 0.0))
    return {**declared, **measured}
