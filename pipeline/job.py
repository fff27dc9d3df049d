"""A job's run, from its lock to its published table: plan, drive, publish, sum up.

    lock ─ read keys ─ compare with the last run ─ ask what is not answered yet ─ publish ─ sum up

Everything comes in as values and ports (see `Work`); nothing is read here from config, environment or command line.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from pipeline.analyse import Stages, analyse
from pipeline.call.caller import Transport
from pipeline.call.online import Limits, Online
from pipeline.call.wire import Shape
from pipeline.engine import local
from pipeline.engine.local import Interrupted
from pipeline.errors import ConfigInvalid, InputUnreadable, PipelineError, StorageFailed
from pipeline.events import Event, InDoubt, InFlight, Kept, Listener, Notice, Planned, Publishing, Retrying, RowEnded
from pipeline.measure.answers import Answers
from pipeline.measure.gold import Agreed, Agreement
from pipeline.measure.summary import Summary, Tally, within
from pipeline.read.fingerprint import Fingerprint, fingerprint
from pipeline.read.keys import count
from pipeline.read.rows import rows
from pipeline.read.source import Source
from pipeline.read.union import is_text
from pipeline.records import JSON, Answer, Origin, Outcome, Prompt, Rejection, Reply, Row, Status
from pipeline.render.prompt import Unaskable
from pipeline.write.journal import ROWS, Journal
from pipeline.write.lock import locked, output_locked
from pipeline.write.rundir import RunFolder
from pipeline.write.table import publish
from pipeline.write.table_columns import Columns, Piece

REQUEST = "request"
"""The part that stands for all of a request, with what this program puts into it."""
JUDGE = "judge"
"""Journal note: the schema and check by which the outcomes were judged."""
JUDGED = (Status.OK, Status.OK_REPAIRED, Status.INVALID_OUTPUT)
"""What a reply can be judged to be, one way or the other."""
CHECKED = "checked"
"""Journal note: the files whose keys were proven, and their rows."""
PUBLISHED = "published"
"""Journal note: the table as it was published last, and what it holds."""
SETTLED = "settled"
"""Journal note: input and request of the last run that saw every row. While both are the same, an outcome is done by its
position alone; otherwise each row's request key decides."""


@dataclass(frozen=True, slots=True)
class Work:
    """All that wiring has made of a config."""

    source: Source
    key: str | None
    """The key column."""
    limit: int | None
    """Rows that the source was cut to."""
    needs: tuple[str, ...]
    """Columns that a prompt takes."""
    prompt: Callable[[Row], Prompt | Unaskable]
    shape: Shape
    judge: Callable[[Reply], Answer | Rejection]
    judged_by: str
    """Digest of schema and check: replies are judged again, free, when it changes."""
    price: Callable[[Reply], float | None]
    enums: Mapping[str, Sequence[str]]
    """Answer properties with few values, and those values."""
    columns: Columns
    output: Path
    folder: RunFolder
    described: Mapping[str, JSON]
    """The job in plain values, for job.json."""
    parts: Mapping[str, str]
    """Config key → digest of what it brings into every request: what may not change unnoticed."""
    connect: Callable[[], AbstractContextManager[Callable[[], Transport]]]
    """Entered only when there is something to ask: starts what must run beside the job, gives what makes the transport.
    That in turn is called once, inside the event loop."""
    limits: Limits
    reserve_bytes: int
    """Disk for the replies that may be out at once, at their longest."""
    asks: int
    max_failed: int | str
    drain_s: float


@dataclass(frozen=True, slots=True)
class Result:
    summary: Summary
    answers: Mapping[str, Mapping[str, int]]
    """Property → value → rows."""
    agreements: Sequence[Agreed]
    note: str | None
    """A sentence about the published file that a person should know."""
    error: PipelineError | None = None
    """Why the run could not finish; nothing was published then."""


