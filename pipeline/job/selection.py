"""Which rows of an input are asked about, pass by pass, and up to which row all have ended."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.events import Kept, Listener
from pipeline.job.stale import Stale
from pipeline.job.work import Work
from pipeline.read.ahead import ahead
from pipeline.read.rows import rows
from pipeline.records import FILE_SHIFT, Row, Status
from pipeline.write.glance import FRONTIER
from pipeline.write.journal import Journal

JUDGED = (Status.OK, Status.OK_REPAIRED, Status.INVALID_OUTPUT)
"""What a reply can be judged to be, one way or the other."""


@dataclass(frozen=True, slots=True)
class Known:
    """What may be taken for granted about outcomes of earlier runs."""

    placed: bool
    """Input and request are those of the last run that saw every row: an outcome belongs to the row at its position."""
    judged: bool
    """Schema and check are those by which the outcomes were judged."""


class Selection:
    """Of one run. Each pass looks at the rows in input order: one pass online; with batches one more for each time that some
    were collected, and such a pass may end before the last row."""

    def __init__(self, work: Work, journal: Journal, sizes: Sequence[int], tell: Listener) -> None:
        """`sizes`: the rows of each input file."""
        self._work = work
        self._journal = journal
        self._sizes = sizes
        self._tell = tell
        self._passes = 0
        self._pending: dict[int, None] = {}
        """Positions of rows that are being asked about, ascending."""
        self._left: int | None = None
        """The first row that this pass has left without a final outcome."""
        self._passed = 0
        """The position behind the last row that this pass has looked at."""
        self._seen = 0
        """The same, of all passes before."""
        self._stale = Stale()
        """Rows being asked about whose outcome in the journal is that of another request."""

    def is_done(self, retry: frozenset[Status], known: Known) -> bool:
        """Whether every row has an outcome that stands, known without a look at the rows."""
        if not (known.placed and known.judged) or self._journal.opened:
            return False
        if int(self._journal.noted(FRONTIER) or 0) < len(self._sizes) << FILE_SHIFT:
            return False
        return not retry or not any(self._journal.counts(self._sizes)[status] for status in retry)

    def asked(self, retry: frozenset[Status], known: Known) -> Iterator[Row | None]:
        """The rows that the next pass asks about, with their pictures and documents. A None after each batch, which may have
        been long and brought no row."""
        asked = self._unanswered(retry, known)
        return asked if self._work.media is None else ahead(asked, self._work.media.of, os.cpu_count() or 1)

    def left_open(self, row: Row) -> None:
        """It is as if never asked about."""
        self._pending.pop(row.position, None)
        self._left = row.position if self._left is None else min(self._left, row.position)

    def ended(self, row: Row, status: Status) -> None:
        self._stale.discard(row.position)
        if status is Status.IN_DOUBT:  # that is asked about again by the next run
            self.left_open(row)
        else:
            self._pending.pop(row.position, None)

    @property
    def frontier(self) -> int:
        """The position before which all rows have ended."""
        first = next(iter(self._pending), self._passed)
        return first if self._left is None else min(first, self._left)

    def standing(self, known: Known | None) -> Counter[Status]:
        """Status → rows of the journal, without outcomes of requests that are being made anew, or may have to be: where input
        or request is another, only those of rows that were looked at stand for certain."""
        placed = known is None or known.placed
        counts = self._journal.counts(self._sizes, before=None if placed else max(self._seen, self._passed))
        counts.subtract(self._stale.counts)
        return counts

    def _unanswered(self, retry: frozenset[Status], known: Known) -> Iterator[Row | None]:
        """The rows without an outcome, with one that is to be tried again or was being tried again, whose request changed, or
        whose reply is to be judged anew."""
        work = self._work
        left_open = {position for position, _ in self._journal.opened}
        self._passes += 1
        start = self._start(retry, known, left_open)
        if start and self._passes == 1:
            self._tell(Kept(self._rows_before(start)))
        for batch in work.source.batches(work.columns_read, start=start, sizes=self._sizes):
            after = batch.start + batch.table.num_rows
            had = self._journal.ended_in(batch.start, after)
            enclosed = self._journal.judged_and_enclosed(batch.start, after) if had else ()
            kept = 0
            for row in rows(batch, work.needs, work.key):
                self._passed = row.position + 1
                key, status = had.get(row.position, (None, None))
                if status is None:
                    self._pending[row.position] = None
                    yield row
                    continue
                if row.position < self._seen and row.position not in self._stale:  # it has ended in this run, or stands
                    if status is Status.IN_DOUBT:
                        self.left_open(row)
                    continue
                if status in retry:
                    row = replace(row, use="new")
                elif (
                    (not known.placed and key != work.request_key(row))
                    or status is Status.IN_DOUBT
                    or row.position in left_open
                    or row.position in enclosed
                ):
                    pass
                elif known.judged or status not in JUDGED:
                    kept += 1
                    continue
                else:
                    row = replace(row, use="paid")
                self._stale.put(row.position, status)
                self._pending[row.position] = None
                yield row
            if kept:
                self._tell(Kept(kept))
            yield None
        self._passed = len(self._sizes) << FILE_SHIFT

    def _start(self, retry: frozenset[Status], known: Known, left_open: set[int]) -> int:
        """The position before which no row needs a look; the pass begins there."""
        self._seen = max(self._seen, self._passed)
        self._pending.clear()
        self._left, self._passed = None, 0
        if not retry and known.placed and known.judged:
            enclosed = self._journal.first_judged_and_enclosed()
            opened = [*left_open, *([enclosed] if enclosed is not None else [])]
            self._passed = min([int(self._journal.noted(FRONTIER) or 0), *opened])
        return self._passed

    def _rows_before(self, position: int) -> int:
        file, index = position >> FILE_SHIFT, position & (1 << FILE_SHIFT) - 1
        return sum(self._sizes[:file]) + index
