"""Events → how far a run is. Plain integers, so that a row costs nothing to count; drawing is progress.py's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pipeline.events import AskedAgain, Event, InDoubt, InFlight, Kept, Planned, Retrying, RowEnded, Spending, Stopping
from pipeline.records import Status

WINDOW_S = 60.0
"""The rate is that of the last minute: reused rows, which end at once, do not promise an early end for long."""


@dataclass(slots=True)
class Figures:
    rows: int | None = None
    """None until the input was read through."""
    kept: int = 0
    """Rows that an earlier execution ended."""
    ended: int = 0
    unanswered: int = 0
    asked_again: int = 0
    in_doubt: int = 0
    """Requests whose reply was lost after it may have been billed, and that were sent again."""
    in_flight: int = 0
    limit: int = 0
    cost_usd: float | None = 0.0
    spending: Spending | None = None
    """Where there is a budget."""
    stopping: bool = False
    """Nothing new is sent; what is in flight is awaited."""
    trouble: RowEnded | Retrying | None = None
    """The last thing that went wrong."""
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def hear(self, event: Event) -> None:
        match event:
            case RowEnded(_, outcome):
                if outcome.status is Status.PENDING:
                    return
                self.ended += 1
                if outcome.cost_usd is None:
                    self.cost_usd = None
                elif self.cost_usd is not None:
                    self.cost_usd += outcome.cost_usd
                if not outcome.status.answered:
                    self.unanswered += 1
                    self.trouble = event
            case InFlight(now, limit):
                self.in_flight, self.limit = now, limit
            case Spending():
                self.spending = event
            case AskedAgain():
                self.asked_again += 1
            case InDoubt():
                self.in_doubt += 1
            case Retrying():
                self.trouble = event
            case Kept():
                self.kept += event.rows
            case Planned():
                self.rows = event.rows
            case Stopping():
                self.stopping = True

    @property
    def done(self) -> int:
        return self.kept + self.ended

    def rows_per_second(self, now: float) -> float | None:
        """Over the last minute, or since it was first asked; None as long as that is less than a second."""
        if not self._samples or now - self._samples[-1][0] >= 1:
            self._samples.append((now, self.ended))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()
        then, ended = self._samples[0]
        return (self.ended - ended) / (now - then) if now - then >= 1 else None

    def left_s(self, now: float) -> float | None:
        """Seconds to the last row at this rate; None where that cannot be said, where nothing is left, and while it stops."""
        if self.stopping:
            return None
        rate = self.rows_per_second(now)
        left = 0 if self.rows is None else self.rows - self.done
        return left / rate if rate and left > 0 else None
