"""The durable memory of a run: what was sent, what came back, what each row ended as. SQLite in WAL mode.

The order that keeps the promises: a request is in `open` before it leaves, its raw reply is in `reply` before anything parses
it, and the row leaves `open` with the same commit that brings its `outcome`. So after a kill, at any instruction,

    in `open`, no reply      the request may have been paid: in doubt
    in `open`, reply         the answer is here and is judged again, free
    in `outcome`             done

Money is remembered along the way, since the last run that finished: a reply counts at the worst case of its request with the
very commit that files it, and at its price as soon as it has been read; a request that was out when its row was asked again, or
was given up, goes to `doubt`. So the sum is a bound at every instant, and what is left of a budget survives any kill.

Replies are never removed: by their request key they answer the same request of any row, of this run or a later one.

One thread writes, over one connection, and commits all that has gathered since its last commit: under load that is hundreds of
records a commit, alone it is one, and nobody waits for a timer. `synchronous=FULL`: a commit survives power loss.
Row tables are keyed by position (file ordinal << 40 | row index), never by hash: inserts stay at the end of the tree and resume
is a range probe (33,000 against 5,000 records/s at 10^6 rows, measured 2026-11).
"""

from __future__ import annotations

import asyncio
import os
import queue
import secrets
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.errors import Bug, PipelineError, StorageFailed
from pipeline.records import Origin, Outcome, Prompt, Recall, Status, Usage
from pipeline.write.glance import KEEP, SPENT_FROM, Spent, counts, reading, spent, spent_from
from pipeline.write.index import Index
from pipeline.write.long_rows import ANY, OUTCOMES, TABLE, is_long, noted, with_note

VERSION = 2
WITH_BATCHES = 3
"""Of a journal that knows of a batch. A program that cannot read of batches must not take what is in one for unsent."""
GATHER = 500
"""Records a commit at most."""
KEYS_READ = 50_000
CHECKED_BYTES = 256 << 20
"""A database up to this size is checked whenever it is opened, in half a second at most. Damage in a larger one shows when it
is met: to read all of it would keep a run of 10^7 rows from starting for minutes."""
BACKLOG = 20_000
"""Records that may wait for the writer; beyond that whoever tells the journal waits."""

