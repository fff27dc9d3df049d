"""When replies came, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

BINS = 120
"""At most; once there are more, neighbours are joined."""
GAP_S = 1800.0
"""So long without a reply divides two sittings: nights of a cron job would else be needles in an empty month."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Of the last sitting."""

    start: float
    """Unix time of its first reply."""
    width_s: float
    replies: tuple[int, ...]
    """In each bin of `width_s`."""
    latency_s: tuple[float | None, ...]
    """The mean in each bin; None where no reply came, or none of which is known how long it took."""
    sittings: int
    """All that there were."""


class Clock:
    """Takes replies about in the order in which they came."""

    def __init__(self) -> None:
        self._start: float | None = None
        self._last = 0.0
        self._width_s = 1.0
        self._replies: list[int] = []
        self._latencies: list[float] = []
        self._timed: list[int] = []
        """Replies of which is known how long they took."""
        self._sittings = 0

    def add(self, at: float, latency_s: float | None) -> None:
        """`at`: Unix time."""
        if self._start is None or at - self._last > GAP_S:
            self._start, self._width_s, self._replies, self._latencies, self._timed = at, 1.0, [], [], []
            self._last = at
            self._sittings += 1
        self._last = max(self._last, at)
        # Replies that overtook each other count as the first.
        place = max(0, int((at - self._start) / self._width_s))
        while place >= BINS:
            self._replies, self._latencies = _joined(self._replies), _joined(self._latencies)
            self._timed = _joined(self._timed)
            self._width_s *= 2
            place = int((at - self._start) / self._width_s)
        missing = place + 1 - len(self._replies)
        self._replies += [0] * missing
        self._latencies += [0.0] * missing
        self._timed += [0] * missing
        self._replies[place] += 1
        if latency_s is not None:
            self._timed[place] += 1
            self._latencies[place] += latency_s

    def timeline(self) -> Timeline | None:
        """None where no reply came."""
        if self._start is None:
            return None
        means = [total / number if number else None for total, number in zip(self._latencies, self._timed, strict=True)]
        return Timeline(self._start, self._width_s, tuple(self._replies), tuple(means), self._sittings)


def _joined(bins: list[int] | list[float]) -> list:  # type: ignore[type-arg]
    return [sum(bins[at : at + 2]) for at in range(0, len(bins), 2)]
