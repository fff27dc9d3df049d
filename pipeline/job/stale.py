"""Rows whose outcome in the journal is that of another request, and does not stand any more: 9 bytes each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter

from pipeline.records import Status

STATUSES = tuple(Status)
GONE = len(STATUSES)
MOST_GONE = 1024
"""Places of rows that are not stale any more, before they are taken out: then those of half of all are."""


class Stale:
    def __init__(self) -> None:
        self._positions = array("q")
        """Ascending."""
        self._statuses = bytearray()
        self._gone = 0
        self.counts: Counter[Status] = Counter()
        """Of those outcomes."""

    def put(self, position: int, status: Status) -> None:
        """In the order of positions; one that is there already may be put once more."""
        if position in self:
            return
        assert not self._positions or self._positions[-1] < position, "rows are looked at in input order"
        self._positions.append(position)
        self._statuses.append(STATUSES.index(status))
        self.counts[status] += 1

    def discard(self, position: int) -> None:
        at = self._at(position)
        if at is None:
            return
        self.counts[STATUSES[self._statuses[at]]] -= 1
        self._statuses[at] = GONE
        self._gone += 1
        if self._gone >= max(MOST_GONE, len(self._positions) // 2):
            stay = [at for at, status in enumerate(self._statuses) if status != GONE]
            self._positions = array("q", (self._positions[at] for at in stay))
            self._statuses = bytearray(self._statuses[at] for at in stay)
            self._gone = 0

    def __contains__(self, position: int) -> bool:
        return self._at(position) is not None

    def _at(self, position: int) -> int | None:
        at = bisect_left(self._positions, position)
        is_there = at < len(self._positions) and self._positions[at] == position and self._statuses[at] != GONE
        return at if is_there else None
