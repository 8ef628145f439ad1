"""How fast a service may be asked: one pace for all requests, since they share one quota."""

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds
SPEED_UP = 0.98  # of the time between requests, after each that was answered
SLICE = 0.25  # seconds after which a waiting request looks whether it may go earlier


class Pace:
    """Lets requests go as fast as the service takes them.

    1. At first nothing is waited for.
    2. When the service is busy, all wait: as long as it says, else 1, 2, 4 .. 60 seconds, and a little more by chance.
       Then one request at a time finds out whether it still is.
    3. From then on requests go at the rate that the service has granted since it was busy last, slowly faster.
    """

    def __init__(self) -> None:
        """Start without waiting."""
        self.rounds = 0  # times in a row that the service was busy
        self._free_at = 0.0  # when the next request may go
        self._pause = self._interval = 0.0
        self._busy_at = 0.0
        self._since, self._granted = time.monotonic(), 0

    async def turn(self, stopped: Callable[[], object]) -> float:
        """Wait until a request may go, or all is `stopped`, and return the time."""
        await wait_until(lambda: self._free_at, stopped)
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + (self._pause if self.rounds else self._interval)
        return now

    def answered(self, asked_at: float) -> None:
        """Note that a request which went at `asked_at` was taken."""
        self._granted += 1
        self._interval *= SPEED_UP
        if self.rounds and asked_at >= self._busy_at:
            self.rounds = 0
            self._free_at = time.monotonic() + self._interval

    def busy(self, asked_at: float, retry_after: float | None) -> None:
        """Note that the service was too busy for a request which went at `asked_at`."""
        now = time.monotonic()
        if asked_at >= self._busy_at:  # else it was under way when all were slowed down
            if not self.rounds and self._granted:
                self._interval = min((now - self._since) / self._granted, LONGEST_PAUSE)
                self._since, self._granted = now, 0
            self.rounds += 1
            self._busy_at = now
            pause = min(FIRST_PAUSE * 2 ** (self.rounds - 1), LONGEST_PAUSE) * random.uniform(1.0, 1.25)
            if retry_after is not None:  # if it has said so in vain, it is not believed
                pause = retry_after if self.rounds <= 3 else max(retry_after, pause)
            self._pause = pause
            self._free_at = max(self._free_at, now + pause)
        elif retry_after is not None:
            self._free_at = max(self._free_at, now + retry_after)


async def wait_until(moment: Callable[[], float], stopped: Callable[[], object]) -> None:
    """Wait until `moment`, which may change meanwhile, or until all is `stopped`."""
    while (wait := moment() - time.monotonic()) > 0 and not stopped():
        await asyncio.sleep(min(wait, SLICE))


def retry_after(headers: Mapping[str, str], body: str = "") -> float | None:
    """Return for how many seconds a service wants to be left alone; None if it does not say.

    It says so in milliseconds (OpenAI, Azure), in seconds, as a date, or in the body (Gemini: `"retryDelay": "21s"`).
    """
    found = {name.lower(): value for name, value in headers.items()}
    try:
        if "retry-after-ms" in found:
            return max(0.0, float(found["retry-after-ms"]) / 1000)
        if given := found.get("retry-after"):
            if re.fullmatch(r"[\d.]+", given):
                return float(given)
            return max(0.0, (parsedate_to_datetime(given) - datetime.now(tz=UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
    delay = re.search(r'"retryDelay":\s*"([\d.]+)s"', body)
    return float(delay[1]) if delay else None
