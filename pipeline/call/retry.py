"""The one retry policy. tenacity drives the loop; what to do after a failed attempt is decided here, purely.

A wait ends at once when the run halts, and holds no place. An attempt is the row's own only if the service was there to make
it: waits for a limit, an overloaded or unreachable service and all that happens while the breaker is open do not count. What
may have been billed is repeated, but not for ever.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, retry_if_exception, stop_never, wait_exception

from pipeline.call.classify import Verdict
from pipeline.call.conditions import Backoff, Concerns

JITTER = 0.1
"""A wait that the server named is lengthened by up to this share, so that workers do not come back all at once."""
SHORT_S = 1.0
"""A server that limits and names less than this has not said when it will take more."""
AWAY_S = 900.0
"""So long one ask waits, all its waits together, for a service that is there for others."""


class Halted(Exception):
    """The run sends nothing more: the row is as if never sent."""


class Attempt(Exception):
    """An attempt that brought no reply. `wait_s` None: give up."""

    def __init__(self, verdict: Verdict, wait_s: float | None) -> None:
        super().__init__(verdict.error)
        self.verdict = verdict
        self.wait_s = wait_s


@dataclass(slots=True)
class Patience:
    """What one ask has left. `random` gives numbers from [0, 1)."""

    attempts: int
    """Attempts that count: `call.attempts`."""
    longest_wait_s: float
    """All waits for limits together: beyond it the run comes back later."""
    random: Callable[[], float]
    repeats: bool = True
    """Whether what may have been billed is repeated at all."""
    counted: int = 0
    limited: int = 0
    limited_s: float = 0.0
    away: int = 0
    """Attempts that found no service, or none with room."""
    away_s: float = 0.0
    repeated: Counter[bool] = field(default_factory=Counter)
    """Of what is repeated no more often than `at_most`: may it have been billed? → how often it was."""

    def after(self, verdict: Verdict, *, down: bool = False) -> float | None:
        """Seconds to wait before the next attempt, or None to give up. `down`: the whole service is known to be away, so that
        the attempt says nothing of this row; when to try again is the breaker's to say."""
        if verdict.retry is None:
            return None
        if verdict.at_most is not None:
            self.repeated[verdict.billed] += 1
            if self.repeated[verdict.billed] > min(verdict.at_most, self.attempts - 1):
                return None
            if verdict.billed and not self.repeats:
                return None
        if verdict.concerns in (Concerns.RATE, Concerns.RAMP):
            return self._until_there_is_room(verdict, verdict.retry)
        if verdict.concerns is Concerns.SERVICE and down:
            return 0.0
        if verdict.counts:
            self.counted += 1
            if self.counted >= self.attempts:
                return None
        else:
            self.away += 1
        wait_s = self.random() * _ceiling_s(verdict.retry, max(self.counted + self.away, 1))
        if verdict.wait_s is not None:
            wait_s = max(wait_s, self._named_s(verdict.wait_s))
        if not verdict.counts:
            self.away_s += wait_s
            if self.away_s > AWAY_S:
                return None
        return wait_s

    def _until_there_is_room(self, verdict: Verdict, backoff: Backoff) -> float | None:
        self.limited += 1
        wait_s = self._named_s(verdict.wait_s or 0.0)
        if (verdict.wait_s or 0.0) < SHORT_S:  # taken at its word, it would be a storm without end
            wait_s = max(wait_s, _ceiling_s(backoff, self.limited) * (1 + self.random()) / 2)
        self.limited_s += wait_s
        return None if self.limited_s > self.longest_wait_s else wait_s

    def _named_s(self, wait_s: float) -> float:
        """A wait that the server named: never shortened."""
        return wait_s * (1 + JITTER * self.random())


def _ceiling_s(backoff: Backoff, number: int) -> float:
    ceiling_s: float = min(backoff.longest_s, backoff.first_s * 2 ** min(number - 1, 20))
    return ceiling_s


class Attempts(AsyncRetrying):
    """tenacity's loop: one AttemptManager an attempt, the last exception raised as it is. Whoever leaves it says `over`."""

    def over(self) -> None:
        """Lets go of all that it holds. tenacity's objects hold each other, and with them the prompt: some fifty objects an ask
        that only the collector would find, and 1 kB of memory a row until it does (10,000 to 46,000 rows, 2026-11-26)."""
        vars(self).clear()


def attempts(halt: asyncio.Event, before_wait: Callable[[int, Attempt], None]) -> Attempts:
    """The attempts of one ask.

    `before_wait` hears of each failed attempt (from 1) that will be followed by another. Raises Halted out of a wait when
    `halt` is set.
    """

    async def pause(wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await halt.wait()
        except TimeoutError:
            return
        raise Halted

    def again(error: BaseException) -> bool:
        return isinstance(error, Attempt) and error.wait_s is not None

    def wait(error: BaseException) -> float:
        assert isinstance(error, Attempt)
        return error.wait_s or 0.0

    return Attempts(
        sleep=pause,
        stop=stop_never,
        wait=wait_exception(wait),
        retry=retry_if_exception(again),
        before_sleep=lambda state: before_wait(
            state.attempt_number, _attempt(state.outcome.exception() if state.outcome else None)
        ),
        reraise=True,
    )


def _attempt(error: BaseException | None) -> Attempt:
    assert isinstance(error, Attempt)
    return error
