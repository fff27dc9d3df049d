"""What the server was told about batches, and what came of it: part of the oracle of a rehearsal. Pure; time comes in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Batches:
    """About 300 bytes for each request submitted."""

    created: int = 0
    unseen: int = 0
    """Created, though the client was gone, or was given no whole answer."""
    requests: int = 0
    ended: int = 0
    canceled: int = 0
    """Batches for which a cancel took effect."""
    deleted: int = 0
    by_call: Counter[str] = field(default_factory=Counter)
    """Call and how it ended → how often."""
    by_result: Counter[str] = field(default_factory=Counter)
    results_read: int = 0
    """Times that results were sent to their last byte."""
    results_broken: int = 0
    lines_sent: int = 0
    """In those that were sent whole."""
    _custom_ids: set[int] = field(default_factory=set)
    _bodies: set[int] = field(default_factory=set)
    custom_ids_again: int = 0
    """Requests with a custom_id that an earlier request had."""
    bodies_again: int = 0
    """The same for what they ask."""
    _met: Counter[str] = field(default_factory=Counter)
    _first_at: dict[str, float] = field(default_factory=dict)
    _attempts: Counter[tuple[str, int]] = field(default_factory=Counter)

    def meets(self, place: str, now: float) -> tuple[int, float]:
        """One more of this kind has come: its number, from 1, and the seconds since the first."""
        self._met[place] += 1
        return self._met[place], now - self._first_at.setdefault(place, now)

    def attempts(self, place: str, key: int) -> int:
        """Which attempt at the same call this is, from 1."""
        self._attempts[place, key] += 1
        return self._attempts[place, key]

    def submitted(self, custom_id: int, body: int) -> None:
        """Digests of one request of a batch that was created."""
        self.requests += 1
        self.custom_ids_again += custom_id in self._custom_ids
        self.bodies_again += body in self._bodies
        self._custom_ids.add(custom_id)
        self._bodies.add(body)

    def figures(self) -> dict[str, Any]:
        return {
            "created": self.created,
            "unseen": self.unseen,
            "requests": self.requests,
            "submitted_again": {"custom_ids": self.custom_ids_again, "bodies": self.bodies_again},
            "ended": self.ended,
            "canceled": self.canceled,
            "deleted": self.deleted,
            "by_result": dict(sorted(self.by_result.items())),
            "results": {"read": self.results_read, "broken_off": self.results_broken, "lines": self.lines_sent},
            "by_call": dict(sorted(self.by_call.items())),
        }
