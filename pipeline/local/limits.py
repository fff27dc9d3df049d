"""Rate limits as the API keeps them: token buckets that refill without pause. Pure; time comes in.

docs: api/rate-limits (2026-10-08). Input counts without what is read from the prompt cache, estimated when a request
begins and corrected when its usage is known; output counts as it is generated, whatever `max_tokens` says. The
headers tell the state of each bucket; tokens that remain are rounded to the nearest thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

PREFIX = "anthropic-ratelimit"
REQUESTS, INPUT, OUTPUT = "requests", "input-tokens", "output-tokens"
NEVER_REACHED: Mapping[str, int] = MappingProxyType({REQUESTS: 1_000_000, INPUT: 1_000_000_000, OUTPUT: 1_000_000_000})
"""A minute. What is told of a limit that is not set."""
ROUNDED_TO = 1_000


@dataclass(frozen=True, slots=True)
class Limit:
    """None in place of a Limit: there is none."""

    per_minute: int
    burst: int | None = None
    """How much a full bucket holds; None: a minute's worth."""

    @property
    def capacity(self) -> int:
        return self.per_minute if self.burst is None else self.burst


@dataclass(frozen=True, slots=True)
class Limits:
    requests: Limit | None = None
    input_tokens: Limit | None = None
    output_tokens: Limit | None = None


@dataclass(frozen=True, slots=True)
class Exceeded:
    """Which limit a request ran into."""

    bucket: str
    """`requests`, `input-tokens` or `output-tokens`."""
    per_minute: int
    retry_after_s: int
    """Whole seconds, at least 1, after which it would pass if nothing else came meanwhile."""

    @property
    def message(self) -> str:
        unit = self.bucket.replace("-", " ")
        return f"This request would exceed your organization's rate limit of {self.per_minute:,} {unit} per minute."


class Bucket:
    """Full at first. What is taken may leave it below zero: it then first fills up again."""

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit = limit
        self.used = 0.0
        """All that was ever taken, less what was given back."""
        self.refused = 0
        self._per_second = limit.per_minute / 60
        self._level = float(limit.capacity)
        self._seen_at = now
        self._first_at: float | None = None

    def level(self, now: float) -> float:
        self._level = min(self.limit.capacity, self._level + (now - self._seen_at) * self._per_second)
        self._seen_at = now
        return self._level

    def wait_s(self, amount: float, now: float) -> float:
        """How long until `amount` is there; 0 where it is. What is more than the bucket holds passes when that is full."""
        missing = min(amount, self.limit.capacity) - self.level(now)
        return max(missing, 0.0) / self._per_second

    def take(self, amount: float, now: float) -> None:
        """`amount` below zero gives back."""
        self.level(now)
        if self._first_at is None:
            self._first_at = now
        self._level = min(self.limit.capacity, self._level - amount)
        self.used += amount

    def full_in_s(self, now: float) -> float:
        return (self.limit.capacity - self.level(now)) / self._per_second

    def figures(self, now: float) -> dict[str, float | int]:
        """`utilisation`: what was used of all that could have been since the first use, a full bucket included."""
        first = now if self._first_at is None else self._first_at
        possible = self.limit.capacity + (now - first) * self._per_second
        return {
            "per_minute": self.limit.per_minute,
            "burst": self.limit.capacity,
            "level": round(self.level(now), 3),
            "used": round(self.used),
            "refused": self.refused,
            "utilisation": round(self.used / possible, 4),
        }


class Meter:
    """The buckets of one server."""

    def __init__(self, limits: Limits, now: float) -> None:
        given = {REQUESTS: limits.requests, INPUT: limits.input_tokens, OUTPUT: limits.output_tokens}
        self.buckets = {name: Bucket(limit, now) for name, limit in given.items() if limit is not None}
        self._unlimited: tuple[datetime, dict[str, str]] | None = None
        """What is told during one second where there is no limit, not worked out anew for each reply."""

    def admit(self, input_tokens: int, now: float) -> Exceeded | None:
        """Takes one request with its input, or nothing and says why. Of output, some must be left."""
        needs = {REQUESTS: 1, INPUT: input_tokens, OUTPUT: 1}
        waits = {name: bucket.wait_s(needs[name], now) for name, bucket in self.buckets.items()}
        longest = max(waits, key=waits.__getitem__, default=None)
        if longest is not None and waits[longest] > 0:
            bucket = self.buckets[longest]
            bucket.refused += 1
            return Exceeded(longest, bucket.limit.per_minute, max(1, math.ceil(waits[longest])))
        for name in (REQUESTS, INPUT):
            if name in self.buckets:
                self.buckets[name].take(needs[name], now)
        return None

    def settle(self, estimated: int, input_tokens: int, output_tokens: int, now: float) -> None:
        """Puts usage in the place of what `admit` took."""
        for name, amount in ((INPUT, input_tokens - estimated), (OUTPUT, output_tokens)):
            if amount and name in self.buckets:
                self.buckets[name].take(amount, now)

    def headers(self, now: float, wall: datetime) -> dict[str, str]:
        """`now` is the clock of the buckets, `wall` the same moment in UTC. `tokens` is the sum of input and output."""
        if self.buckets:
            return self._state(now, wall)
        second = wall.replace(microsecond=0)
        if self._unlimited is None or self._unlimited[0] != second:
            self._unlimited = (second, self._state(now, second))
        return dict(self._unlimited[1])

    def _state(self, now: float, wall: datetime) -> dict[str, str]:
        told: dict[str, str] = {}
        total, left, latest = 0, 0, 0.0
        for name, never in NEVER_REACHED.items():
            bucket = self.buckets.get(name)
            limit = remaining = never
            full_in_s = 0.0
            if bucket is not None:
                limit = bucket.limit.per_minute
                remaining = max(0, math.floor(bucket.level(now)))
                full_in_s = bucket.full_in_s(now)
            if name != REQUESTS:
                remaining = round(remaining / ROUNDED_TO) * ROUNDED_TO
                total, left, latest = total + limit, left + remaining, max(latest, full_in_s)
            told |= _told(name, limit, remaining, wall + timedelta(seconds=full_in_s))
        return told | _told("tokens", total, left, wall + timedelta(seconds=latest))

    def figures(self, now: float) -> dict[str, dict[str, float | int]]:
        return {name.replace("-", "_"): bucket.figures(now) for name, bucket in self.buckets.items()}


def _told(name: str, limit: int, remaining: int, full_at: datetime) -> dict[str, str]:
    """`reset` is when the bucket is full again, in whole seconds, never too early."""
    reset = full_at + timedelta(microseconds=-full_at.microsecond % 1_000_000)
    return {
        f"{PREFIX}-{name}-limit": str(limit),
        f"{PREFIX}-{name}-remaining": str(remaining),
        f"{PREFIX}-{name}-reset": f"{reset.replace(tzinfo=None).isoformat()}Z",
    }