def run(
    work: Work,
    *,
    retry: frozenset[Status],
    accept_change: bool,
    wait: bool = False,
    tell: Listener,
    tick: Callable[[], None],
) -> Result:
    """Starts, resumes, or brings up to date. `wait`: for another run that holds the lock, instead of raising ComeBackLater.

    Raises PipelineError where it cannot begin. Once it has begun there is a Result with a summary, whatever happens: with
    the error that ended it, or with exit code 130 or 143 where a signal did; nothing is published then.
    """
    work.folder.create()
    job = work.folder.path.name

    def say(sentence: str) -> None:
        tell(Notice(sentence))

    # Always in this order, and never two folders or two outputs: so nobody waits in a circle.
    with (
        locked(work.folder.lock, f"the run folder {work.folder.path}", job, wait=wait, say=say),
        output_locked(work.output, job, wait=wait, say=say),
    ):
        started_at = time.time()
        seen = fingerprint(work.source.files)
        with Journal(work.folder.journal, reserve_bytes=work.reserve_bytes) as journal:
            found = Input(seen, _rows(work, journal, seen))
            _refuse_change(work, journal, accept_change)
            work.folder.write_json(work.folder.job, work.described)
            execution = Execution(work, journal, found, started_at, tell, tick)
            try:
                return execution.run(retry)
            except PipelineError as error:
                summary = execution.write_summary(error.exit_code, error.message.splitlines()[0])
                return Result(summary, {}, (), None, error)


def _rows(work: Work, journal: Journal, seen: Fingerprint) -> Sequence[int]:
    """Rows of each file, the keys proven; not read again while the files are what they were."""
    state = json.dumps([seen.as_json(), work.key, work.needs, work.limit])
    noted = journal.noted(CHECKED)
    if noted is not None:
        checked = json.loads(noted)
        if checked["state"] == state:
            known: list[int] = checked["rows"]
            return known
    totals = count(work.source, work.key, work.needs)
    journal.note(CHECKED, json.dumps({"state": state, "rows": totals}))
    return totals


def _refuse_change(work: Work, journal: Journal, accept_change: bool) -> None:
    """Raises ConfigInvalid when what is asked has changed since rows were paid."""
    last = work.folder.read_json(work.folder.job)
    parts = last.get("parts") if last is not None else None
    if not isinstance(parts, dict) or accept_change:
        return
    changed = sorted(name for name in {*parts, *work.parts} if parts.get(name) != work.parts.get(name))
    # The whole request changes with any part of it; alone, it is this program that asks differently.
    changed = [name for name in changed if name != REQUEST] or changed
    if not changed:
        return
    replies, cost_usd = journal.paid()
    if not replies:
        return
    raise ConfigInvalid(
        f"{', '.join(changed)} changed since {work.folder.path} was paid for: {replies:,} paid "
        f"{'reply does' if replies == 1 else 'replies do'} not apply any more; the table they made cost ${cost_usd:,.4f}",
        todo="undo the change, or give the job another name, or pay again with --accept-change",
    )


