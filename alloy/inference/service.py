"""Requests to a service: several at once, asked again if need be, and one that has no answer stops no other."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from operator import length_hint

from alloy.core.files import InputError
from alloy.inference.engine import Completion, Done, Finish
from alloy.inference.pace import Pace, wait_until
from alloy.inference.service_errors import Kind, ServiceError
from alloy.inference.settings import Infer

FAILURES = 10  # requests that fail in a row, each after its retries, before the job stops
PATIENCE = 600.0  # seconds; a service that wants to be left alone for longer stops the job
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds between two tries of one request
FINISHES = {Kind.context: Finish.context, Kind.refused: Finish.refused}


@dataclass
class Service:
    """What all requests to a service share; `name` is what messages call it."""

    name: str
    infer: Infer
    pace: Pace = field(default_factory=Pace)
    reached: bool = False  # it has taken a request
    failures: int = 0  # requests that failed in a row
    stop: InputError | None = None

    async def answer_all(self, count: int, ask: Callable[[int], Awaitable[Completion]], done: Done) -> list[Completion]:
        """Return the completions of `count` requests; `ask` makes one, and raises `ServiceError` if there is none.

        A job that must stop begins no request more; those under way end, and are kept by `done`.
        """
        completions: dict[int, Completion] = {}
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                if self.stop:
                    return
                completion = await self._answer(number, ask)
                if completion is None:
                    return
                completions[number] = completion
                done(number, completion)
                self._count(completion, left=length_hint(numbers) > 0)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.infer.concurrency, count)):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if self.stop:
            raise self.stop
        return [completions[number] for number in range(count)]

    async def _answer(self, number: int, ask: Callable[[int], Awaitable[Completion]]) -> Completion | None:
        """Return the completion of a request, which may be that it has no answer; None if the job stops."""
        tries = 0
        while True:
            asked_at = await self.pace.turn(self._stopped)
            if self.stop:
                return None
            try:
                completion = await ask(number)
            except ServiceError as error:
                tries += 1
                if self._must_stop(error):
                    return None
                if error.kind is Kind.busy:
                    self.pace.busy(asked_at, error.retry_after)
                    over = max(tries, self.pace.rounds) > self.infer.retries
                elif error.kind in (Kind.again, Kind.unreachable):
                    over = tries > self.infer.retries
                else:
                    over = True
                if over:
                    return self._without_answer(error, tries, asked_at)
                if error.kind is not Kind.busy:  # for that, the pace waits
                    wait = error.retry_after
                    if wait is None:
                        wait = min(FIRST_WAIT * 2 ** (tries - 1), LONGEST_WAIT) * random.uniform(0.75, 1.25)
                    await self._rest(wait)
            else:
                self.reached = True
                self.pace.answered(asked_at)
                return completion

    async def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        await wait_until(lambda: until, self._stopped)

    def _stopped(self) -> bool:
        return self.stop is not None

    def _must_stop(self, error: ServiceError) -> bool:
        """Return whether no request will be answered; the message is kept in `stop`."""
        total = error.kind is Kind.stop
        total |= error.kind in (Kind.unreachable, Kind.wrong) and not self.reached
        total |= (error.retry_after or 0) > PATIENCE
        if total:
            self.stop = self.stop or self._message(error.reason)
        return total

    def _message(self, reason: str) -> InputError:
        return InputError(
            f"infer.engine: {self.name}: {reason}; answers so far are kept, and the same command goes on from there"
        )

    def _without_answer(self, error: ServiceError, tries: int, asked_at: float) -> Completion:
        finish = FINISHES.get(error.kind, Finish.failed)
        if finish is not Finish.failed:  # it was read, and not for nothing
            self.reached = True
            self.pace.answered(asked_at)
        reason = f"{error.reason} (asked {tries} times)" if tries > 1 else error.reason
        return Completion("", finish, 0, 0, 0, reason=reason)

    def _count(self, completion: Completion, *, left: bool) -> None:
        """Stop a job whose requests fail one after another, while some have not been asked."""
        self.failures = self.failures + 1 if completion.finish is Finish.failed else 0
        if self.failures >= FAILURES and left:
            reason = f"{self.failures} requests in a row failed, the last with {completion.reason}"
            self.stop = self.stop or self._message(reason)
