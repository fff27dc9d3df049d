"""Whether the service is there at all: one breaker for a run. Pure; time is an argument, in seconds of any one clock.

It opens when many requests in a row found no service, or most of the last two minutes did not. While it is open nothing is sent
but one probe now and then, so that rows do not use up their attempts on a service that is down; any success closes it. After
ten minutes of nothing the run gives up.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

IN_A_ROW = 10
SETTLED_S = 2.0
"""The failures in a row must span so long: of many that leave at once, those that fail come back first."""
AT_ONCE = 100
"""So many in a row need no time to prove themselves."""
WINDOW_S = 120
SHARE = 0.5
"""Beyond it a retry is as likely to fail as not. A fifth, the usual figure, is there to spare a service that others wait for;
here nobody waits, each retry backs off up to two minutes, and a service that fails a quarter of its requests is still of
use."""
ENOUGH = 100
"""Requests within the window before their share means anything."""
PROBE_S = 30.0
GIVE_UP_S = 600.0


@dataclass(slots=True)
class _Second:
    at: int
    requests: int = 0
    failures: int = 0


@dataclass(slots=True)
class Breaker:
    in_a_row: int = 0
    _since: float = 0.0
    """When the first of the failures in a row came."""
    _probe_at: float | None = None
    """When the next probe may go; None while closed."""
    _window: deque[_Second] = field(default_factory=deque)
    _requests: int = 0
    _failures: int = 0

    @property
    def open(self) -> bool:
        return self._probe_at is not None

    def succeeded(self, now: float) -> bool:
        """Hears of any response that the service itself gave, a refusal too; True if that closes the breaker."""
        self._count(now, failures=0)
        self.in_a_row = 0
        if self._probe_at is None:
            return False
        self._probe_at = None
        self._window.clear()
        self._requests = self._failures = 0
        return True

    def failed(self, now: float) -> bool:
        """Hears of a request that found no service; True if that opens the breaker."""
        self._count(now, failures=1)
        if self.in_a_row == 0:
            self._since = now
        self.in_a_row += 1
        if self._probe_at is not None:
            return False
        gone = self.in_a_row >= IN_A_ROW and (now - self._since >= SETTLED_S or self.in_a_row >= AT_ONCE)
        failing = self._requests >= ENOUGH and self._failures > SHARE * self._requests
        if gone or failing:
            self._probe_at = now + PROBE_S
        return gone or failing

    def wait_s(self, now: float) -> float:
        """Seconds until a request may go; 0: now."""
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - now)

    def went(self, now: float) -> None:
        """A request goes; while open it is the probe."""
        if self._probe_at is not None:
            self._probe_at = now + PROBE_S

    def given_up(self, now: float) -> bool:
        """Whether nothing was heard of the service for too long."""
        return self.open and self.in_a_row > 0 and now - self._since >= GIVE_UP_S

    def _count(self, now: float, failures: int) -> None:
        second = int(now)
        if not self._window or self._window[-1].at != second:
            self._window.append(_Second(second))
        self._window[-1].requests += 1
        self._window[-1].failures += failures
        self._requests += 1
        self._failures += failures
        while self._window[0].at <= second - WINDOW_S:
            old = self._window.popleft()
            self._requests -= old.requests
            self._failures -= old.failures
