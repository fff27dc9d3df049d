"""How fast rows end, and how long the rest will take, said no more surely than it is known.

The time left is what two rates promise, that of the last minute and that of the later half of the run, each widened by how
unevenly the rows came: the rest takes its mean over as many slices of time as are left, so that the prediction errs by
s·√(1/n + 1/m), as any mean of m does that is told from n. Where the wait could be without end, only its least is told.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

WINDOW_S = 60.0
"""The rate just now is that of the last minute: reused rows, which end at once, do not promise an early end for long."""
MARKS = 40
"""At most; once there are more, every other is dropped and the next ones come half as often."""
LEAST = 5
"""Slices of time without which nothing is said."""
DRIFT = 0.15
"""How far the rate may drift from all that was seen, whatever the reason: limits, neighbours, the length of texts."""
MOST_ALIKE = 0.8
UNSURE = 0.1
"""Of the fastest rate: where the slowest may be below this share of it, no end is told."""
SAME = 1.15
"""Ends of an interval that differ by less than this factor are one figure."""


@dataclass(frozen=True, slots=True)
class Left:
    """Seconds to the last row."""

    low: float
    high: float | None
    """None: nobody can say."""


@dataclass(slots=True)
class Pace:
    """Hears now and then how many rows have ended. Times are monotonic, in seconds."""

    _marks: list[tuple[float, int]] = field(default_factory=list)
    """Of the whole run."""
    _minute: deque[tuple[float, int]] = field(default_factory=deque)
    _step_s: float = 1.0

    def hear(self, now: float, ended: int) -> None:
        """Before any rate is asked for. More often than once a second does no harm."""
        if not self._minute or now - self._minute[-1][0] >= 1:
            self._minute.append((now, ended))
        while len(self._minute) > 2 and now - self._minute[1][0] >= WINDOW_S:
            self._minute.popleft()
        if not self._marks or now - self._marks[-1][0] >= self._step_s:
            self._marks.append((now, ended))
        if len(self._marks) > MARKS:
            self._marks = self._marks[::2]
            self._step_s *= 2

    def now(self, now: float, ended: int) -> float | None:
        """Rows a second over the last minute; None as long as it has been heard of for less than a second."""
        return _rate(self._minute[0], (now, ended)) if self._minute else None

    def mean(self, now: float, ended: int) -> float | None:
        """Rows a second since it was first heard of."""
        return _rate(self._marks[0], (now, ended)) if self._marks else None

    def left(self, now: float, ended: int, rows: int, longest_s: float = 0.0) -> Left | None:
        """How long so many more rows take; None where that cannot be said. `longest_s`: so long a reply has taken, and the last
        one may, too."""
        latest = self.now(now, ended)
        if rows <= 0 or latest is None:
            return None
        middle = (self._marks[0][0] + now) / 2
        later = [mark for mark in self._marks if mark[0] >= middle]
        slices = [rate for rate in map(_rate, later, later[1:]) if rate is not None]
        if len(slices) < LEAST:
            return None
        return until(slices, (later[-1][0] - later[0][0]) / len(slices), latest, rows, longest_s)


def until(slices: Sequence[float], width_s: float, latest: float, rows: int, longest_s: float) -> Left | None:
    """How long so many more rows take, by the rates in slices of time of that width, at least two, and by that just now;
    None where nothing has moved."""
    number, mean = len(slices), sum(slices) / len(slices)
    if not mean:
        return None
    t = 1.96 + 3 / (number - 1)  # Student's at 97.5 %, within 0.05 from four degrees of freedom on
    chance = t * _spread(slices, mean, width_s) * math.sqrt(1 / number + min(1.0, width_s * mean / rows)) / mean
    error = math.hypot(chance, DRIFT)
    rates = sorted((mean, latest))
    low, slowest = rows / (rates[1] * (1 + error)), rates[0] * (1 - error)
    if slowest < UNSURE * rates[1]:
        return Left(low, None)
    return Left(low, rows / slowest + longest_s)


def _spread(rates: Sequence[float], mean: float, width_s: float) -> float:
    """Their standard deviation, larger where neighbours are alike, since then fewer of them tell something new."""
    off = [rate - mean for rate in rates]
    squares = sum(one * one for one in off)
    alike = sum(one * other for one, other in pairwise(off)) / squares if squares else 0.0
    alike = min(MOST_ALIKE, max(0.0, alike))
    poisson = mean / width_s if mean * width_s < 1 else 0.0  # of so few rows no spread is to be had
    return math.sqrt(max(squares / (len(rates) - 1), poisson) * (1 + alike) / (1 - alike))


def _rate(then: tuple[float, int], now: tuple[float, int]) -> float | None:
    return (now[1] - then[1]) / (now[0] - then[0]) if now[0] - then[0] >= 1 else None


def left_text(left: Left) -> str:
    """`about 4 min left`, `2 to 3 min left`, `at least 5 h left`; rounded outwards."""
    unit, seconds, grain = _unit(left.low if left.high is None else left.high)
    low = math.floor(left.low / seconds / grain) * grain
    if left.high is None:
        return f"at least {low:g} {unit} left"
    high = math.ceil(left.high / seconds / grain) * grain
    if high - low <= grain or left.high <= SAME * left.low:
        middle = (left.low + left.high) / 2 / seconds
        return f"about {max(1, round(middle / grain)) * grain:g} {unit} left"
    return f"{low:g} to {high:g} {unit} left"


def _unit(seconds: float) -> tuple[str, float, float]:
    """Its name, its seconds, and the steps in which it is told."""
    if seconds < 100:
        return "s", 1.0, 5
    if seconds < 7_200:
        return "min", 60.0, 1
    if seconds < 172_800:
        return "h", 3_600.0, 0.5
    return "d", 86_400.0, 0.5
