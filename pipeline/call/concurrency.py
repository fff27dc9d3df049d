"""How many requests may be out at once, learned from how they end. Pure; time is an argument.

Slow start: twice as many after each clean round, until the first 429; then a little more after each clean round, and only if
the places were used. A 429 takes a fifth away, once in a cooldown, for those that were out when it came bring 429s of their
own. Trouble of the service pauses growth and cuts nothing: fewer requests would not mend it.
The figures are those of inspect_ai (design/adaptive-concurrency.md, read 2026-11). Latency tells nothing here: it follows the
length of the answers.
"""

from __future__ import annotations

from dataclasses import dataclass

START = 20
GROWTH = 0.05
CUT = 0.8
COOLDOWN_S = 15.0
IN_USE = 0.8


@dataclass(slots=True)
class Concurrency:
    """A round is as many successes as there were places when it began."""

    most: int
    """The ceiling."""
    limit: int = 0
    """Requests that may be out now."""
    out: int = 0
    _slow_start: bool = True
    _slow_up_to: int = 0
    _peak: int = 0
    """Most that were out at once in this round."""
    _clean: int = 0
    """Successes in this round."""
    _round: int = 0
    _cold_until: float = 0.0

    def __post_init__(self) -> None:
        self.limit = min(START, self.most)
        self._slow_up_to = self.most
        self._begin()

    @property
    def room(self) -> bool:
        return self.out < self.limit

    def took(self) -> None:
        self.out += 1
        self._peak = max(self._peak, self.out)

    def gave_back(self) -> None:
        self.out -= 1

    def succeeded(self, now: float) -> None:
        """A request brought what it was sent for."""
        if now < self._cold_until:
            return
        self._clean += 1
        if self._clean < self._round:
            return
        if self._peak >= IN_USE * self.limit:
            step = self.limit if self._slow_start else max(1, int(self.limit * GROWTH))
            self.limit = min(self.most, self.limit + step)
            if self.limit >= self._slow_up_to:
                self._slow_start = False
        self._begin()

    def troubled(self) -> None:
        """The service failed a request: the round is not clean."""
        self._begin()

    def limited(self, now: float, wait_s: float) -> bool:
        """A 429 that asks for `wait_s`; True if that takes places away."""
        if now < self._cold_until:
            return False
        self._slow_start = False
        self._cold_until = now + max(COOLDOWN_S, wait_s)
        return self._down_to(int(self.limit * CUT))

    def ramped(self, now: float, wait_s: float) -> bool:
        """A 429 for growing too fast: back to slow start, up to half of what was too much; True if that takes places away."""
        if now < self._cold_until:
            return False
        self._cold_until = now + max(COOLDOWN_S, wait_s)
        self._slow_start, self._slow_up_to = True, max(START, self.limit // 2)
        return self._down_to(min(START, self.limit // 2))

    def _down_to(self, limit: int) -> bool:
        before, self.limit = self.limit, max(1, limit)
        self._begin()
        return self.limit < before

    def _begin(self) -> None:
        self._clean, self._peak, self._round = 0, self.out, self.limit
