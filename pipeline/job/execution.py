"""One execution of a job under its lock: which rows are asked about, and what becomes of them."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
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
from pipeline.job.selection import Known, Selection
from pipeline.job.spending import account, refused
from pipeline.job.work import Input, Result, Work
from pipeline.measure.summary import Summary, Tally, within
from pipeline.read.fingerprint import fingerprint
from pipeline.records import Origin, Outcome, Pieces, Prompt, Reply, Row, Status
from pipeline.write.glance import FRONTIER, ROWS, SETTLED
from pipeline.write.journal import Journal
from pipeline.write.parcels import Parcels

JUDGE = "judge"
"""Journal note: the schema and check by which all outcomes were judged; void meanwhile, like SETTLED."""


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
        self._selection = Selection(work, journal, found.rows, self._tell)
        self._known: Known | None = None

    def run(self, retry: frozenset[Status], *, detach: bool = False) -> Result:
        self._known = known = self.begin()
        self._journal.note(ROWS, json.dumps(self._input.rows))
        self._tell(Planned(sum(self._input.rows)))
        state = self._state()
        if not self._parcels.out() and self._selection.is_done(retry, known):
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
        self._journal.note(FRONTIER, str(self._selection.frontier))
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
        counts = self._selection.standing(self._known)
        for status, number in counts.items():
            self._tally.stands(status, False, number)
        self._tally.stands(Status.PENDING, False, sum(self._input.rows) - counts.total())
        return self._file(self._summary(exit_code, reason))

    def _refused(self, error: BudgetSpent) -> BudgetSpent:
        self._journal.flush()
        ended = self._selection.standing(self._known).total()
        left, cost_usd = sum(self._input.rows) - ended, self._journal.cost_usd()
        return refused(error, self._purse.account, ended=ended, cost_usd=cost_usd, left=left)

    def _ask(self, retry: frozenset[Status], known: Known, *, detach: bool) -> Interrupted | None:
        """Asks about all rows that have no answer yet; the signal that ended it, if one did."""
        asked = self._selection.asked(retry, known)
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
        await analyse(asked, stages, self._ended, halt, self._selection.left_open)

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
            asked = self._selection.asked(retry, known)

    def _left_behind(self) -> None:
        if out := self._parcels.out():
            told = f"{len(out)} batches go on at the service; run again to collect them, or end them with pipeline cancel"
            self._tell(Notice(told))

    def _priced(self, reply: Reply) -> float | None:
        cost_usd = self._work.price(reply)
        if reply.origin is Origin.NOW:
            self._tally.bought(reply.usage, cost_usd)
        return cost_usd

    def _ended(self, row: Row, outcome: Outcome, prompt: Prompt | Pieces | None) -> None:
        self._journal.ended(outcome, self._work.shape.identity(prompt) if prompt is not None else None)
        self._selection.ended(row, outcome.status)
        self._tally.ended(outcome)
        self._tell(RowEnded(row.key, outcome))

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
                self._journal.note_behind(FRONTIER, str(self._selection.frontier))
            self._listener(InFlight(self._online.in_flight, self._online.limit))
            money = self._purse.account
            if money.limit_usd is not None:
                self._listener(Spending(money.paid_usd, money.doubtful_usd, money.limit_usd))
        if self._batch is not None:
            out = self._parcels.out()
            oldest_s = max((time.time() - (parcel.created_at or parcel.after) for parcel in out), default=0.0)
            self._listener(AtService(len(out), sum(parcel.requests for parcel in out), oldest_s))
        self._tick()
