"""The batches of a run in its journal: what was enclosed in each, and what became of each request.

The order that keeps the promise that nothing is bought twice: a parcel and all that it encloses are durable before it is sent,
its id as soon as the server has named it, and each reply before anything parses it. So after a kill, at any instruction,

    parcel `intended`     it may have been sent: looked for on the server before anything of it is sent again
    parcel `open`         it is being worked on, or waits to be collected
    no result             the request is in that batch, and in no other
    a result              what came of it: to be judged, or sent again where it was not paid
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from operator import itemgetter

from pipeline.records import Enclosed, Filed, Origin, Parcel, Recall, Slip, Status
from pipeline.write.database import REPLY, WITH_BATCHES, Statement
from pipeline.write.journal import Journal
from pipeline.write.waiting import Waiting

CHUNK = 10_000

LATENCY_S = 0.0
"""How long a reply took that came in a batch, which nobody tells."""
PARCEL = "SELECT number, nonce, requests, size, after, batch, created_at FROM parcel"
INTENDED = "INSERT INTO parcel VALUES (:number, :nonce, :requests, :size, :digest, :after, NULL, NULL, 'intended')"
ENCLOSED = """
INSERT INTO enclosed (position, ask, parcel, key, attempts, worst_usd)
SELECT
    new.position, new.ask, new.parcel, new.key,
    1 + coalesce((SELECT max(attempts) FROM enclosed AS old
        WHERE old.position = new.position AND old.ask = new.ask AND old.key = new.key), 0),
    new.worst_usd
