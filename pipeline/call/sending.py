"""Prompts into batches: gathered on disk, durable, then sent.

`create` is not idempotent, and the API has no name for a batch that a client could choose. So each parcel is durable before it
is sent, with a nonce in all its `custom_id`s. Where it is not known what became of it, it is left to `adopting`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from pipeline.call import parcel as shapes
from pipeline.call.asking import Asking, ends
from pipeline.call.caller import Broken, Memory, Response
from pipeline.call.classify import broken
from pipeline.call.filling import Filling, begun
from pipeline.call.outbox import Outbox
from pipeline.call.parcel import Remote, Room
from pipeline.call.purse import exact
from pipeline.call.returned import IN_BATCH
from pipeline.call.terms import Terms
from pipeline.call.wire import Shape
from pipeline.errors import BudgetSpent
from pipeline.events import Listener, Notice
from pipeline.records import Failure, Parcel, Prompt, Slip, Status

TOO_LARGE = 413
DEFERRED = "it waits for the batches that are out"


@dataclass(slots=True)
class Sending:
    memory: Memory
    outbox: Outbox
    asking: Asking
    shape: Shape
    terms: Terms
    folder: Path
    tell: Listener
    clock: Callable[[], float]
    nonce: Callable[[], str]
    again: int = field(default=0, init=False)
    """Re-asks among what was sent so far."""
    _filling: Filling | None = field(default=None, init=False)
    _queued: int = field(default=0, init=False)
    """Requests in batches that are out."""
    _most_bytes: int = field(default=shapes.MOST_BYTES, init=False)
    """In a batch; less where the service has refused so many."""
    _too_large: set[tuple[int, int]] = field(default_factory=set, init=False)
    """Asks that no batch takes, not even alone."""

    def begin_pass(self) -> None:
        self._queued = sum(parcel.requests for parcel in self.memory.out())

    def takes(self, prompt: Prompt) -> bool:
        """Whether it may go into a batch at all."""
        return (prompt.position, prompt.place) not in self._too_large

    async def enclose(self, prompt: Prompt, key: bytes) -> Failure:
        """Puts it into the batch that is being gathered, which leaves when it is full. What the prompt gets: PENDING, also
        where it must wait for room or money. Raises BudgetSpent where no money will come back."""
        gathered = 0 if self._filling is None else len(self._filling.slips)
        if self.outbox.full or self._queued + gathered >= self.terms.queue:
            return self._deferred()
        body = self.shape.body(prompt)
        whole_usd = self.outbox.purse.worst_usd(body)
        worst_usd = None if whole_usd is None else whole_usd * self.terms.share
        if worst_usd is not None and not self.outbox.purse.account.fits(worst_usd):
            if not self.outbox.purse.account.out:
                raise BudgetSpent(
                    f"the next request may cost {exact(worst_usd)} in a batch, which is more than is left of run.budget_usd",
                    request_usd=worst_usd,
                )
            return self._deferred()
        nonce = self._filling.nonce if self._filling is not None else self.nonce()
        try:
            request = shapes.enclosed(shapes.custom_id(prompt.position, prompt.place, key, nonce), body)
        except UnicodeEncodeError as error:
            return Failure(Status.INPUT_ERROR, f"it holds what no request can: {error.reason}", None, 0)
        if self._filling is not None and not self._filling.room.admits(request):
            await self.seal()
            return await self.enclose(prompt, key)
        filling = self._filling or self._begun(nonce)
        self.outbox.put(worst_usd)
        filling.add(Slip(prompt.position, prompt.place, key, worst_usd), request)
        filling.again += prompt.question > 1
        return Failure(Status.PENDING, IN_BATCH, None, 0)

    def holds(self, key: bytes) -> bool:
        """Whether this very request is in a batch, or about to be."""
        return (self._filling is not None and self._filling.holds(key)) or self.memory.waits(key)

    async def seal(self) -> None:
        """Sends what has been gathered."""
        filling = self._filling
        if filling is None or self.asking.halt.is_set():
            return
        filling.close()
        parcel = Parcel(0, filling.nonce, len(filling.slips), filling.room.size, self.clock())
        parcel = await self.memory.intend(parcel, filling.digest.digest(), filling.slips)
        self._filling = None
        self.again += filling.again
        try:
            await self._create(parcel, filling)
        finally:
            with suppress(OSError):
                filling.path.unlink()

    def abandon(self) -> None:
        """What was gathered and not sent is as if never gathered."""
        if (filling := self._filling) is not None:
            self._filling = None
            self.outbox.give_back(slip.worst_usd for slip in filling.slips)
            with suppress(OSError):
                filling.file.close()
                filling.path.unlink()

    def _deferred(self) -> Failure:
        self.outbox.deferred += 1
        return Failure(Status.PENDING, DEFERRED, None, 0)

    def _begun(self, nonce: str) -> Filling:
        self._filling = begun(self.folder, nonce, Room(self.terms.size, self._most_bytes))
        return self._filling

    async def _create(self, parcel: Parcel, filling: Filling) -> None:
        """Sends a parcel until it is known to have arrived, or until it is not known what became of it."""
        patience = self.asking.patience()
        while True:
            answer = await self.asking.server.create_batch(filling.path, parcel.size)
            remote = _remote(answer)
            if remote is not None:
                self._queued += parcel.requests
                return await self.outbox.arrived(parcel, remote)
            if isinstance(answer, Response) and answer.status == TOO_LARGE:
                return await self._divided(parcel, filling)
            if _perhaps_arrived(answer):
                self._queued += parcel.requests
                why = answer.error if isinstance(answer, Broken) else f"HTTP {answer.status}"
                self.tell(Notice(f"it is not known whether batch {parcel.number} was taken ({why}): it is looked for first"))
                self.outbox.full = True  # nothing more is sent into this weather; what is left comes in the next pass
                return None
            verdict = broken(answer) if isinstance(answer, Broken) else self.asking.classify.failed(answer)
            others = any(other.number != parcel.number for other in self.memory.out())
            wait_s = None if others and verdict.retry is not None else patience.after(verdict)
            if wait_s is None:
                await self._dropped(parcel, filling)
                if verdict.stop is None and verdict.retry is not None and others:
                    self.outbox.full = True  # there is no room in the queue until others have ended
                    self.outbox.deferred += parcel.requests
                    self.tell(Notice(f"the service takes no more batches just now: {verdict.error}"))
                    return None
                raise (verdict.stop or verdict.ends or ends(verdict))(verdict.error)
            await self.asking.pause(wait_s)
            if self.asking.halt.is_set():
                return await self._dropped(parcel, filling)

    async def _divided(self, parcel: Parcel, filling: Filling) -> None:
        """It is larger than the service takes: its requests come again in the next pass, in smaller ones."""
        await self._dropped(parcel, filling)
        self.outbox.deferred += parcel.requests
        if parcel.requests > 1:
            self._most_bytes = parcel.size // 2
            said = f"the service takes no batch of {parcel.size:,} bytes: they are of {self._most_bytes:,} at most from here on"
        else:
            self._too_large.update((slip.position, slip.ask) for slip in filling.slips)
            said = f"the service takes no batch with this one request of {parcel.size:,} bytes: it is asked online"
        self.tell(Notice(said))

    async def _dropped(self, parcel: Parcel, filling: Filling) -> None:
        await self.memory.dropped(parcel)
        self.again -= filling.again
        self.outbox.give_back(slip.worst_usd for slip in filling.slips)


def _remote(answer: Response | Broken) -> Remote | None:
    if isinstance(answer, Broken) or answer.status != 200:
        return None
    try:
        return Remote.of(orjson.loads(answer.body))
    except orjson.JSONDecodeError:
        return None


def _perhaps_arrived(answer: Response | Broken) -> bool:
    """Whether a request to make a batch, which has brought none, may have made one all the same."""
    if isinstance(answer, Broken):
        return answer.sent
    return answer.status in (408, 409) or answer.status >= 500 or answer.status < 300
