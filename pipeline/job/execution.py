"""One execution of a job under its lock: which rows are asked about, and what becomes of them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain

from pipeline.analyse import Stages, analyse
from pipeline.call import preflight
from pipeline.call.batch import Batch
from pipeline.call.caller import BatchServer, Caller
from pipeline.call.online import Online
from pipeline.call.purse import Purse
from pipeline.engine import local
from pipeline.engine.local import Interrupted
from pipeline.errors import BudgetSpent, ComeBackLater, InputUnreadable, PipelineError, StorageFailed
from pipeline.events import (
    AskedAgain,
    AtService,
    Event,
    InDoubt,
    InFlight,
    Kept,
    Listener,
    Notice,
    Planned,
    Publishing,
    RowEnded,
    Spending,
)
from pipeline.job.published import Table, standing, written
from pipeline.job.spending import account, refused
from pipeline.job.stale import Stale
from pipeline.job.work import Input, Result, Work
from pipeline.measure.summary import Summary, Tally, within
from pipeline.read.ahead import ahead
from pipeline.read.fingerprint import fingerprint
from pipeline.read.rows import rows
from pipeline.records import FILE_SHIFT, Origin, Outcome, Pieces, Prompt, Reply, Row, Status
from pipeline.write.glance import FRONTIER, ROWS, SETTLED
from pipeline.write.journal import Journal
from pipeline.write.parcels import Parcels

JUDGED = (Status.OK, Status.OK_REPAIRED, Status.INVALID_OUTPUT)
"""What a reply can be judged to be, one way or the other."""
JUDGE = "judge"
"""Journal note: the schema and check by which all outcomes were judged; void meanwhile, like SETTLED."""


@dataclass(frozen=True, slots=True)
class Known:
    """What may be taken for granted about outcomes of earlier runs."""

    placed: bool
    """Input and request are those of the last run that saw every row: an outcome belongs to the row at its position."""
    judged: bool
    """Schema and check are those by which the outcomes were judged."""


class Execution:
    """One execution under the lock."""

    def __init__(
        self,
        work: Work,
        journal: Journal,
        found: Input,
        started_at: float,
        tell: Listener,
        tick: Callable[[], None],
        *,
        same_request: bool = True,
    ) -> None:
        """`same_request`: rows are asked about as the last run asked."""
        self._work = work
        self._journal = journal
        self._input = found
        self._started_at = started_at
        self._same_request = same_request
        self._listener = tell
        self._tick = tick
        self._tally = Tally()
        self._tally.doubt(journal.doubts())  # of runs that were killed before they could tell of them
        self._purse = Purse(account(work.budget_usd, journal, work.shape, work.price), work.worst_usd, work.price, tell)
        self._online: Online | None = None
        self._parcels = Parcels(journal)
        self._batch: Batch | None = None
        self._passes = 0
        """Over the rows: one online; with batches one more for each time that some were collected."""
        self._pending: dict[int, None] = {}
        """Positions of rows that are being asked about, ascending."""
        self._left: int | None = None
        """The first row that this pass has left without a final outcome."""
        self._known: Known | None = None
        self._passed = 0
        """The position behind the last row that this pass has looked at."""
        self._seen = 0
        """The same, of all passes before: a pass of batches may end before the last row."""
        self._stale = Stale()
        """Rows being asked about whose outcome in the journal is that of another request."""

    def run(self, retry: frozenset[Status], *, detach: bool = False) -> Result:
        self._known = known = self.begin()
        self._journal.note(ROWS, json.dumps(self._input.rows))
        self._tell(Planned(sum(self._input.rows)))
        state = self._state()
        if self._nothing_to_do(retry, known):
            table = standing(self._work, self._journal, state, self._tally)
            if table is not None:
                self._tell(Kept(sum(self._input.rows)))
                return self._finished(self._verdict(), table)
        try:
            interrupted = self._ask(retry, known, detach=detach)
        except BudgetSpent as error:
            raise self._refused(error) from error
        self._journal.flush()
        if interrupted is not None:
            return self.interrupted(interrupted)
        # Beyond this line every row has an outcome under the present request.
        self._refuse_changed_input()
        self._settle(state)
        self._tell(Publishing(str(self._work.output)))
        sealed: list[Summary] = []

        def seal() -> Summary:
            self._refuse_changed_input()
            sealed.append(self._verdict())
            return sealed[-1]

        table = written(self._work, self._journal, state, self._tally, seal)
        return self._finished(sealed[-1], table)

    def begin(self) -> Known:
        """Finds out what holds, and makes void what may not hold any more if this run is stopped, whatever stops it."""
        state, journal = self._state(), self._journal
        if not journal.has_outcomes():
            self._settle(state)
        judged = journal.noted(JUDGE) == self._work.judged_by
        # What a row only names may have changed unseen: then each row's request key decides.
        is_seen = self._work.media is None or not self._work.media.by_name
        placed = journal.noted(SETTLED) == state and is_seen
        if not (placed and judged):
            journal.note(SETTLED, "")
        if not judged:
            journal.note(JUDGE, "")
        return Known(placed, judged)

    def _settle(self, state: str) -> None:
        self._journal.note(JUDGE, self._work.judged_by)
        self._journal.note(FRONTIER, str(self._frontier()))
        self._journal.note(SETTLED, state)

    def interrupted(self, by: Interrupted) -> Result:
        """Of a run that a signal ended; nothing is published then."""
        return Result(self.write_summary(by.exit_code, f"interrupted by {by.signal.name}"), {}, (), None)

    def write_summary(self, exit_code: int, reason: str) -> Summary:
        """Of a run that publishes nothing: the statuses are those of the journal."""
        with suppress(StorageFailed):  # if that is what ended the run, what is durable still counts
            self._journal.flush()
        if self._input_moved():  # and may be put back: what was asked meanwhile must not pass for asked about the old one
            with suppress(StorageFailed):
                self._journal.note(SETTLED, "")
        self._tally.recount()  # a table that was being written when the run stopped does not stand
        counts = self._standing()
        for status, number in counts.items():
            self._tally.stands(status, False, number)
        self._tally.stands(Status.PENDING, False, sum(self._input.rows) - counts.total())
        return self._file(self._summary(exit_code, reason))

    def _standing(self) -> Counter[Status]:
        """Status → rows of the journal, without outcomes of requests that are being made anew, or may have to be: where input
        or request is another, only those of rows that were looked at stand for certain."""
        placed = self._known is None or self._known.placed
        counts = self._journal.counts(self._input.rows, before=None if placed else max(self._seen, self._passed))
        counts.subtract(self._stale.counts)
        return counts

    def _refused(self, error: BudgetSpent) -> BudgetSpent:
        self._journal.flush()
        ended = self._standing().total()
        left, cost_usd = sum(self._input.rows) - ended, self._journal.cost_usd()
        return refused(error, self._purse.account, ended=ended, cost_usd=cost_usd, left=left)

    def _ask(self, retry: frozenset[Status], known: Known, *, detach: bool) -> Interrupted | None:
        """Asks about all rows that have no answer yet; the signal that ended it, if one did."""
        asked = self._asked(retry, known)
        first = next((row for row in asked if row is not None), None)
        if first is None and not self._parcels.out():
            return None
        rows_asked = chain([first], asked)
        with self._work.connect() as transport:
            try:
                return local.run(
                    lambda halt: self._drive(transport, rows_asked, halt, retry, known, detach=detach),
                    drain_s=self._work.drain_s,
                    tell=self._tell,
                    tick=self._ticked,
                    in_flight=lambda: self._online is not None and self._online.in_flight > 0,
                )
            finally:
                self._ticked()

    def _refuse_changed_input(self) -> None:
        """Raises InputUnreadable when a file is not what it was when the run began: rows and answers may not fit any more."""
        changes = fingerprint(self._work.source.files).changes(self._input.seen)
        if changes:
            raise InputUnreadable(
                f"the input changed while it was read: {'; '.join(changes)}",
                todo="run the same command again: what has not changed is not asked again",
            )

    def _input_moved(self) -> bool:
        try:
            return bool(fingerprint(self._work.source.files).changes(self._input.seen))
        except InputUnreadable:
            return True

    async def _drive(
        self,
        connect: Callable[[Listener], BatchServer],
        asked: Iterator[Row | None],
        halt: asyncio.Event,
        retry: frozenset[Status],
        known: Known,
        *,
        detach: bool,
    ) -> None:
        """Looks at the model first; not where replies are only judged anew, which takes neither key nor model."""
        work = self._work
        transport = connect(self._tell)
        try:
            if known.judged:
                for note in preflight.notes(await transport.describe(work.shape.form.model), work.shape.form):
                    self._tell(Notice(note))
            ports = transport, self._journal, work.shape, work.limits
            proven = self._same_request and self._journal.bought
            self._online = Online(*ports, halt, self._tell, time.time, random.random, self._purse, proven=proven)
            if work.terms.online and not self._parcels.any():
                await self._pass(asked, self._online, halt)
                return
            self._batch = self._batches(transport, self._online, halt, retry, proven=proven)
            await self._in_batches(self._batch, asked, halt, retry, known, detach=detach)
        finally:
            await transport.close()

    async def _pass(self, asked: Iterator[Row | None], caller: Caller, halt: asyncio.Event) -> None:
        work = self._work
        stages = Stages(work.prompt, work.follow, work.again, caller, work.judges, self._priced, self._tell, work.combine)
        await analyse(asked, stages, self._ended, halt, self._left_open)

    def _batches(
        self, transport: BatchServer, online: Online, halt: asyncio.Event, retry: frozenset[Status], *, proven: bool
    ) -> Batch:
        work = self._work
        return Batch(
            server=transport,
            ledger=self._journal,
            memory=self._parcels,
            shape=work.shape,
            terms=work.terms,
            online=online,
            purse=self._purse,
            folder=work.folder.batches,
            halt=halt,
            tell=self._tell,
            clock=time.time,
            random=random.random,
            nonce=lambda: secrets.token_hex(4),
            sleep=asyncio.sleep,
            pace=work.pace,
            proven=proven,
            retried=retry,
        )

    async def _in_batches(
        self,
        batch: Batch,
        asked: Iterator[Row | None],
        halt: asyncio.Event,
        retry: frozenset[Status],
        known: Known,
        *,
        detach: bool,
    ) -> None:
        """Passes over the rows, each after what the one before has sent was collected, until nothing is out."""
        await batch.begin()
        while True:
            again = batch.again
            await self._pass(asked, batch, halt)
            self._journal.flush()  # outcomes are looked up by the next pass
            for _ in range(batch.again - again):
                self._tally.asked_again()
            if halt.is_set():
                self._left_behind()
                return
            out = self._parcels.out()
            if not out and not batch.deferred:
                return
            moved = await batch.collect(once=detach)
            if halt.is_set():
                self._left_behind()
                return
            if detach and not moved and (out := self._parcels.out()):
                named = ", ".join(parcel.batch_id or "one whose fate is not known yet" for parcel in out)
                raise ComeBackLater(
                    f"{sum(parcel.requests for parcel in out):,} requests are with the service in batches ({named})",
                    todo="run the same command again later (most batches end within an hour, all within a day): it collects",
                )
            asked = self._asked(retry, known)

    def _left_behind(self) -> None:
        if out := self._parcels.out():
            told = f"{len(out)} batches go on at the service; run again to collect them, or end them with pipeline cancel"
            self._tell(Notice(told))

    def _asked(self, retry: frozenset[Status], known: Known) -> Iterator[Row | None]:
        """The rows to ask about, with their pictures and documents."""
        asked = self._unanswered(retry, known)
        return asked if self._work.media is None else ahead(asked, self._work.media.of, os.cpu_count() or 1)

    def _unanswered(self, retry: frozenset[Status], known: Known) -> Iterator[Row | None]:
        """The rows to ask about: those without an outcome, with one that is to be tried again or was being tried again, whose
        request changed, or whose reply is to be judged anew. A None after each batch, which may have been long and brought
        no row."""
        work = self._work
        left_open = {position for position, _ in self._journal.opened}
        self._passes += 1
        start = self._start(retry, known, left_open)
        if start and self._passes == 1:
            self._tell(Kept(self._rows_before(start)))
        for batch in work.source.batches(work.columns_read, start=start, sizes=self._input.rows):
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
                        self._left_open(row)
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
        self._passed = len(self._input.rows) << FILE_SHIFT

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

    def _frontier(self) -> int:
        first = next(iter(self._pending), self._passed)
        return first if self._left is None else min(first, self._left)

    def _left_open(self, row: Row) -> None:
        """It is as if never asked about."""
        self._pending.pop(row.position, None)
        self._left = row.position if self._left is None else min(self._left, row.position)

    def _rows_before(self, position: int) -> int:
        file, index = position >> FILE_SHIFT, position & (1 << FILE_SHIFT) - 1
        return sum(self._input.rows[:file]) + index

    def _priced(self, reply: Reply) -> float | None:
        cost_usd = self._work.price(reply)
        if reply.origin is Origin.NOW:
            self._tally.bought(reply.usage, cost_usd)
        return cost_usd

    def _ended(self, row: Row, outcome: Outcome, prompt: Prompt | Pieces | None) -> None:
        self._journal.ended(outcome, self._work.shape.identity(prompt) if prompt is not None else None)
        self._stale.discard(row.position)
        if outcome.status is Status.IN_DOUBT:  # that is asked about again by the next run
            self._left_open(row)
        else:
            self._pending.pop(row.position, None)
        self._tally.ended(outcome)
        self._tell(RowEnded(row.key, outcome))

    def _nothing_to_do(self, retry: frozenset[Status], known: Known) -> bool:
        """Whether every row has an outcome that stands, known without a look at the rows."""
        if not (known.placed and known.judged) or self._journal.opened or self._parcels.out():
            return False
        if int(self._journal.noted(FRONTIER) or 0) < len(self._input.rows) << FILE_SHIFT:
            return False
        return not retry or not any(self._journal.counts(self._input.rows)[status] for status in retry)

    def _verdict(self) -> Summary:
        """The summary of a run whose table stands."""
        summary = self._summary(0, "every row has an answer")
        missing = f"{summary.unanswered:,} of {summary.rows:,} rows have no answer"
        if not within(self._work.max_failed, summary.unanswered, summary.rows):
            return self._summary(1, missing)
        return self._summary(0, f"{missing}, which run.max_failed allows") if summary.unanswered else summary

    def _finished(self, summary: Summary, table: Table) -> Result:
        self._file(summary)
        self._work.folder.append_history(summary.json())
        self._journal.finished()
        return Result(summary, table.answers, table.agreements, table.note)

    def _summary(self, exit_code: int, reason: str) -> Summary:
        requests = self._online.requests if self._online is not None else 0
        requests += self._batch.requests if self._batch is not None else 0
        return self._tally.summary(
            requests=requests, started_at=self._started_at, ended_at=time.time(), exit_code=exit_code, reason=reason
        )

    def _file(self, summary: Summary) -> Summary:
        self._work.folder.write_json(self._work.folder.summary, asdict(summary))
        if summary.possible_double_charges:
            with suppress(StorageFailed):  # then the next run tells of them once more
                self._journal.doubts_told()
        return summary

    def _state(self) -> str:
        """Input, request and what of media is taken, in one line: equal only while all are unchanged."""
        state: dict[str, object] = {"input": self._input.seen.as_json(), "rows": self._input.rows, "parts": self._work.parts}
        if self._work.media is not None:
            state["media"] = self._work.media.under
        return json.dumps(state, sort_keys=True, default=dict)

    def _tell(self, event: Event) -> None:
        if isinstance(event, InDoubt):
            self._tally.doubt(1)
            self._journal.doubted()
        # With batches, the same reply is looked at again in each pass; what is asked for it is counted where it is enclosed.
        if isinstance(event, AskedAgain) and not event.reused and self._batch is None:
            self._tally.asked_again()
        self._listener(event)

    def _ticked(self) -> None:
        if self._online is not None:
            with suppress(PipelineError):  # whoever asks next hears of it
                self._journal.note_behind(FRONTIER, str(self._frontier()))
            self._listener(InFlight(self._online.in_flight, self._online.limit))
            money = self._purse.account
            if money.limit_usd is not None:
                self._listener(Spending(money.paid_usd, money.doubtful_usd, money.limit_usd))
        if self._batch is not None:
            out = self._parcels.out()
            oldest_s = max((time.time() - (parcel.created_at or parcel.after) for parcel in out), default=0.0)
            self._listener(AtService(len(out), sum(parcel.requests for parcel in out), oldest_s))
        self._tick()