TABLES = (
    """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open (
    position INTEGER NOT NULL, ask INTEGER NOT NULL, key BLOB NOT NULL,
    attempts INTEGER NOT NULL, out INTEGER NOT NULL, reply INTEGER, worst_usd REAL,
    PRIMARY KEY (position, ask)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS paid (
    reply INTEGER PRIMARY KEY, key BLOB NOT NULL, usd REAL, priced INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS doubt (usd REAL NOT NULL);
CREATE TABLE IF NOT EXISTS reply (
    id INTEGER PRIMARY KEY, position INTEGER NOT NULL, ask INTEGER NOT NULL,
    request_id TEXT, latency_s REAL NOT NULL, at REAL NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS outcome (
    position INTEGER PRIMARY KEY, key BLOB, status TEXT NOT NULL, error TEXT, answer TEXT, repairs TEXT NOT NULL,
    asks INTEGER NOT NULL, attempts INTEGER NOT NULL, reused INTEGER NOT NULL, model TEXT, stop_reason TEXT,
    message_id TEXT, request_id TEXT, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cache_write_5m_tokens INTEGER NOT NULL, cache_write_1h_tokens INTEGER NOT NULL,
    thinking_tokens INTEGER NOT NULL, cost_usd REAL, latency_s REAL, answered_at REAL, raw TEXT
);
CREATE TABLE IF NOT EXISTS parcel (
    number INTEGER PRIMARY KEY, nonce TEXT NOT NULL, requests INTEGER NOT NULL, size INTEGER NOT NULL, digest BLOB NOT NULL,
    after REAL NOT NULL, batch TEXT, created_at REAL, state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS enclosed (
    position INTEGER NOT NULL, ask INTEGER NOT NULL, parcel INTEGER NOT NULL, key BLOB NOT NULL, attempts INTEGER NOT NULL,
    worst_usd REAL, result TEXT, reply INTEGER, error BLOB, told INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (position, ask, parcel)
) WITHOUT ROWID;
"""
    + TABLE
)
FROM_1 = """
BEGIN IMMEDIATE;
ALTER TABLE open ADD COLUMN worst_usd REAL;
ALTER TABLE paid ADD COLUMN usd REAL;
ALTER TABLE paid ADD COLUMN priced INTEGER NOT NULL DEFAULT 1;
UPDATE meta SET value = '2' WHERE name = 'version';
COMMIT;
"""
"""Takes over a journal of version 1. What it bought was bought without a budget, and counts in none."""
UNPRICED = "CREATE INDEX IF NOT EXISTS unpriced ON paid (reply) WHERE priced = 0"
RECORDS = """
PRAGMA temp_store = MEMORY;
CREATE TEMP VIEW sent AS SELECT 0 AS position, 0 AS ask, 0 AS key, 0 AS worst_usd;
CREATE TEMP TRIGGER sending INSTEAD OF INSERT ON sent BEGIN
    INSERT INTO doubt SELECT worst_usd FROM open WHERE position = NEW.position AND out = 1 AND worst_usd > 0 AND ask = NEW.ask;
    INSERT INTO open VALUES (NEW.position, NEW.ask, NEW.key, 1, 1, NULL, NEW.worst_usd)
    ON CONFLICT DO UPDATE SET
        attempts = iif(key = NEW.key, attempts, 0) + 1, key = NEW.key, out = 1, reply = NULL, worst_usd = NEW.worst_usd;
END;
CREATE TEMP VIEW replied AS
SELECT 0 AS id, 0 AS position, 0 AS ask, 0 AS key, 0 AS request_id, 0 AS latency_s, 0 AS at, 0 AS body;
CREATE TEMP TRIGGER replying INSTEAD OF INSERT ON replied BEGIN
    INSERT INTO paid
    VALUES (NEW.id, NEW.key, (SELECT worst_usd FROM open WHERE position = NEW.position AND ask = NEW.ask), 0);
    INSERT INTO reply VALUES (NEW.id, NEW.position, NEW.ask, NEW.request_id, NEW.latency_s, NEW.at, NEW.body);
    UPDATE open SET out = 0, reply = NEW.id WHERE position = NEW.position AND ask = NEW.ask;
END;
CREATE TEMP VIEW closed AS SELECT 0 AS position;
CREATE TEMP TRIGGER closing INSTEAD OF INSERT ON closed BEGIN
    INSERT INTO doubt SELECT worst_usd FROM open WHERE position = NEW.position AND out = 1 AND worst_usd > 0;
    DELETE FROM open WHERE position = NEW.position;
    DELETE FROM enclosed WHERE position = NEW.position AND result IS NOT NULL;
END;
"""
"""A record is one statement, and these make of it what it means: each statement lets go of the interpreter's lock and takes it
back from the event loop (5 a row instead of 10: 64 µs of CPU a row instead of 75, measured 2026-11-26). What was out when its
row is asked again or closed goes to `doubt`. Keys stand in a table of their own, `paid`: reading them all must not read the
replies."""
SENT = "INSERT INTO sent VALUES (?, ?, ?, ?)"
REPLIED = "INSERT INTO replied VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
PRICED = """
UPDATE paid SET usd = :usd, priced = 1
WHERE reply = (SELECT reply FROM open WHERE position = :position AND ask = :ask)
"""
UNPAID = "UPDATE open SET out = 0 WHERE position = :position AND ask = :ask"
WHOSE = "SELECT key FROM paid WHERE reply = ?"
REPLY = "SELECT position, body, request_id, nullif(latency_s, 0.0), at FROM reply WHERE id = ?"
"""Of a reply in a batch, stands 0 for a time that nobody tells."""
DOUBTED = "INSERT INTO meta VALUES ('doubts', '1') ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + 1"
CLOSED = "INSERT INTO closed VALUES (?)"
"""What of the row is still in a batch stays: its reply will be filed, whoever can use it then."""
DROPPED = "DELETE FROM open WHERE position = :position AND out = 0"
DONE_WITH = """
DELETE FROM enclosed WHERE result IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.position = enclosed.position AND status = 'in_doubt')
"""
"""What came of a row in doubt stays, so that whoever asks it again knows that it may have been paid."""
ALL_TOLD = "UPDATE enclosed SET told = 1 WHERE result IS NOT NULL"
ENDED = "INSERT OR REPLACE INTO outcome VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"


