"""The prompt cache, as far as usage shows it. Pure; time comes in.

docs: build-with-claude/prompt-caching (2026-10-08). A breakpoint writes the prompt up to itself. A later request reads the
longest prefix that an earlier one wrote at a breakpoint of its own, at most 20 blocks before one of the reader's. An
entry can be read once the first response began, not before: requests at the same time each pay for a write. Reading
renews its life. Below the model's minimum nothing is cached, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.local.question import Prefix

LOOKED_BACK = 20
"""Blocks before a breakpoint whose ends are tried."""
SWEEP_AT = 10_000
"""So many entries, and those that have died are thrown out."""
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Cached:
    """How the input of one request divides; the rest of it is neither read nor written."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0
    entries: tuple[tuple[bytes, float], ...] = ()
    """What becomes readable when the response begins: key and life in seconds."""

    @property
    def tokens(self) -> int:
        return self.read + self.written_5m + self.written_1h


class Cache:
    """Entries of all models; a Prefix has the model in its digest."""

    def __init__(self) -> None:
        self._dies_at: dict[bytes, tuple[float, float]] = {}
        """Digest → when it dies, and its life."""

    def look(self, prefixes: Sequence[Prefix], minimum: int | None, total: int, now: float) -> Cached:
        """What a request of `total` tokens that begins now reads and writes. `minimum` None: the model caches nothing."""
        if minimum is None:
            return Cached()
        marks = [index for index, each in enumerate(prefixes) if each.life_s is not None and each.tokens >= minimum]
        if not marks:
            return Cached()
        read = self._longest(prefixes, marks, now)
        found = reached = min(read.tokens, total) if read else 0
        written = {True: 0, False: 0}
        for mark in marks:
            tokens = min(prefixes[mark].tokens, total)
            if tokens > reached:
                written[prefixes[mark].life_s == HOUR_S] += tokens - reached
                reached = tokens
        entries = tuple((each.digest, each.life_s) for each in (prefixes[mark] for mark in marks) if each.life_s is not None)
        return Cached(found, written[False], written[True], entries)

    def begin(self, cached: Cached, now: float) -> None:
        """The response to it begins: what it wrote can be read from now on."""
        for digest, life_s in cached.entries:
            held = self._dies_at.get(digest)
            life_s = max(life_s, held[1]) if held and held[0] > now else life_s
            self._dies_at[digest] = (now + life_s, life_s)
        if len(self._dies_at) > SWEEP_AT:
            self._dies_at = {digest: each for digest, each in self._dies_at.items() if each[0] > now}

    def _longest(self, prefixes: Sequence[Prefix], marks: Sequence[int], now: float) -> Prefix | None:
        """The longest entry in reach; its life begins anew."""
        for mark in reversed(marks):
            for index in range(mark, max(mark - LOOKED_BACK, 0) - 1, -1):
                held = self._dies_at.get(prefixes[index].digest)
                if held and held[0] > now:
                    self._dies_at[prefixes[index].digest] = (now + held[1], held[1])
                    return prefixes[index]
        return None
