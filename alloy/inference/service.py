"""Sends requests to a service: several at a time, with retries. A request that fails does not stop the others.

An error can concern one request (its text is blocked) or all of them (a wrong model name), and services do not say
which. A check request decides: the same instructions with a harmless text instead of the comment. If the service
answers it, the error concerned the request, and the job continues.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import length_hint

from alloy.core.files import InputError
from alloy.inference.engine import UNANSWERED, Completion, Finish, OnCompletion, Request
from alloy.inference.rate_limiter import RateLimiter, wait_until
from alloy.inference.service_errors import TEMPORARY, ErrorKind, ServiceError
from alloy.inference.settings import Infer

MAX_FAILURES = 10  # after this many failed requests in a row, the check request is sent
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds between two attempts of one request
FINISHES = {ErrorKind.context: Finish.context, ErrorKind.refused: Finish.refused}
CHECK_TEXT = "Hello"
CHECK = -1  # index of the check request; engines keep it after the last request
Send = Callable[[int], Awaitable[Completion]]


@dataclass
class Service:
    """A service, and the state that all requests to it share; error messages call it `name`.

    When an error stops the job:

    1. At once if no request can succeed (an invalid key), or if there is no connection and never was one.
    2. If the service has not answered any request yet, and an error may concern all requests (an unknown model, a web
       page instead of an answer): if the check request fails too.
    3. After `MAX_FAILURES` failed requests in a row: if the check request fails too.
    """

    name: str
    infer: Infer
    rate_limiter: RateLimiter = field(default_factory=RateLimiter)
    reached: bool = False  # the service has replied to a request, maybe with an error
    works: bool = False  # the service has answered a request
    failures: int = 0  # failed requests in a row, each after its retries
    last_failure: ErrorKind = ErrorKind.failed
    stop: InputError | None = None  # why the job must stop

    async def answer_all(self, count: int, send: Send, on_completion: OnCompletion) -> list[Completion]:
        """Return the completions of `count` requests, and call `on_completion` with each when it ends.

        `send` makes one attempt at the request with an index, or at the check request (`CHECK`). It raises
        `ServiceError` if there is no answer. If the job must stop, no more requests are sent, and those that are
        running may still end. Then the error is raised.
        """
        completions: dict[int, Completion] = {}
        indices = iter(range(count))
        check_lock = asyncio.Lock()  # workers that see the same error send one check request

        async def run_worker() -> None:
            for index in indices:
                if self.stop:
                    return
                completion = await self._answer_request(index, send, check_lock)
                if completion is None:
                    return
                completions[index] = completion
                on_completion(index, completion)
                if length_hint(indices) > 0:
                    await self._check_after_failures(send, check_lock)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.infer.concurrency, count)):
                    group.create_task(run_worker())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if self.stop:
            raise self.stop
        return [completions[index] for index in range(count)]

    async def _answer_request(self, index: int, send: Send, check_lock: asyncio.Lock) -> Completion | None:
        """Send a request until it is answered or has no attempts left. Return its completion; None if the job stops."""
        attempts = 0
        while True:
            asked_at = await self.rate_limiter.wait_for_turn(self._is_stopped)
            if self.stop:
                return None
            try:
                completion = await send(index)
            except ServiceError as error:
                attempts += 1
                if await self._must_stop(error, send, check_lock):
                    return None
                if error.kind is ErrorKind.busy:
                    self.rate_limiter.record_busy(asked_at, error.retry_after)
                    give_up = max(attempts, self.rate_limiter.busy_in_a_row) > self.infer.retries
                elif error.kind in (*TEMPORARY, ErrorKind.malformed):
                    give_up = attempts > self.infer.retries
                else:
                    give_up = True
                if give_up:
                    return self._make_unanswered(error, attempts, asked_at)
                if error.kind is not ErrorKind.busy:  # if it is busy, the rate limiter waits
                    await self._wait_before_retry(attempts, error.retry_after)
            else:
                self.works |= completion.finish not in UNANSWERED
                self._record_reply(asked_at)
                return completion

    async def _wait_before_retry(self, attempts: int, retry_after: float | None) -> None:
        wait = retry_after
        if wait is None:
            wait = min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT) * random.uniform(0.75, 1.25)
        until = time.monotonic() + wait
        await wait_until(lambda: until, self._is_stopped)

    def _is_stopped(self) -> bool:
        return self.stop is not None

    def _record_reply(self, asked_at: float) -> None:
        """Record that the service read a request and replied, so it is neither down nor busy."""
        self.reached, self.failures = True, 0
        self.rate_limiter.record_answer(asked_at)

    async def _must_stop(self, error: ServiceError, send: Send, check_lock: asyncio.Lock) -> bool:
        """Return whether the job must stop because of an error; if so, keep why in `stop`."""
        if error.kind is ErrorKind.fatal or (error.kind is ErrorKind.unreachable and not self.reached):
            self._stop_job(error.reason)
        self.reached |= error.kind is not ErrorKind.unreachable
        if error.kind in (ErrorKind.misconfigured, ErrorKind.malformed):
            async with check_lock:
                if not self.works and not self.stop:
                    check_error = await self._send_check(send)
                    if check_error and check_error.kind not in TEMPORARY:
                        self._stop_job(check_error.reason)
        return self._is_stopped()

    async def _check_after_failures(self, send: Send, check_lock: asyncio.Lock) -> None:
        """After `MAX_FAILURES` failed requests in a row, stop the job if the check request fails too.

        If the service rejected the requests, a temporary error of the check request says nothing about them.
        """
        async with check_lock:
            if self.failures < MAX_FAILURES or self.stop:
                return
            error = await self._send_check(send)
            if error and (self.last_failure in TEMPORARY or error.kind not in TEMPORARY):
                self._stop_job(f"{self.failures} requests in a row failed, and a short test too: {error.reason}")
            self.failures = 0

    async def _send_check(self, send: Send) -> ServiceError | None:
        """Send the check request once. Return its error, or None if it was answered."""
        asked_at = await self.rate_limiter.wait_for_turn(self._is_stopped)
        try:
            completion = await send(CHECK)
        except ServiceError as error:
            if error.kind is ErrorKind.busy:
                self.rate_limiter.record_busy(asked_at, error.retry_after)
            return error
        self.works |= completion.finish not in UNANSWERED
        self._record_reply(asked_at)
        return None

    def _stop_job(self, reason: str) -> None:
        advice = "fix this and run the same command again (answers so far are kept)"
        self.stop = self.stop or InputError(f"infer.engine: {self.name}: {reason}; {advice}")

    def _make_unanswered(self, error: ServiceError, attempts: int, asked_at: float) -> Completion:
        """Return the completion of a request without an answer."""
        finish = FINISHES.get(error.kind, Finish.failed)
        if finish is Finish.failed:
            self.failures += 1
            self.last_failure = error.kind
        else:  # the service read the request
            self._record_reply(asked_at)
        reason = f"{error.reason} ({attempts} attempts)" if attempts > 1 else error.reason
        return Completion("", finish, 0, 0, 0, reason=reason)


def make_check_request(request: Request) -> Request:
    """Return the check request: the instructions of `request` with a harmless text.

    Without a `source`, the user's text is not known to hold instructions, so only system messages are kept.
    """
    *earlier, last = request.messages
    before = after = ""
    if request.source and request.source in last["content"]:
        before, _, after = last["content"].rpartition(request.source)
    else:
        earlier = [message for message in earlier if message["role"] == "system"]
    return Request(CHECK_TEXT, [*earlier, {"role": last["role"], "content": f"{before}{CHECK_TEXT}{after}"}])


@contextmanager
def read_guarded() -> Iterator[None]:
    """Raise `ServiceError` for any exception while a reply is read: no reply, however malformed, stops the job."""
    try:
        yield
    except (ServiceError, MemoryError, OSError):
        raise
    except Exception as error:
        reason = f"the reply cannot be read ({type(error).__name__}: {error})"
        raise ServiceError(ErrorKind.malformed, reason) from error
