"""The one door through which all requests of a run leave, however many callers there are: limits, places, breaker in series.

Whoever wants to send waits here in line, retries before new asks; whoever waits for a retry stands outside and holds no place.
While workers are being started and nobody can send, only one is let in, to have them started. A `retry-after` of one shuts the
door for all. This file only waits and passes on what it hears; what is decided is decided in limit.py, concurrency.py and
breaker.py. Used inside one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.call.breaker import GIVE_UP_S, PROBE_S, Breaker
from pipeline.call.classify import Verdict
from pipeline.call.concurrency import Concurrency
from pipeline.call.conditions import Concerns
from pipeline.call.limit import Hold, Limiter
from pipeline.call.retry import Halted
from pipeline.errors import AccountRefused, PipelineError, ServiceDown
from pipeline.events import Listener, Notice
from pipeline.records import Usage

LOOK_S = 0.05
"""While nobody can send, whether somebody can is looked at so often."""


@dataclass(slots=True)
class _Waiting:
    owner: object
    size: int
    ready: Callable[[], bool]
    let_in: asyncio.Future[Hold]


@dataclass(slots=True)
class Gate:
    concurrency: Concurrency
    limiter: Limiter
    tell: Listener
    random: Callable[[], float]
    """From [0, 1), for the jitter of waits."""
    breaker: Breaker = field(default_factory=Breaker)
    _line: deque[_Waiting] = field(default_factory=deque)
    _alarm: asyncio.TimerHandle | None = None
    _not_before: float = 0.0
    """Loop time before which nobody sends."""
    _endless_at: float | None = None
    """When the first 429 without a retry-after came, if nothing has succeeded since."""

    @property
    def limit(self) -> int:
        """Requests that may be out at once just now."""
        return self.concurrency.limit

    async def enter(self, owner: object, size: int, *, again: bool, ready: Callable[[], bool] = lambda: True) -> Hold:
        """Returns when a request of so many characters may leave. Give the hold back by exactly one of the methods below.

        `again`: a retry goes before new asks. `ready`: whether it would leave at once; what is let in and kept back elsewhere
        would leave later, and faster than the limits allow. Raises Halted when `owner` is dismissed meanwhile.
        """
        waiting = _Waiting(owner, size, ready, asyncio.get_running_loop().create_future())
        if again:
            self._line.appendleft(waiting)
        else:
            self._line.append(waiting)
        self._let_in()
        try:
            return await waiting.let_in
        except asyncio.CancelledError:
            if waiting.let_in.done() and not waiting.let_in.cancelled() and waiting.let_in.exception() is None:
                self.abandoned(waiting.let_in.result())
            raise

    def dismiss(self, owner: object) -> None:
        """Nothing of this owner leaves any more."""
        for waiting in self._line:
            if waiting.owner is owner and not waiting.let_in.done():
                waiting.let_in.set_exception(Halted())
        self._let_in()

    def succeeded(self, hold: Hold, usage: Usage, headers: Mapping[str, str]) -> None:
        """The request brought its reply."""
        now = _now()
        self._endless_at = None
        self.concurrency.gave_back()
        self.concurrency.succeeded(now)
        self.limiter.settle(hold, now, usage, headers)
        self._there(now)
        self._let_in()

    def failed(self, hold: Hold, verdict: Verdict, headers: Mapping[str, str]) -> PipelineError | None:
        """The request brought none. What the run ends with, if this was once too often."""
        now = _now()
        self.concurrency.gave_back()
        self.limiter.settle(hold, now, None, headers)
        wait_s = verdict.wait_s or 0.0
        self._not_before = max(self._not_before, now + wait_s)
        error: PipelineError | None = None
        match verdict.concerns:
            case Concerns.RATE | Concerns.RAMP:
                self._there(now)
                self.limiter.refused(now)
                self._fewer(verdict, now, wait_s)
                if verdict.wait_s is None and verdict.retry is not None:
                    error = self._endless(hold, verdict, now)
            case Concerns.SERVICE:
                if verdict.condition == "unreachable":
                    self.limiter.give_back(hold)
                self.concurrency.troubled()
                if self.breaker.failed(now):
                    self.tell(
                        Notice(f"the service is away; one request every {PROBE_S:.0f} s until it is back: {verdict.error}")
                    )
                if self.breaker.given_up(now):
                    error = ServiceDown(f"the service was away for {GIVE_UP_S / 60:.0f} minutes; at last: {verdict.error}")
            case Concerns.ROW | Concerns.RUN:
                self._there(now)
            case Concerns.SENDER:
                pass
        self._let_in()
        return error

    def abandoned(self, hold: Hold) -> None:
        """Nothing was sent, or nobody will know what became of it."""
        self.concurrency.gave_back()
        self.limiter.give_back(hold)
        self._let_in()

    def _let_in(self) -> None:
        """Lets in whoever may go now, and sets the alarm for the next one."""
        while self._line:
            waiting = self._line[0]
            if waiting.let_in.done():
                self._line.popleft()
                continue
            if not self.concurrency.room:
                return
            if self._endless_at is not None and self.concurrency.out:
                return  # after a 429 that names no end one request finds out for all
            now = _now()
            wait_s = max(self._not_before - now, self.breaker.wait_s(now), self.limiter.wait_s(now, waiting.size))
            if self.concurrency.out and not waiting.ready():
                wait_s = max(wait_s, LOOK_S)
            if wait_s > 0:
                if self._alarm is not None:
                    self._alarm.cancel()
                self._alarm = asyncio.get_running_loop().call_later(wait_s, self._let_in)
                return
            self._line.popleft()
            self.breaker.went(now)
            self.concurrency.took()
            waiting.let_in.set_result(self.limiter.take(now, waiting.size))

    def _there(self, now: float) -> None:
        if self.breaker.succeeded(now):
            self.tell(Notice("the service is back"))

    def _fewer(self, verdict: Verdict, now: float, wait_s: float) -> None:
        before = self.concurrency.limit
        ramp = verdict.concerns is Concerns.RAMP
        cut = self.concurrency.ramped(now, wait_s) if ramp else self.concurrency.limited(now, wait_s)
        if cut:
            self.tell(Notice(f"{self.concurrency.limit} requests at once instead of {before}: {verdict.error}"))

    def _endless(self, hold: Hold, verdict: Verdict, now: float) -> PipelineError | None:
        """A 429 that names no end. All wait a little; if the next one sent meets the same, nothing will help before the limit
        is raised. Those that were out together are one."""
        if self._endless_at is not None and hold.at > self._endless_at:
            return AccountRefused(verdict.error)
        if self._endless_at is None:
            assert verdict.retry is not None
            self._endless_at = now
            self._not_before = max(self._not_before, now + verdict.retry.first_s * (1 + self.random()) / 2)
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
