"""One rate for all requests: after a pause, requests go at the rate at which the service answers."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from alloy.inference import rate_limiter
from alloy.inference.rate_limiter import RateLimiter, read_retry_after


def never_stop() -> bool:
    return False


def wait_turns(shared: RateLimiter, count: int) -> list[float]:
    """Return when each of `count` waiting requests may go, in seconds from now."""
    start = time.monotonic()

    async def all_turns() -> list[float]:
        return await asyncio.gather(*(shared.wait_for_turn(never_stop) for _ in range(count)))

    return sorted(moment - start for moment in asyncio.run(all_turns()))


def test_requests_do_not_wait_until_the_service_is_busy():
    assert wait_turns(RateLimiter(), 50)[-1] < 0.2


def test_all_requests_wait_as_long_as_the_service_says_then_go_one_at_a_time():
    shared = RateLimiter()
    shared.record_busy(time.monotonic(), 0.3)
    first, second, *_ = wait_turns(shared, 3)
    assert 0.3 <= first < 0.6
    assert second - first >= 0.3


def test_pauses_double_and_a_burst_counts_once(monkeypatch):
    monkeypatch.setattr(rate_limiter, "FIRST_PAUSE", 0.1)
    shared = RateLimiter()
    sent = time.monotonic()
    for _ in range(16):
        shared.record_busy(sent, None)
    assert shared.busy_in_a_row == 1
    assert 0.1 <= wait_turns(shared, 1)[0] < 0.4
    shared.record_busy(time.monotonic(), None)
    assert shared.busy_in_a_row == 2
    assert 0.2 <= wait_turns(shared, 1)[0] < 0.6


def test_after_an_answer_the_pause_ends():
    shared = RateLimiter()
    shared.record_busy(time.monotonic(), 30.0)
    shared.record_answer(time.monotonic())
    assert (shared.busy_in_a_row, wait_turns(shared, 5)[-1] < 0.2) == (0, True)


def test_an_answer_to_an_earlier_request_does_not_end_the_pause():
    shared = RateLimiter()
    sent = time.monotonic()
    shared.record_busy(sent, 0.3)
    shared.record_answer(sent - 1)
    assert shared.busy_in_a_row == 1


def test_after_a_pause_requests_go_at_the_rate_of_earlier_answers(monkeypatch):
    monkeypatch.setattr(rate_limiter, "FIRST_PAUSE", 0.01)
    shared = RateLimiter()
    for _ in range(2):  # ten answers, then busy, twice
        for _ in range(10):
            time.sleep(0.01)
            shared.record_answer(time.monotonic())
        shared.record_busy(time.monotonic(), None)
    shared.record_answer(time.monotonic())
    waits = wait_turns(shared, 6)
    assert 0.03 < waits[-1] < 1.0


def test_a_stopped_job_does_not_wait():
    shared = RateLimiter()
    shared.record_busy(time.monotonic(), 60.0)
    start = time.monotonic()
    asyncio.run(shared.wait_for_turn(lambda: True))
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, "", 1.5),
        ({"Retry-After": "7"}, "", 7.0),
        ({"Retry-After": "soon"}, "", None),
        ({}, '{"details": [{"retryDelay": "21s"}]}', 21.0),
        ({}, '{"details": [{"retryDelay": "1.2.3s"}]}', None),
        ({"Retry-After": "1.2.3"}, "", None),
        ({}, "", None),
    ],
)
def test_the_time_to_retry_after_is_read_in_every_form(headers, body, seconds):
    assert read_retry_after(headers, body) == seconds


def test_a_date_to_retry_after_is_read():
    when = format_datetime(datetime.now(tz=UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < (read_retry_after({"retry-after": when}) or 0) <= 30
