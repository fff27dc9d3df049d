"""Events → how far a run is. Plain integers, so that a row costs nothing to count; drawing is progress.py's."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.events import (
    AskedAgain,
    AtService,
    Event,
    InDoubt,
    InFlight,
    Kept,
    Planned,
    Retrying,
    RowEnded,
    Spending,
    Stopping,
)
from pipeline.records import Outcome, Status
from pipeline.show.pace import Left, Pace


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
    prompt_tokens: int = 0
    """Of the replies that this run paid for."""
    cached_tokens: int = 0
    """Of these: read from the cache."""
    cache_used: bool = False
    """Whether the cache was read or written at all."""
    at_service: AtService | None = None
    """Where batches are used."""
    longest_s: float = 0.0
    """A reply took."""
    pace: Pace = field(default_factory=Pace)

    def hear(self, event: Event) -> None:
        match event:
            case RowEnded(_, outcome):
                self._ended(event, outcome)
            case InFlight(now, limit):
                self.in_flight, self.limit = now, limit
            case AtService():
                self.at_service = event
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

    def _ended(self, event: RowEnded, outcome: Outcome) -> None:
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
        usage = outcome.usage
        self.prompt_tokens += usage.prompt_tokens
        self.cached_tokens += usage.cache_read_tokens
        self.cache_used = self.cache_used or usage.cache_read_tokens + usage.cache_write_tokens > 0
        self.longest_s = max(self.longest_s, outcome.latency_s or 0.0)

    @property
    def done(self) -> int:
        return self.kept + self.ended

    def rates(self, now: float) -> tuple[float, float] | None:
        """Rows a second, of the last minute and of the whole run; None in its first second."""
        self.pace.hear(now, self.ended)
        latest, mean = self.pace.now(now, self.ended), self.pace.mean(now, self.ended)
        return None if latest is None or mean is None else (latest, mean)

    def left(self, now: float) -> Left | None:
        """To the last row; None where that cannot be said: also while it stops, and while rows wait for batches."""
        self.pace.hear(now, self.ended)
        waits = self.at_service is not None and self.at_service.batches > 0
        if self.stopping or waits or self.rows is None:
            return None
        return self.pace.left(now, self.ended, self.rows - self.done, self.longest_s)