@dataclass(frozen=True, slots=True)
class Input:
    """The corpus as this run found it."""

    seen: Fingerprint
    rows: Sequence[int]
    """Of each file."""


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
        self, work: Work, journal: Journal, found: Input, started_at: float, tell: Listener, tick: Callable[[], None]
    ) -> None:
        self._work = work
        self._journal = journal
        self._input = found
        self._started_at = started_at
        self._listener = tell
        self._tick = tick
        self._tally = Tally()
        self._online: Online | None = None
        self._stale: dict[int, Status] = {}
        """Rows being asked about whose outcome in the journal is that of another request: position → its status."""

    def run(self, retry: frozenset[Status]) -> Result:
        state = self._state()
        known = Known(
            placed=self._journal.noted(SETTLED) == state,
            judged=self._journal.noted(JUDGE) in (None, self._work.judged_by),
        )
        if not (known.placed and known.judged):
            # Until this run has seen every row, no outcome can be trusted by its position, whatever stops it.
            self._journal.note(SETTLED, "")
        self._journal.note(ROWS, json.dumps(self._input.rows))
        self._tell(Planned(sum(self._input.rows)))
        if self._nothing_to_do(retry, known):
            standing = self._standing(state)
            if standing is not None:
                return standing
        interrupted = self._ask(retry, known)
        self._journal.flush()
        if interrupted is not None:
            reason = f"interrupted by {interrupted.signal.name}"
            return Result(self.write_summary(interrupted.exit_code, reason), {}, (), None)
        # Beyond this line every row has an outcome under the present request.
        self._refuse_changed_input()
        self._journal.note(JUDGE, self._work.judged_by)
        self._journal.note(SETTLED, state)
        return self._publish(state)

    def write_summary(self, exit_code: int, reason: str) -> Summary:
        """Of a run that publishes nothing: the statuses are those of the journal."""
        with suppress(StorageFailed):  # if that is what ended the run, what is durable still counts
            self._journal.flush()
        self._tally.recount()  # a table that was being written when the run stopped does not stand
        counts = self._journal.counts(self._input.rows)
        counts.subtract(self._stale.values())
        for status, number in counts.items():
            self._tally.stands(status, False, number)
        self._tally.stands(Status.PENDING, False, sum(self._input.rows) - counts.total())
        return self._file(self._summary(exit_code, reason))

    def _ask(self, retry: frozenset[Status], known: Known) -> Interrupted | None:
        """Asks about all rows that have no answer yet; the signal that ended it, if one did."""
        asked = self._unanswered(retry, known)
        first = next((row for row in asked if row is not None), None)
        if first is None:
            return None
        with self._work.connect() as transport:
            interrupted = local.run(
                lambda halt: self._drive(transport, chain([first], asked), halt),
                drain_s=self._work.drain_s,
                tell=self._tell,
                tick=self._ticked,
            )
            self._ticked()
        return interrupted

    def _refuse_changed_input(self) -> None:
        """Raises InputUnreadable when a file is not what it was when the run began: rows and answers may not fit any more."""
        changes = fingerprint(self._work.source.files).changes(self._input.seen)
        if changes:
            raise InputUnreadable(
                f"the input changed while it was read: {'; '.join(changes)}",
                todo="run the same command again: what has not changed is not asked again",
            )

    async def _drive(self, connect: Callable[[], Transport], asked: Iterator[Row | None], halt: asyncio.Event) -> None:
        work = self._work
        transport = connect()
        try:
            self._online = Online(transport, self._journal, work.shape, work.limits, halt, self._tell, time.time, random.random)
            stages = Stages(work.prompt, self._online, work.judge, self._priced, work.asks, self._tell)
            await analyse(asked, stages, self._ended, halt)
        finally:
            await transport.close()

    def _unanswered(self, retry: frozenset[Status], known: Known) -> Iterator[Row | None]:
        """The rows to ask about: those without an outcome, with one that is to be tried again or was being tried again, whose
        request changed, or whose reply is to be judged anew. A None after each batch, which may have been long and brought
        no row."""
        work = self._work
        columns = list(dict.fromkeys([*work.needs, *([work.key] if work.key is not None else [])]))
        left_open = {position for position, _ in self._journal.opened}
        for batch in work.source.batches(columns):
            had = self._journal.ended_in(batch.start, batch.start + batch.table.num_rows)
            kept = 0
            for row in rows(batch, work.needs, work.key):
                key, status = had.get(row.position, (None, None))
                if status is None:
                    yield row
                    continue
                if status in retry:
                    row = replace(row, use="new")
                elif (not known.placed and key != self._key(row)) or status is Status.IN_DOUBT or row.position in left_open:
                    pass
                elif known.judged or status not in JUDGED:
                    kept += 1
                    continue
                else:
                    row = replace(row, use="paid")
                self._stale[row.position] = status
                yield row
            if kept:
                self._tell(Kept(kept))
            yield None

    def _priced(self, reply: Reply) -> float | None:
        cost_usd = self._work.price(reply)
        if reply.origin is Origin.NOW:
            self._tally.bought(reply.usage, cost_usd)
        return cost_usd

    def _key(self, row: Row) -> bytes | None:
        prompt = self._work.prompt(row)
        return self._work.shape.key(prompt) if isinstance(prompt, Prompt) else None

    def _ended(self, row: Row, outcome: Outcome, prompt: Prompt | None) -> None:
        self._journal.ended(outcome, self._work.shape.key(prompt) if prompt is not None else None)
        self._stale.pop(row.position, None)
        self._tally.ended(outcome)
        self._tell(RowEnded(row.key, outcome))

    def _nothing_to_do(self, retry: frozenset[Status], known: Known) -> bool:
        """Whether every row has an outcome that stands, known without a look at the rows."""
        if not (known.placed and known.judged) or self._journal.opened:
            return False
        counts = self._journal.counts(self._input.rows)
        again = sum(counts[status] for status in retry | {Status.IN_DOUBT})
        return counts.total() == sum(self._input.rows) and not again

    def _standing(self, state: str) -> Result | None:
        """The result of a run that finds its table published and untouched; None where it must be written."""
        noted = self._journal.noted(PUBLISHED)
        last = json.loads(noted) if noted is not None else None
        if last is None or last["table"] != self._table(state):
            return None
        self._tell(Kept(sum(self._input.rows)))
        for status, reused, number in last["stands"]:
            self._tally.stands(Status(status), reused, number)
        agreements = [Agreed(**{**one, "confusion": {}}) for one in last["agreements"]]
        return self._finished(self._verdict(), last["answers"], agreements, None)

    def _table(self, state: str) -> list[JSON]:
        """The published file and all that made it what it is; differs from every other state of it."""
        try:
            at = self._work.output.stat()
        except OSError:
            return []
        return [state, str(self._work.columns.schema), str(self._work.output.resolve()), at.st_size, at.st_mtime_ns]

    def _publish(self, state: str) -> Result:
        work = self._work
        self._tell(Publishing(str(work.output)))
        answers = Answers(work.enums)
        agreement = Agreement(work.enums, [field.name for field in work.source.schema if is_text(field.type)])
        summaries: list[Summary] = []
        counted: Counter[tuple[Status, bool]] = Counter()

        def hear(piece: Piece) -> None:
            for outcome, answer in zip(piece.outcomes, piece.answers, strict=True):
                counted[outcome.status, outcome.reused] += 1
                self._tally.stands(outcome.status, outcome.reused)
                answers.add(answer)
            labels = piece.inputs.select(agreement.columns).to_pylist() if agreement.columns else []
            for values, answer, outcome in zip(labels, piece.answers, piece.outcomes, strict=bool(labels)):
                agreement.add(values, answer if outcome.status.answered else None)

        def seal() -> str:
            self._refuse_changed_input()
            summaries.append(self._verdict())
            return summaries[-1].json()

        published = publish(work.output, work.source.batches(), self._journal.outcomes(), work.columns, seal=seal, tell=hear)
        found = [{**asdict(one), "confusion": None} for one in agreement.results()]
        stands = [[status, reused, number] for (status, reused), number in counted.items()]
        table = {"table": self._table(state), "stands": stands, "answers": answers.results(), "agreements": found}
        self._journal.note(PUBLISHED, json.dumps(table))
        return self._finished(summaries[-1], answers.results(), agreement.results(), published.note)

    def _verdict(self) -> Summary:
        """The summary of a run whose table stands."""
        summary = self._summary(0, "every row has an answer")
        missing = f"{summary.unanswered:,} of {summary.rows:,} rows have no answer"
        if not within(self._work.max_failed, summary.unanswered, summary.rows):
            return self._summary(1, missing)
        return self._summary(0, f"{missing}, which run.max_failed allows") if summary.unanswered else summary

    def _finished(
        self,
        summary: Summary,
        answers: Mapping[str, Mapping[str, int]],
        agreements: Sequence[Agreed],
        note: str | None,
    ) -> Result:
        self._file(summary)
        self._work.folder.append_history(summary.json())
        return Result(summary, answers, agreements, note)

    def _summary(self, exit_code: int, reason: str) -> Summary:
        requests = self._online.requests if self._online is not None else 0
        return self._tally.summary(
            requests=requests, started_at=self._started_at, ended_at=time.time(), exit_code=exit_code, reason=reason
        )

    def _file(self, summary: Summary) -> Summary:
        self._work.folder.write_json(self._work.folder.summary, asdict(summary))
        return summary

    def _state(self) -> str:
        """Input and request in one line: equal only while both are unchanged."""
        state = {"input": self._input.seen.as_json(), "rows": self._input.rows, "parts": self._work.parts}
        return json.dumps(state, sort_keys=True, default=dict)

    def _tell(self, event: Event) -> None:
        if isinstance(event, InDoubt) or (isinstance(event, Retrying) and event.billed):
            self._tally.doubt(1)
        self._listener(event)

    def _ticked(self) -> None:
        if self._online is not None:
            self._listener(InFlight(self._online.in_flight, self._work.limits.concurrency))
        self._tick()
