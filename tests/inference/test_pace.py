"""One pace for all requests: a busy service is left alone, then asked at the rate that it grants."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from alloy.inference import pace
from alloy.inference.pace import Pace, retry_after


def never() -> bool:
    return False


def turns(shared: Pace, count: int) -> list[float]:
    """Return when `count` requests that wait together may go, in seconds from now."""
    start = time.monotonic()

    async def all_turns() -> list[float]:
        return await asyncio.gather(*(shared.turn(never) for _ in range(count)))

    return sorted(moment - start for moment in asyncio.run(all_turns()))


def test_nothing_is_waited_for_until_the_service_is_busy():
    assert turns(Pace(), 50)[-1] < 0.2


def test_all_wait_as_long_as_the_service_says_then_one_goes_at_a_time():
    shared = Pace()
    shared.busy(time.monotonic(), 0.3)
    first, second, *_ = turns(shared, 3)
    assert 0.3 <= first < 0.6
    assert second - first >= 0.3


def test_pauses_double_and_a_burst_counts_once(monkeypatch):
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.1)
    shared = Pace()
    sent = time.monotonic()
    for _ in range(16):
        shared.busy(sent, None)
    assert shared.rounds == 1
    assert 0.1 <= turns(shared, 1)[0] < 0.4
    shared.busy(time.monotonic(), None)
    assert shared.rounds == 2
    assert 0.2 <= turns(shared, 1)[0] < 0.6


def test_after_an_answer_nobody_waits_for_the_rest_of_the_pause():
    shared = Pace()
    shared.busy(time.monotonic(), 30.0)
    shared.answered(time.monotonic())
    assert (shared.rounds, turns(shared, 5)[-1] < 0.2) == (0, True)


def test_an_answer_that_was_under_way_when_the_service_became_busy_ends_no_pause():
    shared = Pace()
    sent = time.monotonic()
    shared.busy(sent, 0.3)
    shared.answered(sent - 1)
    assert shared.rounds == 1


def test_requests_then_go_at_the_rate_that_was_granted(monkeypatch):
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.01)
    shared = Pace()
    for _ in range(2):  # ten answers, then busy, twice
        for _ in range(10):
            time.sleep(0.01)
            shared.answered(time.monotonic())
        shared.busy(time.monotonic(), None)
    shared.answered(time.monotonic())
    waits = turns(shared, 6)
    assert 0.03 < waits[-1] < 1.0


def test_a_stopped_job_waits_no_longer():
    shared = Pace()
    shared.busy(time.monotonic(), 60.0)
    start = time.monotonic()
    asyncio.run(shared.turn(lambda: True))
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, "", 1.5),
        ({"Retry-After": "7"}, "", 7.0),
        ({"Retry-After": "soon"}, "", None),
        ({}, '{"details": [{"retryDelay": "21s"}]}', 21.0),
        ({}, "", None),
    ],
)
def test_how_long_a_service_wants_to_be_left_alone_is_read_in_every_form(headers, body, seconds):
    assert retry_after(headers, body) == seconds


def test_a_date_to_come_back_at_is_read():
    when = format_datetime(datetime.now(tz=UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < (retry_after({"retry-after": when}) or 0) <= 30
