"""Limits the rate of requests to a service: one rate for all requests, since they share one quota."""

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds
SPEED_UP = 0.98  # the interval between requests is multiplied by this after each answer
POLL_SECONDS = 0.25  # how often a waiting request checks if it may go earlier


class RateLimiter:
    """Sends requests as fast as the service accepts them.

    Algorithm:

    1. At first, requests do not wait.
    2. When the service is too busy, all requests wait. The pause is what the service requests, else 1, 2, 4, ..., 60
       seconds plus up to a quarter at random. After it, one request per pause tests if the service is still busy.
    3. After the next answer, requests go at the mean rate of the answers between the last two times that the service
       became busy (or since the start). Each answer raises this rate by 2 %.

    Example: 100 answers came in 20 seconds, then the service was busy. After the pause, requests go 0.2 seconds apart.
    """

    def __init__(self) -> None:
        """Start without a limit."""
        self.busy_in_a_row = 0  # how often the service was busy since its last answer
        self._free_at = 0.0  # when the next request may go
        self._pause = self._interval = 0.0
        self._busy_at = 0.0
        self._since, self._answers = time.monotonic(), 0  # answers since that time

    async def wait_for_turn(self, stopped: Callable[[], object]) -> float:
        """Wait until a request may go, or until `stopped` returns true. Return the time."""
        await wait_until(lambda: self._free_at, stopped)
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + (self._pause if self.busy_in_a_row else self._interval)
        return now

    def record_answer(self, asked_at: float) -> None:
        """Record that the service answered a request that was sent at `asked_at`."""
        self._answers += 1
        self._interval *= SPEED_UP
        if self.busy_in_a_row and asked_at >= self._busy_at:
            self.busy_in_a_row = 0
            self._free_at = time.monotonic() + self._interval

    def record_busy(self, asked_at: float, retry_after: float | None) -> None:
        """Record that the service was too busy for a request that was sent at `asked_at`."""
        now = time.monotonic()
        if asked_at >= self._busy_at:  # a request from before the last pause has no new information
            if not self.busy_in_a_row and self._answers:
                self._interval = min((now - self._since) / self._answers, LONGEST_PAUSE)
                self._since, self._answers = now, 0
            self.busy_in_a_row += 1
            self._busy_at = now
            pause = min(FIRST_PAUSE * 2 ** (self.busy_in_a_row - 1), LONGEST_PAUSE) * random.uniform(1.0, 1.25)
            if retry_after is not None:  # after three pauses that were too short, wait longer than the service says
                pause = retry_after if self.busy_in_a_row <= 3 else max(retry_after, pause)
            self._pause = pause
            self._free_at = max(self._free_at, now + pause)
        elif retry_after is not None:
            self._free_at = max(self._free_at, now + retry_after)


async def wait_until(moment: Callable[[], float], stopped: Callable[[], object]) -> None:
    """Wait until the time that `moment` returns, which may change meanwhile, or until `stopped` returns true."""
    while (wait := moment() - time.monotonic()) > 0 and not stopped():
        await asyncio.sleep(min(wait, POLL_SECONDS))


def read_retry_after(headers: Mapping[str, str], body: str = "") -> float | None:
    """Return how many seconds a service asks to wait before the next request; None if it does not say.

    The time is in the header `retry-after-ms` (OpenAI, Azure), in `retry-after` as seconds or as a date, or in the body
    (Gemini: `"retryDelay": "21s"`).
    """
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        if "retry-after-ms" in lower:
            return max(0.0, float(lower["retry-after-ms"]) / 1000)
        if value := lower.get("retry-after"):
            if re.fullmatch(r"[\d.]+", value):
                return float(value)
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(tz=UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
    delay = re.search(r'"retryDelay":\s*"(\d+(?:\.\d+)?)s"', body)
    return float(delay[1]) if delay else None