Statement: TypeAlias = "tuple[str, Mapping[str, object] | tuple[object, ...]]"


@dataclass(frozen=True, slots=True)
class Opened:
    """An ask that an earlier run left open."""

    key: bytes
    attempts: int
    out: bool
    """A request was out when that run ended, and nothing is known of it: in doubt."""
    reply: int | None
    """The row of `reply` that answers it."""


@dataclass(frozen=True, slots=True)
class _Write:
    """One record: its statements run in one transaction; `durable` hears when it is."""

    statements: Iterable[Statement]
    """Gone through once more where the disk was full and its reserve is free again."""
    durable: asyncio.Future[None] | Future[None] | None = None


class Journal:
    """Use as a context manager. Telling raises StorageFailed once the disk has refused a write; call `flush` before you rely
    on what was told."""

    def __init__(self, path: Path, *, reserve_bytes: int = 0) -> None:
        """`reserve_bytes` of disk are held back by a file beside the journal. When the disk is full they are given free, so
        that what is already out can still be written down; from then on `sent` refuses, and nothing more is bought."""
        self._path = path
        self._ballast = path.with_name("ballast")
        self._full: PipelineError | None = None
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._drained = threading.Event()
        """Set whenever records have been taken from the queue."""
        self._failed: PipelineError | None = None
        self._reader = _connect(path)
        self._check()
        writer = _connect(path)
        writer.executescript(RECORDS)
        self.opened: dict[tuple[int, int], Opened] = {
            (position, ask): Opened(key, attempts, bool(out), reply)
            for position, ask, key, attempts, out, reply in self._read(
                "SELECT position, ask, key, attempts, out, reply FROM open"
            )
        }
        """What the last run left open, by position and Prompt.place: at most what it had in progress when it ended."""
        self._doubtful: dict[bytes, int] = {}
        """What of it is in doubt, by its request, with the most attempts: the row may stand elsewhere by now."""
        for opened in self.opened.values():
            if opened.out:
                self._doubtful[opened.key] = max(opened.attempts, self._doubtful.get(opened.key, 0))
        self._last_reply: int = self._read("SELECT coalesce(max(reply), 0) FROM paid")[0][0]
        self._bought_before = self._last_reply
        self._counted_before = int(self.noted(SPENT_FROM) or 0)
        """The last reply that a run had which finished."""
        self._any_long = bool(self._read(ANY))
        """Whether any row was sent in pieces, or without its end."""
        self._index = Index(path.with_name("keys"), self._name(writer), self._keys)
        _hold_back(self._ballast, reserve_bytes)
        self._writer = threading.Thread(target=self._write, args=(writer,), name="journal", daemon=True)
        self._writer.start()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._queue.put(None)
        stop: BaseException | None = None
        while self._writer.is_alive():
            try:
                self._writer.join()
            except BaseException as interrupt:  # noqa: BLE001 an impatient signal: what was told is written down all the same
                stop = interrupt
        self._reader.close()
        with suppress(OSError):
            self._ballast.unlink(missing_ok=True)
        if stop is not None:
            raise stop

    # What a caller tells and asks (call.caller.Ledger) ------------------------------------------------------------------

    def recall(self, prompt: Prompt, key: bytes) -> Recall | None:
        """What the last run left of this very ask; else the latest reply to an identical request, whoever paid for it."""
        left = self.opened.get((prompt.position, prompt.place))
        if left is not None and left.key == key:
            if left.reply is None:
                return Recall(left.attempts, left.out)
            (_, body, request_id, latency_s, at) = self._read(REPLY, left.reply)[0]
            # A run that finished has counted what it bought, also for a row that it left in doubt.
            origin = Origin.BEFORE if left.reply <= self._counted_before else Origin.NOW
            return Recall(left.attempts, False, body, request_id, latency_s, at, origin)
        for reply in self._paid(key):
            if prompt.use == "new" and reply <= self._bought_before:
                break  # what a person wants tried again; but copies of a row are tried once
            (position, body, request_id, latency_s, at) = self._read(REPLY, reply)[0]
            own = position == prompt.position
            origin = Origin.BEFORE if own else Origin.ELSEWHERE
            return Recall(int(own), False, body, request_id, latency_s, at, origin)
        doubtful = self._doubtful.get(key)
        return None if doubtful is None else Recall(doubtful, True)

    def _paid(self, key: bytes) -> Iterator[int]:
        """The replies to this very request, the latest first."""
        return (reply for reply in self._index.find(key) if self._read(WHOSE, reply) == [(key,)])

    async def sent(self, prompt: Prompt, key: bytes, worst_usd: float | None = None) -> None:
        if self._full is not None:
            raise self._full
        await self._durably((SENT, (prompt.position, prompt.place, key, worst_usd)))

    async def replied(
        self, prompt: Prompt, key: bytes, *, body: bytes, request_id: str | None, latency_s: float, at: float
    ) -> None:
        self._last_reply += 1
        reply = self._last_reply
        await self._durably((REPLIED, (reply, prompt.position, prompt.place, key, request_id, latency_s, at, body)))
        self._index.add(key, reply)

    async def unpaid(self, prompt: Prompt, key: bytes) -> None:
        self._put(_Write(((UNPAID, {"position": prompt.position, "ask": prompt.place}),)))

    def priced(self, prompt: Prompt, usd: float) -> None:
        self._put(_Write(((PRICED, {"position": prompt.position, "ask": prompt.place, "usd": usd}),)))

    # What the job tells and asks ----------------------------------------------------------------------------------------

    def ended(self, outcome: Outcome, key: bytes | None) -> None:
        """The row's outcome, replacing an earlier one; not yet durable on return. `key` is that of its first ask."""
        usage = outcome.usage
        record = (
            outcome.position, key, outcome.status, outcome.error, outcome.answer, orjson.dumps(outcome.repairs).decode(),
            outcome.asks, outcome.attempts, outcome.reused, outcome.model, outcome.stop_reason, outcome.message_id,
            outcome.request_id, usage.input_tokens, usage.output_tokens, usage.cache_read_tokens,
            usage.cache_write_5m_tokens, usage.cache_write_1h_tokens, usage.thinking_tokens, outcome.cost_usd,
            outcome.latency_s, outcome.answered_at, outcome.raw,
        )  # fmt: skip
        # A row that ends in doubt stays open, so that whoever asks it again knows that it may have been paid.
        closed = () if outcome.status is Status.IN_DOUBT else ((CLOSED, (outcome.position,)),)
        self._any_long = self._any_long or is_long(outcome)
        long = (noted(outcome),) if self._any_long else ()
        self._put(_Write(((ENDED, record), *long, *closed)))

    def dropped(self, position: int) -> None:
        """Nobody asks about this row any more, and it gets no outcome now. Its replies stay, and answer whoever asks the same;
        a request that may be out stays open."""
        self._put(_Write(((DROPPED, {"position": position}),)))

    def ended_in(self, first: int, after: int) -> dict[int, tuple[bytes | None, Status]]:
        """Position → request key and status of the rows in [first, after) that have an outcome."""
        found = self._read("SELECT position, key, status FROM outcome WHERE position >= ? AND position < ?", first, after)
        with reading(self._path):
            return {position: (key, Status(status)) for position, key, status in found}

    def outcomes(self) -> Iterator[Outcome]:
        """All outcomes that are durable, by position. Call `flush` first to see everything told so far."""
        with reading(self._path):
            if not self._any_long:
                yield from map(outcome_of, self._reader.execute("SELECT * FROM outcome ORDER BY position"))
                return
            for row in self._reader.execute(OUTCOMES):
                yield with_note(outcome_of(row[:-2]), row[-2:])

    def has_outcomes(self) -> bool:
        return bool(self._read("SELECT 1 FROM outcome LIMIT 1"))

    def counts(self, rows: Sequence[int], *, before: int | None = None) -> Counter[Status]:
        """Status → durable outcomes of an input whose files have so many rows, up to the position `before` (None: all)."""
        with reading(self._path):
            return counts(self._reader, rows, before)[0]

    def holds(self, key: bytes) -> bool:
        """Whether a reply to this request is stored."""
        return next(self._paid(key), None) is not None

    def paid(self) -> tuple[int, float | None]:
        """Replies in the journal, and what a row that was bought has cost in the mean, in USD; None where that is not known."""
        replies = self._read("SELECT count(*) FROM paid")[0][0]
        return replies, self._read("SELECT avg(cost_usd) FROM outcome WHERE NOT reused AND answered_at NOT NULL")[0][0]

    @property
    def bought(self) -> bool:
        """Whether any reply is stored."""
        return self._last_reply > 0

    def cost_usd(self) -> float:
        """Of the outcomes that stand; what has no price counts nothing."""
        return float(self._read("SELECT coalesce(sum(cost_usd), 0) FROM outcome")[0][0])

    def doubted(self) -> None:
        """A request that may have been paid before is about to be sent; durable before the next `sent` is."""
        self._put(_Write(((DOUBTED, {}),)))

    def doubts(self) -> int:
        """So often since `doubts_told`: also by runs that were killed before they could say so."""
        return int(self.noted("doubts") or 0)

    def doubts_told(self) -> None:
        self.note("doubts", "0")

    def spent(self) -> Spent:
        """Since the last run that finished, as far as it is durable."""
        return spent(self._reader)

    def unpriced(self) -> Iterator[tuple[int, bytes]]:
        """The replies of those whose price is not noted: id and body. After a kill there are a few; all, where the model had no
        price."""
        with reading(self._path):
            found = self._reader.execute(
                "SELECT id, body FROM reply WHERE id IN (SELECT reply FROM paid WHERE priced = 0 AND reply > ?)",
                (spent_from(self._reader),),
            )
            yield from found

    def price(self, reply: int, usd: float | None) -> None:
        """What a reply of `unpriced` has cost; None: it cannot be read, and has cost the worst."""
        statement = "UPDATE paid SET usd = coalesce(?, usd), priced = 1 WHERE reply = ?"
        self._put(_Write(((statement, (usd, reply)),)))

    def judged_and_enclosed(self, first: int, after: int) -> set[int]:
        """Positions in [first, after) that have an outcome and, beside it, something in a batch or out of one that has not been
        judged."""
        statement = "SELECT position FROM enclosed JOIN outcome USING (position) WHERE position >= ? AND position < ?"
        return {position for (position,) in self._read(statement, first, after)}

    def first_judged_and_enclosed(self) -> int | None:
        """The first of all such positions."""
        found: int | None = self._read("SELECT min(position) FROM enclosed JOIN outcome USING (position)")[0][0]
        return found

    def finished(self) -> None:
        """A run has finished: what is spent from now on counts anew. Durable on return."""
        bought = ("INSERT OR REPLACE INTO meta VALUES (?, coalesce((SELECT max(reply) FROM paid), 0))", (SPENT_FROM,))
        self._put(
            _Write(
                (bought, ("DELETE FROM doubt", ()), ("UPDATE open SET worst_usd = NULL", ()), (DONE_WITH, ()), (ALL_TOLD, ()))
            )
        )
        self.flush()

    def note(self, name: str, value: str) -> None:
        """Remembers a fact about the whole run; durable on return."""
        self.note_behind(name, value)
        self.flush()

    def note_behind(self, name: str, value: str) -> None:
        """The same, but durable only with or after all that was told before it."""
        self._put(_Write((("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value)),)))

    def noted(self, name: str) -> str | None:
        found = self._read("SELECT value FROM meta WHERE name = ?", name)
        return found[0][0] if found else None

    def flush(self) -> None:
        """Returns once everything told so far is durable."""
        done: Future[None] = Future()
        self._put(_Write((), done))
        done.result()

    def _read(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with reading(self._path):
            return self._reader.execute(statement, values).fetchall()

    def _check(self) -> None:
        """Raises StorageFailed where the database is not whole: it is left as it is, for someone to mend."""
        if self._path.stat().st_size <= CHECKED_BYTES:
            told = self._read("PRAGMA quick_check(1)")[0][0]
            if told != "ok":
                raise StorageFailed(f"the journal {self._path} is damaged: {' '.join(told.split())}", todo=KEEP)

    def _name(self, connection: sqlite3.Connection) -> str:
        """Of this very database, so that files made for another are never taken for its own."""
        with reading(self._path):
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('name', ?)", (secrets.token_hex(8),))
        return self.noted("name") or ""

    def _keys(self, after: int) -> Iterator[tuple[bytes, NDArray[np.uint64]]]:
        with reading(self._path):
            found = self._reader.execute("SELECT substr(key, 1, 8), reply FROM paid WHERE reply > ? ORDER BY reply", (after,))
            while chunk := found.fetchmany(KEYS_READ):
                prefixes, replies = zip(*chunk, strict=True)
                yield b"".join(prefixes), np.array(replies, dtype=np.uint64)

    # The writer ---------------------------------------------------------------------------------------------------------

    async def durably(self, statements: Iterable[Statement], *, buys: bool = False) -> None:
        """One transaction; returns once it is durable. It may be gone through twice. `buys`: something leaves by it, which a
        full disk forbids."""
        if buys and self._full is not None:
            raise self._full
        await self._told(statements)

    def behind(self, *statements: Statement) -> None:
        """The same, but durable only with or after all that was told before it."""
        self._put(_Write(statements))

    def read(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What is durable."""
        return self._read(statement, *values)

    def each(self, statement: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """What is durable, row by row."""
        with reading(self._path):
            yield from self._reader.execute(statement, values)

    def next_reply(self) -> int:
        """The number of a reply that is about to be filed."""
        self._last_reply += 1
        return self._last_reply

    def filed(self, key: bytes, reply: int) -> None:
        """A reply is durable, and answers the same request of any row."""
        self._index.add(key, reply)

    async def _durably(self, *statements: Statement) -> None:
        await self._told(statements)

    async def _told(self, statements: Iterable[Statement]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Write(statements, done))
        await done

    def _put(self, write: _Write) -> None:
        if self._failed is not None:
            raise self._failed
        while self._queue.qsize() >= BACKLOG:
            self._drained.clear()
            if self._queue.qsize() >= BACKLOG:
                self._drained.wait()
        self._queue.put(write)

    def _write(self, connection: sqlite3.Connection) -> None:
        try:
            while (group := self._gathered()) is not None:
                error = self._failed or self._commit(connection, group)
                _settle([write.durable for write in group if write.durable is not None], error)
        finally:
            connection.close()

    def _gathered(self) -> list[_Write] | None:
        """The next record and all that wait behind it; None at the end."""
        first = self._queue.get()
        if first is None:
            return None
        group = [first]
        while len(group) < GATHER:
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                break
            if write is None:
                self._queue.put(None)
                break
            group.append(write)
        self._drained.set()
        return group

    def _commit(self, connection: sqlite3.Connection, group: list[_Write]) -> PipelineError | None:
        error = self._tried(connection, group)
        if isinstance(error, sqlite3.OperationalError) and self._ballast.exists():
            # The disk is full, or fails: with the reserve free again there is room for what is already out.
            self._ballast.unlink(missing_ok=True)
            self._full = self._refusal(error)
            error = self._tried(connection, group)
        if error is not None:
            self._failed = self._refusal(error)
        return self._failed

    def _tried(self, connection: sqlite3.Connection, group: list[_Write]) -> Exception | None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for write in group:
                for statement, values in write.statements:
                    connection.execute(statement, values)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 whoever waits must hear of anything, or would wait for ever
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            return error
        return None

    def _refusal(self, error: Exception) -> PipelineError:
        """As what the job hears of it. Anything but the database's own refusal is our bug."""
        refused = StorageFailed if isinstance(error, sqlite3.DatabaseError) else Bug
        told = refused(f"the journal {self._path} cannot be written: {error}")
        told.__cause__ = error
        return told


def _settle(waiting: list[asyncio.Future[None] | Future[None]], error: BaseException | None) -> None:
    """Tells those who wait for a commit, and each event loop once: to wake it takes a system call (with one a record, the
    journal took 109 µs of CPU a row instead of 75; measured 2026-11-26)."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for done in waiting:
        if isinstance(done, asyncio.Future):
            loops.setdefault(done.get_loop(), []).append(done)
        else:
            _conclude([done], error)
    for loop, theirs in loops.items():
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(_conclude, theirs, error)


def _conclude(waiting: Sequence[asyncio.Future[None] | Future[None]], error: BaseException | None) -> None:
    for done in waiting:
        if done.cancelled():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _hold_back(ballast: Path, reserve_bytes: int) -> None:
    if not reserve_bytes:
        return
    try:
        descriptor = os.open(ballast, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, reserve_bytes)
        finally:
            os.close(descriptor)
    except OSError as error:
        ballast.unlink(missing_ok=True)
        raise StorageFailed(
            f"{ballast.parent} has no {reserve_bytes / 2**20:.0f} MB free ({error.strerror}), so that replies in flight could "
            "not be written down: nothing was sent",
            todo="make room, or set run.folder to another disk; then run the same command again",
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(TABLES)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (str(VERSION),))
        version = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()[0]
        if version == "1":
            connection.executescript(FROM_1)
            version = str(VERSION)
        connection.execute(UNPRICED)
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(
            f"the journal {path} cannot be opened: {error}",
            todo=KEEP,
        ) from error
    if version not in (str(VERSION), str(WITH_BATCHES)):
        connection.close()
        told = f"the journal {path} is of version {version}, this program reads {WITH_BATCHES}"
        raise StorageFailed(told, todo="use its version")
    return connection


def outcome_of(row: tuple[object, ...]) -> Outcome:
    """Of a row of the table `outcome`."""
    (position, _key, status, error, answer, repairs, asks, attempts, reused, model, stop_reason, message_id, request_id,
     input_tokens, output_tokens, read, write_5m, write_1h, thinking, cost_usd, latency_s, answered_at, raw) = row  # fmt: skip
    return Outcome(
        position, Status(status), error, answer, tuple(orjson.loads(repairs)), asks, attempts, bool(reused), model,  # type: ignore[arg-type]
        stop_reason, message_id, request_id, Usage(input_tokens, output_tokens, read, write_5m, write_1h, thinking),  # type: ignore[arg-type]
        cost_usd, latency_s, answered_at, raw,  # type: ignore[arg-type]
    )  # fmt: skip