FROM (SELECT ? AS position, ? AS ask, ? AS parcel, ? AS key, ? AS worst_usd) AS new
"""
FOUND = """
SELECT attempts, worst_usd, result, reply, error, told FROM enclosed WHERE position = ? AND ask = ? AND key = ?
ORDER BY parcel DESC LIMIT 1
"""
TOLD = "UPDATE enclosed SET told = 1 WHERE position = ? AND ask = ? AND key = ?"
PAID = "INSERT INTO paid VALUES (?, ?, ?, 0)"
REPLIED = "INSERT INTO reply VALUES (?, ?, ?, NULL, ?, ?, ?)"
RESULTS = """
SELECT position, ask, enclosed.attempts, worst_usd, result, enclosed.error FROM enclosed LEFT JOIN outcome USING (position)
WHERE coalesce(outcome.status, '') NOT IN ({retried}) ORDER BY position, ask, parcel
"""
WAITS = "SELECT 1 FROM enclosed WHERE position = ? AND key = ? AND result IS NULL"
ASKED = """
WITH asked (position, ask) AS (VALUES {values})
SELECT position, ask, key, worst_usd, result NOT NULL FROM asked JOIN enclosed USING (position, ask) WHERE parcel = ?
"""
DOUBT = "INSERT INTO doubt SELECT worst_usd FROM enclosed WHERE parcel = ? AND result IS NULL AND worst_usd > 0"
"""What may have been paid and was never answered counts in a budget, whichever run asks next."""
RESULT = "UPDATE enclosed SET result = ?, reply = ?, error = ? WHERE position = ? AND ask = ? AND parcel = ?"


class Parcels:
    """What a caller of batches tells and asks (call.caller.Memory). Over a journal, for as long as that is open."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._any = bool(journal.read("SELECT 1 FROM parcel LIMIT 1"))
        """Whether anything was ever enclosed: where not, nothing is looked for."""
        self._waiting = Waiting()

    def out(self) -> list[Parcel]:
        """Those that are not collected, the oldest first."""
        return [Parcel(*row) for row in self._journal.read(f"{PARCEL} WHERE state IN ('intended', 'open') ORDER BY number")]

    def any(self) -> bool:
        """Whether anything is in a batch, or came out of one and has not been judged."""
        return self._any and bool(self.out() or self._journal.read("SELECT 1 FROM enclosed LIMIT 1"))

    def taken(self) -> set[str]:
        """The ids of all batches that are known to be ours."""
        return {batch for (batch,) in self._journal.read("SELECT batch FROM parcel WHERE batch NOT NULL")}

    def begin_pass(self) -> None:
        """Before `waits` is asked: it gathers what is out."""
        self._waiting = Waiting()
        if not self._any:
            return
        found = self._journal.each("SELECT key, position FROM enclosed WHERE result IS NULL")
        while chunk := list(islice(found, CHUNK)):
            self._waiting.add((key for key, _ in chunk), (position for _, position in chunk), len(chunk))

    def waits(self, key: bytes) -> bool:
        """Whether this very request is in a batch and has no result."""
        return any(self._journal.read(WAITS, position, key) for position in self._waiting.positions(key))

    def last(self) -> int:
        """The position of the last row of which anything is in a batch or came out of one; -1 where there is none."""
        position: int = self._journal.read("SELECT coalesce(max(position), -1) FROM enclosed")[0][0]
        return position

    def held_usd(self) -> Iterator[float]:
        """The worst case of every request that has no result, where it is known."""
        if self._any:
            found = self._journal.each("SELECT worst_usd FROM enclosed WHERE result IS NULL AND worst_usd NOT NULL")
            yield from (worst_usd for (worst_usd,) in found)

    def find(self, position: int, ask: int, key: bytes) -> Enclosed | None:
        if not self._any:
            return None
        found = self._journal.read(FOUND, position, ask, key)
        if not found:
            return None
        ((attempts, worst_usd, fate, reply, error, told),) = found
        recall = None
        if reply is not None:
            ((_, body, request_id, latency_s, at),) = self._journal.read(REPLY, reply)
            origin = Origin.BEFORE if told else Origin.NOW
            recall = Recall(attempts, False, body, request_id, latency_s, at, origin)
        return Enclosed(attempts, worst_usd, fate, recall, error or b"", told=bool(told))

    def results(self, retried: Collection[Status]) -> Iterator[tuple[int, int, Enclosed]]:
        """Position, Prompt.place and what became of it, of all asks whose latest result is there and not judged yet, in the
        order of their rows, without replies; not of rows that ended with one of `retried`. Nothing may be told while it is gone
        through."""
        if not self._any:
            return
        statement = RESULTS.format(retried=", ".join("?" * len(retried)))
        for (position, ask), group in groupby(self._journal.each(statement, *retried), key=itemgetter(0, 1)):
            *_, (_, _, attempts, worst_usd, fate, error) = group
            if fate is not None:
                yield position, ask, Enclosed(attempts, worst_usd, fate, None, error or b"")

    def told(self, position: int, ask: int, key: bytes) -> None:
        """Its reply has been given: whoever finds it again finds one that is counted."""
        self._journal.behind((TOLD, (position, ask, key)))

    async def intend(self, parcel: Parcel, digest: bytes, slips: Sequence[Slip]) -> Parcel:
        """Returns once it is durable that this parcel leaves now; with its number."""
        number = 1 + self._journal.read("SELECT coalesce(max(number), 0) FROM parcel")[0][0]
        record = {
            "number": number,
            "nonce": parcel.nonce,
            "requests": parcel.requests,
            "size": parcel.size,
            "digest": digest,
            "after": parcel.after,
        }
        await self._journal.durably(_Intention(record, number, slips), buys=True)
        self._any = True
        self._waiting.add((slip.key for slip in slips), (slip.position for slip in slips), len(slips))
        return replace(parcel, number=number)

    async def submitted(self, parcel: Parcel, batch_id: str, created_at: float) -> None:
        """The server has it, under this id."""
        statement = "UPDATE parcel SET batch = ?, created_at = ?, state = 'open' WHERE number = ?"
        await self._journal.durably([(statement, (batch_id, created_at, parcel.number))])

    async def dropped(self, parcel: Parcel) -> None:
        """The server never took it: what is in it is as if never sent."""
        await self._journal.durably(
            [
                ("UPDATE parcel SET state = 'dropped' WHERE number = ?", (parcel.number,)),
                ("DELETE FROM enclosed WHERE parcel = ? AND result IS NULL", (parcel.number,)),
            ]
        )

    def asked(self, parcel: Parcel, asks: Collection[tuple[int, int]]) -> dict[tuple[int, int], tuple[Slip, bool]]:
        """(position, ask) → the slip, and whether its result is filed, of those that are in this parcel."""
        if not asks:
            return {}
        statement = ASKED.format(values=", ".join(["(?, ?)"] * len(asks)))
        found = self._journal.read(statement, *chain.from_iterable(asks), parcel.number)
        return {
            (position, ask): (Slip(position, ask, key, worst_usd), bool(filed))
            for position, ask, key, worst_usd, filed in found
        }

    def left(self, parcel: Parcel) -> int:
        """How many of its requests have no result."""
        statement = "SELECT count(*) FROM enclosed WHERE parcel = ? AND result IS NULL"
        number: int = self._journal.read(statement, parcel.number)[0][0]
        return number

    def unfiled(self, parcel: Parcel) -> Iterator[Slip]:
        """What of it has no result. Nothing may be told while it is gone through."""
        statement = "SELECT position, ask, key, worst_usd FROM enclosed WHERE parcel = ? AND result IS NULL"
        yield from (Slip(*row) for row in self._journal.each(statement, parcel.number))

    async def file(self, parcel: Parcel, results: Sequence[Filed], at: float) -> list[int | None]:
        """Returns once these are durable; the number of each reply."""
        replies: list[int | None] = []
        statements: list[tuple[str, tuple[object, ...]]] = []
        for filed in results:
            where = (filed.position, filed.ask, parcel.number)
            reply = self._journal.next_reply() if filed.fate == "succeeded" else None
            replies.append(reply)
            if reply is not None:
                statements.append((PAID, (reply, filed.key, filed.worst_usd)))
                statements.append((REPLIED, (reply, filed.position, filed.ask, LATENCY_S, at, filed.body)))
            statements.append((RESULT, (filed.fate, reply, None if reply is not None else filed.body, *where)))
        await self._journal.durably(statements)
        for filed, reply in zip(results, replies, strict=True):
            if reply is not None:
                self._journal.filed(filed.key, reply)
        return replies

    def priced(self, reply: int, usd: float | None) -> None:
        self._journal.price(reply, usd)

    async def collected(self, parcel: Parcel) -> None:
        """All its results are filed; what has none is missing."""
        await self._journal.durably(
            [
                (DOUBT, (parcel.number,)),
                ("UPDATE enclosed SET result = 'missing' WHERE parcel = ? AND result IS NULL", (parcel.number,)),
                ("UPDATE parcel SET state = 'collected' WHERE number = ?", (parcel.number,)),
            ]
        )


@dataclass(frozen=True, slots=True)
class _Intention:
    """The statements that make a parcel durable: made one by one as they are run, for there are up to 100,000."""

    record: Mapping[str, object]
    number: int
    slips: Sequence[Slip]

    def __iter__(self) -> Iterator[Statement]:
        yield "UPDATE meta SET value = ? WHERE name = 'version'", (str(WITH_BATCHES),)
        yield INTENDED, self.record
        for slip in self.slips:
            yield ENCLOSED, (slip.position, slip.ask, self.number, slip.key, slip.worst_usd)
