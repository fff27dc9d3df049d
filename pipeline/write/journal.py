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

One thread writes, over one connection (writer.py). `synchronous=FULL`: a commit survives power loss.
Row tables are keyed by position (file ordinal << 40 | row index), never by hash: inserts stay at the end of the tree and resume
is a range probe (33,000 against 5,000 records/s at 10^6 rows, measured 2026-11).
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.errors import StorageFailed
from pipeline.records import Origin, Outcome, Prompt, Recall, Status
from pipeline.write.database import (
    ALL_TOLD,
    CLOSED,
    DONE_WITH,
    DOUBTED,
    DROPPED,
    ENDED,
    PRICED,
    RECORDS,
    REPLIED,
    REPLY,
    SENT,
    UNPAID,
    WHOSE,
    Statement,
    connected,
    outcome_of,
)
from pipeline.write.glance import KEEP, SPENT_FROM, Spent, counts, reading, spent, spent_from
from pipeline.write.index import Index
from pipeline.write.long_rows import ANY, OUTCOMES, is_long, noted, with_note
from pipeline.write.writer import Writer

KEYS_READ = 50_000
CHECKED_BYTES = 256 << 20
"""A database up to this size is checked whenever it is opened, in half a second at most. Damage in a larger one shows when it
is met: to read all of it would keep a run of 10^7 rows from starting for minutes."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An ask that an earlier run left open."""

    key: bytes
    attempts: int
    out: bool
    """A request was out when that run ended, and nothing is known of it: in doubt."""
    reply: int | None
    """The row of `reply` that answers it."""


class Journal:
    """Use as a context manager. Telling raises StorageFailed once the disk has refused a write; call `flush` before you rely
    on what was told."""

    def __init__(self, path: Path, *, reserve_bytes: int = 0) -> None:
        """`reserve_bytes` of disk are held back by a file beside the journal. When the disk is full they are given free, so
        that what is already out can still be written down; from then on `sent` refuses, and nothing more is bought."""
        self._path = path
        with ExitStack() as opened:  # is closed where the journal is refused
            self._reader = opened.enter_context(closing(connected(path)))
            self._check()
            writer = opened.enter_context(closing(connected(path)))
            with reading(path):
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
            for left in self.opened.values():
                if left.out:
                    self._doubtful[left.key] = max(left.attempts, self._doubtful.get(left.key, 0))
            self._last_reply: int = self._read("SELECT coalesce(max(reply), 0) FROM paid")[0][0]
            self._bought_before = self._last_reply
            self._counted_before = int(self.noted(SPENT_FROM) or 0)
            """The last reply that a run had which finished."""
            self._any_long = bool(self._read(ANY))
            """Whether any row was sent in pieces, or without its end."""
            self._index = Index(path.with_name("keys"), self._name(writer), self._keys)
            self._writer = Writer(writer, path, reserve_bytes)
            opened.pop_all()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._writer.close()
        finally:
            self._reader.close()

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
        self._writer.refuse_when_full()
        await self._durably((SENT, (prompt.position, prompt.place, key, worst_usd)))

    async def replied(
        self, prompt: Prompt, key: bytes, *, body: bytes, request_id: str | None, latency_s: float, at: float
    ) -> None:
        self._last_reply += 1
        reply = self._last_reply
        await self._durably((REPLIED, (reply, prompt.position, prompt.place, key, request_id, latency_s, at, body)))
        self._index.add(key, reply)

    async def unpaid(self, prompt: Prompt, key: bytes) -> None:
        self._writer.put(((UNPAID, {"position": prompt.position, "ask": prompt.place}),))

    def priced(self, prompt: Prompt, usd: float) -> None:
        self._writer.put(((PRICED, {"position": prompt.position, "ask": prompt.place, "usd": usd}),))

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
        self._writer.put(((ENDED, record), *long, *closed))

    def dropped(self, position: int) -> None:
        """Nobody asks about this row any more, and it gets no outcome now. Its replies stay, and answer whoever asks the same;
        a request that may be out stays open."""
        self._writer.put(((DROPPED, {"position": position}),))

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
        self._writer.put(((DOUBTED, {}),))

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
        self._writer.put(((statement, (usd, reply)),))

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
        forgotten = (("DELETE FROM doubt", ()), ("UPDATE open SET worst_usd = NULL", ()), (DONE_WITH, ()))
        self._writer.put((bought, *forgotten, (ALL_TOLD, ())))
        self.flush()

    def note(self, name: str, value: str) -> None:
        """Remembers a fact about the whole run; durable on return."""
        self.note_behind(name, value)
        self.flush()

    def note_behind(self, name: str, value: str) -> None:
        """The same, but durable only with or after all that was told before it."""
        self._writer.put((("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value)),))

    def noted(self, name: str) -> str | None:
        found = self._read("SELECT value FROM meta WHERE name = ?", name)
        return found[0][0] if found else None

    @property
    def waiting(self) -> int:
        """Records that are told and not yet taken by the writer."""
        return self._writer.waiting

    def flush(self) -> None:
        """Returns once everything told so far is durable."""
        done: Future[None] = Future()
        self._writer.put((), done)
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

    # For what is remembered beside it (parcels.py) ----------------------------------------------------------------------

    async def durably(self, statements: Iterable[Statement], *, buys: bool = False) -> None:
        """One transaction; returns once it is durable. It may be gone through twice. `buys`: something leaves by it, which a
        full disk forbids."""
        if buys:
            self._writer.refuse_when_full()
        await self._told(statements)

    def behind(self, *statements: Statement) -> None:
        """The same, but durable only with or after all that was told before it."""
        self._writer.put(statements)

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
        self._writer.put(statements, done)
        await done
