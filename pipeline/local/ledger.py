"""What the server was asked, answered and would have charged for: the oracle of a rehearsal. Time comes in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pipeline.local.batch_ledger import Batches
from pipeline.records import Usage

Price: TypeAlias = Callable[[str, Usage, str | None, str], float | None]
"""Model, usage, inference geography and service tier of one reply → USD; None for a model without a price."""

NO_STATUS = "none"
"""In place of an HTTP status where no answer was sent: the connection was reset, or the request hung."""
LEFT = "left"
"""In its place where the client hung up before the answer."""
SECONDS_TOLD = 600
SECONDS_KEPT = 86_400
ANSWER = 1 << 32


@dataclass(frozen=True, slots=True)
class Bill:
    """One reply that counts as paid."""

    body: int
    """Digest of the request."""
    model: str
    usage: Usage
    geo: str | None
    tier: str = "standard"


@dataclass
class Ledger:
    price: Price
    began: float
    first_at: float | None = None
    last_at: float | None = None
    requests: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    counts: int = 0
    """Requests to count tokens. They are in none of the other figures."""
    by_status: Counter[str] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)
    billed: int = 0
    usage: Usage = field(default_factory=Usage)
    usd: float = 0.0
    unpriced: int = 0
    by_model: dict[str, tuple[int, float]] = field(default_factory=dict)
    unread: int = 0
    """Billed, though the client was gone, or was given nothing to read."""
    duplicates: int = 0
    """Billed replies to a body that had one already."""
    bodies_again: int = 0
    """Bodies with more than one billed reply."""
    batches: Batches = field(default_factory=Batches)
    _bodies: dict[int, int] = field(default_factory=dict)
    """Digest → attempts, and ANSWER for each billed reply. About 100 bytes a body."""
    _per_second: list[int] = field(default_factory=list)

    def arrives(self, now: float) -> int:
        """The number of the request, from 1."""
        if self.first_at is None:
            self.first_at = now
        self.last_at = now
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        second = int(now - self.first_at)
        if second < SECONDS_KEPT:
            self._per_second.extend([0] * (second + 1 - len(self._per_second)))
            self._per_second[second] += 1
        return self.requests

    def ends(self, status: str) -> None:
        self.in_flight -= 1
        self.by_status[status] += 1

    def attempts(self, body: int) -> int:
        """Attempts at this body so far that got past the rate limits."""
        return self._bodies.get(body, 0) % ANSWER

    def attempted(self, body: int) -> None:
        self._bodies[body] = self._bodies.get(body, 0) + 1

    def book(self, bill: Bill, *, unread: bool) -> None:
        answers = self._bodies.get(bill.body, 0) // ANSWER
        self.duplicates += answers > 0
        self.bodies_again += answers == 1
        self._bodies[bill.body] = self._bodies.get(bill.body, 0) + ANSWER
        self.billed += 1
        self.unread += unread
        self.usage += bill.usage
        usd = self.price(bill.model, bill.usage, bill.geo, bill.tier)
        self.unpriced += usd is None
        self.usd += usd or 0.0
        replies, spent = self.by_model.get(bill.model, (0, 0.0))
        self.by_model[bill.model] = (replies + 1, spent + (usd or 0.0))

    def figures(self, now: float) -> dict[str, Any]:
        usage = self.usage
        told = self._per_second[-SECONDS_TOLD:]
        first = now if self.first_at is None else self.first_at
        return {
            "seconds": round(now - self.began, 3),
            "requests": self.requests,
            "first_request_s": None if self.first_at is None else round(self.first_at - self.began, 3),
            "last_request_s": None if self.last_at is None else round(self.last_at - self.began, 3),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "by_status": dict(sorted(self.by_status.items())),
            "by_fault": dict(sorted(self.by_fault.items())),
            "count_tokens": self.counts,
            "billed": {
                "requests": self.billed,
                "unread": self.unread,
                "input_tokens": usage.input_tokens,
                "cache_read_tokens": usage.cache_read_tokens,
                "cache_write_5m_tokens": usage.cache_write_5m_tokens,
                "cache_write_1h_tokens": usage.cache_write_1h_tokens,
                "output_tokens": usage.output_tokens,
                "thinking_tokens": usage.thinking_tokens,
                "usd": round(self.usd, 9),
                "unpriced": self.unpriced,
                "by_model": {
                    model: {"requests": replies, "usd": round(usd, 9)} for model, (replies, usd) in self.by_model.items()
                },
            },
            "batches": self.batches.figures(),
            "duplicates": {"replies": self.duplicates, "bodies": self.bodies_again},
            "rate": {
                "mean_per_s": round(self.requests / (self.last_at - first), 3)
                if self.last_at and self.last_at > first
                else None,
                "from_s": len(self._per_second) - len(told),
                "per_s": told,
            },
        }
