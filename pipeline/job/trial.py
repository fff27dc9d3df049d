"""One row asked about outside of a run, by whoever works on a prompt.

What it buys is remembered as a run remembers it, so that no later run pays for it again; but the row gets no outcome: it is as
if never looked at, and whatever stood for it in the last table still does. So any number of prompts can be tried on a job that
is done, and each costs itself.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipeline.analyse import Stages, analyse
from pipeline.call import preflight
from pipeline.call.caller import Server
from pipeline.call.online import Online
from pipeline.call.purse import Purse
from pipeline.engine import local
from pipeline.engine.local import Interrupted
from pipeline.errors import StorageFailed
from pipeline.events import Event, InDoubt, Listener, Notice, Retrying
from pipeline.job.change import refuse_gone
from pipeline.job.spending import account
from pipeline.job.work import Work
from pipeline.read.rows import rows
from pipeline.read.source import Source
from pipeline.records import FILE_SHIFT, Outcome, Pieces, Prompt, Row
from pipeline.write.journal import Journal
from pipeline.write.lock import locked

NOWHERE = (1 << 22) << FILE_SHIFT
"""The position of a text that stands in no file: beyond that of every row."""


@dataclass(frozen=True, slots=True)
class Tried:
    outcome: Outcome | None
    """None where a signal ended it first."""
    requests: int
    """Sent just now."""
    seconds: float
    interrupted: Interrupted | None = None


def row_named(source: Source, needs: Sequence[str], key: str | None, named: str | None) -> Row | None:
    """The row that a person calls so, by the key column or, without one, by its ordinal; None: the first. None where there is
    none. Reads up to it and not beyond."""
    columns = list(dict.fromkeys([*needs, *([key] if key is not None else [])]))
    for batch in source.batches(columns, max_rows=1 if named is None else 1024):
        for row in rows(batch, needs, key):
            if named is None or row.key == named:
                return row
    return None


def trial(work: Work, row: Row, *, tell: Listener) -> Tried:
    """Asks about one row until it has its end, under the lock and the budget of the job.

    Raises PipelineError where it cannot begin, or the account, the service or the disk stops it; what has come until then is
    kept.
    """
    work.folder.create()
    where = f"the run folder {work.folder.path}"
    with locked(work.folder.lock, where, work.folder.path.name, wait=False, say=lambda sentence: tell(Notice(sentence))):
        refuse_gone(work)
        with Journal(work.folder.journal, reserve_bytes=work.reserve_bytes) as journal:
            trying = _Trial(work, journal, tell)
            left_open = any(position == row.position for position, _ in journal.opened)
            try:
                return trying.run(row)
            finally:
                if not left_open:  # else it is as an interrupted run has left it, and the next one takes it up
                    with suppress(StorageFailed):
                        journal.dropped(row.position)


class _Trial:
    def __init__(self, work: Work, journal: Journal, tell: Listener) -> None:
        self._work = work
        self._journal = journal
        self._listener = tell
        money = account(work.budget_usd, journal, work.shape, work.price)
        self._purse = Purse(money, work.worst_usd, work.price, tell)
        self._outcome: Outcome | None = None
        self._online: Online | None = None

    def run(self, row: Row) -> Tried:
        started = time.monotonic()
        with self._work.connect() as transport:
            interrupted = local.run(
                lambda halt: self._drive(transport, iter([row]), halt),
                drain_s=self._work.drain_s,
                tell=self._tell,
                tick=lambda: None,
            )
        requests = self._online.requests if self._online is not None else 0
        return Tried(self._outcome, requests, time.monotonic() - started, interrupted)

    async def _drive(self, connect: Callable[[Listener], Server], asked: Iterator[Row], halt: asyncio.Event) -> None:
        work = self._work
        transport = connect(self._tell)
        try:
            for note in preflight.notes(await transport.describe(work.shape.form.model), work.shape.form):
                self._tell(Notice(note))
            ports = transport, self._journal, work.shape, work.limits
            proven = self._journal.bought
            self._online = Online(*ports, halt, self._tell, time.time, random.random, self._purse, proven=proven)
            stages = Stages(
                work.prompt, work.follow, work.again, self._online, work.judges, work.price, self._tell, work.combine
            )
            await analyse(asked, stages, self._ended, halt)
        finally:
            await transport.close()

    def _ended(self, row: Row, outcome: Outcome, prompt: Prompt | Pieces | None) -> None:
        self._outcome = outcome

    def _tell(self, event: Event) -> None:
        if isinstance(event, InDoubt) or (isinstance(event, Retrying) and event.billed):
            self._journal.doubted()
        self._listener(event)
