"""A server with token buckets, and a run against it, both simulated: a clock that is a number, a heap of events, a seed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from pipeline.call.limit import INPUT, OUTPUT, REQUESTS, Limiter
from pipeline.records import Usage


@dataclass
class ServerBucket:
    """`limit` a minute, refilled continuously, never more than `holds`."""

    limit: float
    holds: float
    at: float = 0.0
    level: float = -1.0

    def __post_init__(self) -> None:
        if self.level < 0:
            self.level = self.holds

    def refill(self, now: float) -> None:
        self.level = min(self.holds, self.level + self.limit / 60 * (now - self.at))
        self.at = now

    def headers(self, name: str, *, rounded: bool) -> dict[str, str]:
        remaining = max(0, int(self.level))
        if rounded:
            remaining = round(remaining, -3)
        return {
            f"anthropic-ratelimit-{name}-limit": str(int(self.limit)),
            f"anthropic-ratelimit-{name}-remaining": str(remaining),
            f"anthropic-ratelimit-{name}-reset": "2026-11-22T17:00:01Z",  # on a clock of its own
        }


@dataclass
class Server:
    """Admits a request if every bucket has enough for it, and takes it out there and then."""

    buckets: dict[str, ServerBucket]
    counts_at_reply: bool = False
    """Whether the headers tell what remains when the reply leaves, not when the request came."""
    rounds: bool = False
    refused: int = 0
    admitted: list[float] = field(default_factory=list)

    def admit(self, now: float, costs: dict[str, float]) -> bool:
        for bucket in self.buckets.values():
            bucket.refill(now)
        if any(bucket.level < costs[name] for name, bucket in self.buckets.items()):
            self.refused += 1
            return False
        for name, bucket in self.buckets.items():
            bucket.level -= costs[name]
        self.admitted.append(now)
        return True

    def headers(self, now: float) -> dict[str, str]:
        said: dict[str, str] = {}
        for name, bucket in self.buckets.items():
            bucket.refill(now)
            said |= bucket.headers(name, rounded=self.rounds and name != REQUESTS)
        return said


@dataclass(frozen=True)
class Simulated:
    seconds: float
    requests: int
    refused: int
    sent_at: tuple[float, ...]


def simulate(
    limiter: Limiter,
    server: Server,
    rows: Sequence[tuple[int, Usage]],
    latency_s: Callable[[Random], float],
    *,
    seed: int = 0,
    at_once: int = 1000,
    network_s: float = 0.01,
    retry_after_s: float = 1.0,
    stall_s: float = 0.0,
) -> Simulated:
    """Asks about rows (characters, usage), one canary first, until each has its reply.

    One wake-up in 50 is late by up to `stall_s`.
    """
    random = Random(seed)  # noqa: S311 a simulation
    waiting = list(reversed(rows))
    events: list[tuple[float, int, Callable[[float], None]]] = []
    number = now = paused_until = 0.0
    out = requests = 0
    canary = True
    sent_at: list[float] = []

    def at(when: float, do: Callable[[float], None]) -> None:
        nonlocal number
        number += 1
        heapq.heappush(events, (when, int(number), do))

    def send(now: float) -> None:
        nonlocal out, requests
        row = waiting.pop()
        out += 1
        requests += 1
        sent_at.append(now)
        hold = limiter.take(now, row[0])

        def arrives(now: float) -> None:
            usage = row[1]
            costs = {REQUESTS: 1.0, INPUT: float(usage.input_tokens), OUTPUT: float(usage.output_tokens)}
            admitted = server.admit(now, costs)
            early = server.headers(now)
            ready = now + (latency_s(random) if admitted else 0.0)

            def answers(now: float) -> None:
                headers = server.headers(now) if server.counts_at_reply else early

                def comes(now: float) -> None:
                    nonlocal out, paused_until, canary
                    out -= 1
                    limiter.settle(hold, now, usage if admitted else None, headers)
                    if admitted:
                        canary = False
                    else:
                        limiter.refused(now)
                        waiting.append(row)
                        paused_until = max(paused_until, now + retry_after_s)

                at(now + random.uniform(0.2, 1) * network_s, comes)

            at(ready, answers)

        at(now + random.uniform(0.2, 1) * network_s, arrives)

    while waiting or out:
        while waiting and out < (1 if canary else at_once):
            wait_s = max(limiter.wait_s(now, waiting[-1][0]), paused_until - now)
            if wait_s > 0:
                break
            send(now)
        else:
            wait_s = float("inf")
        late_s = random.uniform(0, stall_s) if random.random() < 0.02 else random.uniform(0, 0.003)  # no timer is exact
        woken_s = now + wait_s + late_s
        if events and events[0][0] <= woken_s:
            now, _, do = heapq.heappop(events)
            do(now)
        else:
            now = woken_s
    return Simulated(now, requests, server.refused, tuple(sent_at))


def requests_a_minute(limit: float, burst: float) -> dict[str, ServerBucket]:
    return {REQUESTS: ServerBucket(limit, burst)}


__all__ = ["INPUT", "OUTPUT", "REQUESTS", "Server", "ServerBucket", "Simulated", "requests_a_minute", "simulate"]
