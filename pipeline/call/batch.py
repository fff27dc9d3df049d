"""A Caller that asks by Message Batches: half the price, and answers within a day.

It answers no prompt that it sends: the row is given back as pending, and so takes no memory while it waits. Once the batches
have been collected, the same prompts are given again; then the replies are there, in the journal, and are judged like those
of an interrupted run. Re-asks go into the next batch. So a run is a number of passes over its rows,

    replies   what is known is given, the rest is enclosed, parcels leave as they are full     (a pass)
    collect   waits for the batches, files their results                                        (between two passes)

and a run that was killed, or that left while its batches are worked on, only goes on with another pass.

sending.py gathers and sends, adopting.py looks for what the service may have taken without saying so, collecting.py files
results; outbox.py knows what is out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.call.adopting import Adopting
from pipeline.call.asking import Asking
from pipeline.call.caller import Batches, Ledger, Memory
from pipeline.call.classify import Classifier
from pipeline.call.collecting import Collecting
from pipeline.call.online import Ended, Online
from pipeline.call.outbox import Outbox
from pipeline.call.purse import Purse
from pipeline.call.results import Results
from pipeline.call.retry import Patience
from pipeline.call.returned import IN_BATCH, Drawn, Returned
from pipeline.call.sending import DEFERRED, Sending
from pipeline.call.terms import Pace, Terms
from pipeline.call.wire import Shape, read
from pipeline.errors import PipelineError
from pipeline.events import InDoubt, Listener, Stopping
from pipeline.records import Failure, Prompt, Reply, Status

GIVEN = 256
"""Rows that may wait to be taken from here."""
DRAWN = "nothing that is paid for answers this"


@dataclass(slots=True)
class Batch:
    """See call/caller.py for what `replies` promises; every row that waits for a batch is given back as PENDING. One instance a
    run, used inside one event loop."""

    server: Batches
    ledger: Ledger
    memory: Memory
    shape: Shape
    terms: Terms
    online: Online
    """For the first request of each kind, and for what is not to wait for another batch."""
    purse: Purse
    folder: Path
    """For requests before they leave and results before they are filed; emptied as they are."""
    halt: asyncio.Event
    tell: Listener
    clock: Callable[[], float]
    """Unix time."""
    random: Callable[[], float]
    nonce: Callable[[], str]
    """Eight hexadecimal digits, each time others."""
    sleep: Callable[[float], Awaitable[None]]
    pace: Pace = field(default_factory=Pace)
    proven: bool = False
    """Whether an earlier run had a reply to a request of this form: else the first goes online, since a batch is told of wrong
    parameters only when it has ended."""
    retried: frozenset[Status] = frozenset()
    """Rows that ended so are tried again, each for itself: they say nothing of the others."""
    _proven: set[int] = field(default_factory=set, init=False)
    """Turns of which a request has been answered."""
    _trial: Prompt | None = field(default=None, init=False)
    _tried: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _outbox: Outbox = field(init=False)
    _returned: Returned = field(init=False)
    _sending: Sending = field(init=False)
    _collecting: Collecting = field(init=False)

    def __post_init__(self) -> None:
        classify = Classifier(self.terms.longest_wait_s, self.shape.form.model)
        asking = Asking(self.server, classify, self._patience, self.halt, self.sleep)
        results = Results(asking, self.folder, self.clock)
        outbox = Outbox(self.memory, self.purse, self.tell)
        adopting = Adopting(self.memory, outbox, asking, results, self.tell, self.clock, self.pace)
        self._outbox = outbox
        self._returned = Returned(self.shape.form, self.terms, classify)
        self._sending = Sending(
            self.memory, outbox, asking, self.shape, self.terms, self.folder, self.tell, self.clock, self.nonce
        )
        self._collecting = Collecting(
            self.memory, outbox, asking, adopting, results, self.shape, self.tell, self.clock, self.pace
        )
        with suppress(FileNotFoundError):
            for left in self.folder.iterdir():  # of a run that was killed; what matters is in the journal
                left.unlink()

    @property
    def requests(self) -> int:
        """Enclosed so far in batches that were submitted."""
        return self._outbox.requests

    @property
    def again(self) -> int:
        """Re-asks among those."""
        return self._sending.again

    @property
    def deferred(self) -> int:
        """Prompts of this pass that wait for batches to end before they can be enclosed."""
        return self._outbox.deferred

    async def begin(self) -> None:
        """Once, before the first pass."""
        for parcel in self.memory.out() if self.terms.passing else []:
            await self._outbox.never_came(parcel)

    async def collect(self, *, once: bool = False) -> bool:
        """Waits for batches to end and files their results; whether any has come to its end. Returns when all have, when one
        has and others could be sent in its place, or when the run halts. `once`: looks, and does not wait."""
        return await self._collecting.collect(once=once)

    async def replies(self, prompts: AsyncIterator[Prompt]) -> AsyncGenerator[Ended]:
        """One pass."""
        self._outbox.begin_pass()
        self._sending.begin_pass()
        given: asyncio.Queue[Ended | BaseException | None] = asyncio.Queue(GIVEN)
        straight: asyncio.Queue[Prompt | None] = asyncio.Queue(1)
        tasks = [
            asyncio.create_task(self._guarded(self._sort(prompts, straight, given), straight, given)),
            asyncio.create_task(self._guarded(self._ask(straight, given), None, given)),
        ]
        try:
            left = len(tasks)
            wrong: BaseException | None = None
            while left:
                item = await given.get()
                if item is None:
                    left -= 1
                elif isinstance(item, BaseException):
                    wrong = wrong or item
                else:
                    yield item
            if wrong is not None:
                raise wrong
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._sending.abandon()

    async def _guarded(
        self,
        work: Awaitable[None],
        straight: asyncio.Queue[Prompt | None] | None,
        given: asyncio.Queue[Ended | BaseException | None],
    ) -> None:
        """Whatever goes wrong belongs to whoever iterates, and ends the other task, too."""
        try:
            await work
        except Exception as error:  # noqa: BLE001
            if isinstance(error, PipelineError):
                self.tell(Stopping(error.message))
            self.halt.set()
            self._tried.set()
            await given.put(error)
        finally:
            if straight is not None:
                await straight.put(None)
            await given.put(None)

    async def _sort(
        self,
        prompts: AsyncIterator[Prompt],
        straight: asyncio.Queue[Prompt | None],
        given: asyncio.Queue[Ended | BaseException | None],
    ) -> None:
        self._returned.refuse_alike(self.memory.results(self.retried))  # before anything more is bought
        last = self.memory.last()
        async for prompt in prompts:
            key = self.shape.key(prompt)
            drawn = self._drawn(prompt, key)
            in_doubt = drawn == "enclose in doubt"
            goes_online = drawn == "ask"
            if in_doubt or drawn == "enclose":
                goes_online = self.terms.online or not self._sending.takes(prompt)
                if not goes_online and not self.proven and prompt.step not in self._proven:
                    goes_online = True
                    self._trial = prompt
                    self._tried.clear()
            if goes_online:
                if in_doubt:
                    self.tell(InDoubt(prompt.key))
                await straight.put(prompt)
                if prompt is self._trial:
                    await self._tried.wait()
            elif isinstance(drawn, Reply | Failure):
                await given.put((prompt, drawn))
            else:
                enclosed = await self._sending.enclose(prompt, key)
                is_deferred = enclosed.error == DEFERRED
                if in_doubt and not is_deferred:
                    self.tell(InDoubt(prompt.key))
                await given.put((prompt, enclosed))
                if is_deferred and prompt.position > last:
                    break  # nor is there room for those behind it, of which nothing was ever in a batch
            if self.halt.is_set():
                return
        await self._sending.seal()

    async def _ask(self, straight: asyncio.Queue[Prompt | None], given: asyncio.Queue[Ended | BaseException | None]) -> None:
        """Online."""

        async def prompts() -> AsyncGenerator[Prompt]:
            while (prompt := await straight.get()) is not None:
                yield prompt

        async for prompt, result in self.online.replies(prompts()):
            if isinstance(result, Reply):
                self._proven.add(prompt.step)
            await given.put((prompt, result))
            if prompt is self._trial:
                self._trial = None
                self._tried.set()

    def _drawn(self, prompt: Prompt, key: bytes) -> Drawn:
        found = self.memory.find(prompt.position, prompt.place, key)
        if found is not None:
            drawn = self._returned.drawn(found, wanted_anew=prompt.use == "new")
            if prompt.use == "paid" and isinstance(drawn, str):
                return Failure(Status.PENDING, DRAWN, None, 0)
            if isinstance(drawn, Reply):
                self.memory.told(prompt.position, prompt.place, key)
            return drawn
        left = self.ledger.recall(prompt, key)
        if left is not None and left.body is not None:
            reply = read(
                left.body,
                self.shape.form,
                request_id=left.request_id,
                latency_s=left.latency_s,
                at=left.at,
                attempts=left.attempts,
            )
            if isinstance(reply, Reply):
                return replace(reply, origin=left.origin)
        if prompt.use == "paid":
            return Failure(Status.PENDING, DRAWN, None, 0)
        if self._sending.holds(key):
            return Failure(Status.PENDING, IN_BATCH, None, 0)
        # A request that went online and may have been paid: its doubt is told, or held, where it is asked again.
        return "ask" if left is not None and left.in_doubt else "enclose"

    def _patience(self) -> Patience:
        return Patience(self.terms.attempts, self.terms.longest_wait_s, self.random)
