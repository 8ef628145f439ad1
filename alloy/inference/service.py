"""Sends requests to a service: several at a time, with retries. A request that fails does not stop the others."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from operator import length_hint

from alloy.core.files import InputError
from alloy.inference.engine import Completion, Finish, OnCompletion
from alloy.inference.rate_limiter import RateLimiter, wait_until
from alloy.inference.service_errors import ErrorKind, ServiceError
from alloy.inference.settings import Infer

MAX_FAILURES = 10  # the job stops after this many failed requests in a row, each after its retries
MAX_RETRY_AFTER = 600.0  # seconds; the job stops if the service asks to wait longer
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds between two attempts of one request
FINISHES = {ErrorKind.context: Finish.context, ErrorKind.refused: Finish.refused}


@dataclass
class Service:
    """A service, and the state that all requests to it share; error messages call it `name`."""

    name: str
    infer: Infer
    rate_limiter: RateLimiter = field(default_factory=RateLimiter)
    reached: bool = False  # the service has answered, or read and refused, a request
    failures: int = 0  # failed requests in a row
    stop: InputError | None = None  # why the job must stop

    async def answer_all(
        self, count: int, send: Callable[[int], Awaitable[Completion]], on_completion: OnCompletion
    ) -> list[Completion]:
        """Return the completions of `count` requests, and call `on_completion` with each when it ends.

        `send` makes one attempt at the request with an index. It raises `ServiceError` if there is no answer. If the
        job must stop, no more requests are sent, and those that are running may still end. Then the error is raised.
        """
        completions: dict[int, Completion] = {}
        indices = iter(range(count))

        async def run_worker() -> None:
            for index in indices:
                if self.stop:
                    return
                completion = await self._answer_request(index, send)
                if completion is None:
                    return
                completions[index] = completion
                on_completion(index, completion)
                self._count_failures(completion, has_more=length_hint(indices) > 0)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.infer.concurrency, count)):
                    group.create_task(run_worker())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if self.stop:
            raise self.stop
        return [completions[index] for index in range(count)]

    async def _answer_request(self, index: int, send: Callable[[int], Awaitable[Completion]]) -> Completion | None:
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
                if self._must_stop(error):
                    return None
                if error.kind is ErrorKind.busy:
                    self.rate_limiter.record_busy(asked_at, error.retry_after)
                    give_up = max(attempts, self.rate_limiter.busy_in_a_row) > self.infer.retries
                elif error.kind in (ErrorKind.retry, ErrorKind.unreachable):
                    give_up = attempts > self.infer.retries
                else:
                    give_up = True
                if give_up:
                    return self._make_unanswered(error, attempts, asked_at)
                if error.kind is not ErrorKind.busy:  # if it is busy, the rate limiter waits
                    wait = error.retry_after
                    if wait is None:
                        wait = min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT) * random.uniform(0.75, 1.25)
                    await self._sleep_unless_stopped(wait)
            else:
                self.reached = True
                self.rate_limiter.record_answer(asked_at)
                return completion

    async def _sleep_unless_stopped(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        await wait_until(lambda: until, self._is_stopped)

    def _is_stopped(self) -> bool:
        return self.stop is not None

    def _must_stop(self, error: ServiceError) -> bool:
        """Return whether the job must stop because of an error; if so, keep why in `stop`."""
        must_stop = error.kind is ErrorKind.fatal
        must_stop |= error.kind in (ErrorKind.unreachable, ErrorKind.misconfigured) and not self.reached
        must_stop |= (error.retry_after or 0) > MAX_RETRY_AFTER
        if must_stop:
            self.stop = self.stop or self._make_stop_error(error.reason)
        return must_stop

    def _make_stop_error(self, reason: str) -> InputError:
        return InputError(
            f"infer.engine: {self.name}: {reason}; fix this and run the same command again (answers so far are kept)"
        )

    def _make_unanswered(self, error: ServiceError, attempts: int, asked_at: float) -> Completion:
        """Return the completion of a request without an answer."""
        finish = FINISHES.get(error.kind, Finish.failed)
        if finish is not Finish.failed:  # the service read the request, so it works
            self.reached = True
            self.rate_limiter.record_answer(asked_at)
        reason = f"{error.reason} ({attempts} attempts)" if attempts > 1 else error.reason
        return Completion("", finish, 0, 0, 0, reason=reason)

    def _count_failures(self, completion: Completion, *, has_more: bool) -> None:
        """Stop the job after `MAX_FAILURES` failed requests in a row, if there are more requests to send."""
        self.failures = self.failures + 1 if completion.finish is Finish.failed else 0
        if self.failures >= MAX_FAILURES and has_more:
            reason = f"{self.failures} requests in a row failed, the last with {completion.reason}"
            self.stop = self.stop or self._make_stop_error(reason)
