"""One batch: its requests and results on disk, and where it stands. Times come in.

Its requests are answered in an order of chance, evenly over the time that it takes: so one that is canceled or expires has
done the share that its time allowed. Docs: build-with-claude/batch-processing (2026-10-08).
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal

from pipeline.local.spool import Spool
from pipeline.local.stage import asked, digest
from pipeline.local.submission import Submitted

EXPIRES = timedelta(hours=24)
KEPT = timedelta(days=29)
"""Results, from the creation of the batch."""
CANCELING_S = 0.25
"""For so long requests are still answered after a cancel. How long the API takes is not documented."""
SHORTEST_WAIT_S = 0.005
STATES = ("processing", "succeeded", "errored", "canceled", "expired")


class Requests:
    """The requests of one batch: on disk, but for 24 bytes each."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._starts = array("Q")
        self._digests = array("Q")

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, each: Submitted) -> None:
        """OSError where the disk is full."""
        custom_id = each.custom_id.encode()
        self._starts.append(self._spool.append(b"%s\t%s" % (custom_id, each.params)))
        self._digests.extend((digest(custom_id), asked(each.params)))

    def digests(self) -> list[tuple[int, int]]:
        """Of custom_id and parameters."""
        return list(zip(self._digests[::2], self._digests[1::2], strict=True))

    def __getitem__(self, index: int) -> Submitted:
        start = self._starts[index]
        end = self._starts[index + 1] if index + 1 < len(self._starts) else self._spool.size
        custom_id, _, params = self._spool.read(start, end - start).partition(b"\t")
        return Submitted(custom_id.decode(), params)


@dataclass
class Batch:
    id: str
    key: bytes
    """By which chance knows it: the same for the same body that comes for the same time."""
    version: str | None
    """Of the API, under which it was created."""
    requests: Requests
    created_at: datetime
    began: float
    """The same moment on the monotonic clock."""
    takes_s: float
    luck: int
    is_stuck: bool = False
    is_archived: bool = False
    """As soon as it has ended."""
    is_broken: bool = False
    """The server itself failed at it."""
    cancel_initiated_at: datetime | None = None
    ended_at: datetime | None = None
    made: int = 0
    """Requests that have a result."""
    lines: int = 0
    """In the results."""
    counts: Counter[str] = field(default_factory=Counter)
    results: Spool = field(default_factory=Spool)
    _canceled: float | None = None
    _order: array[int] = field(default_factory=lambda: array("L"))
    _again: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._order.extend(range(len(self.requests)))
        Random(self.luck).shuffle(self._order)  # noqa: S311 nothing is kept secret with it

    @property
    def status(self) -> Literal["in_progress", "canceling", "ended"]:
        if self.ended_at is not None:
            return "ended"
        return "in_progress" if self.cancel_initiated_at is None else "canceling"

    def cancel(self, now: float, wall: datetime) -> None:
        if self._canceled is None:
            self._canceled, self.cancel_initiated_at = now, wall

    def due(self, now: float) -> int:
        """How many requests should have their answer by now."""
        size, elapsed_s = len(self.requests), min(now, self._stops) - self.began
        if self.is_stuck:
            return 0
        return size if elapsed_s >= self.takes_s else int(size * elapsed_s / self.takes_s)

    def is_over(self, now: float) -> bool:
        """Whether no further request is to be answered."""
        return self.made == len(self.requests) or now >= self._stops

    def next_s(self, now: float) -> float:
        """How long until there is something to do."""
        share = (self.made + 1) / len(self.requests)
        at = self._stops if self.is_stuck else min(self.began + share * self.takes_s, self._stops)
        return max(at - now, SHORTEST_WAIT_S)

    @property
    def unanswered(self) -> Literal["canceled", "expired"]:
        """What becomes of the requests that are left over."""
        return "expired" if self._canceled is None else "canceled"

    def upcoming(self) -> Submitted:
        return self.requests[self._order[self.made]]

    def put(self, state: str, line: bytes, *, copies: int = 1) -> None:
        """The result of the upcoming request. OSError where the disk is full."""
        if copies:
            start = self.results.append(line)
            self._again += [(start, len(line))] * (copies - 1)
        self.lines += copies
        self.counts[state] += 1
        self.made += 1

    def end(self, wall: datetime) -> None:
        for start, length in self._again:
            self.results.append(self.results.read(start, length))
        self.ended_at = wall

    def archived_at(self, wall: datetime) -> datetime | None:
        """When its results went; None while they are there."""
        if self.ended_at is not None and self.is_archived:
            return self.ended_at
        return self.created_at + KEPT if wall >= self.created_at + KEPT else None

    def told(self, base_url: str, wall: datetime) -> dict[str, Any]:
        """As the API tells it. Counts are of the end: until then all requests are `processing`."""
        archived_at = self.archived_at(wall)
        counts = self.counts if self.ended_at else {"processing": len(self.requests)}
        has_results = self.ended_at is not None and archived_at is None
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": self.status,
            "request_counts": {state: counts.get(state, 0) for state in STATES},
            "ended_at": _told(self.ended_at),
            "created_at": _told(self.created_at),
            "expires_at": _told(self.created_at + EXPIRES),
            "archived_at": _told(archived_at),
            "cancel_initiated_at": _told(self.cancel_initiated_at),
            "results_url": f"{base_url}v1/messages/batches/{self.id}/results" if has_results else None,
        }

    @property
    def _stops(self) -> float:
        expires = self.began + EXPIRES.total_seconds()
        return expires if self._canceled is None else min(expires, self._canceled + CANCELING_S)


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
