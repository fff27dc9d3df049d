"""A Caller that asks online, many at a time.

One canary goes first: it finds out about key, model and prompt before money is spent on many, and it writes the prompt cache
that all others read. Then at most `concurrency` requests are out at once. An ask that waits for its retry holds no place; so
that memory stays bounded, at most twice as many asks are open as may be out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.call.caller import Broken, Budget, Ledger, Stake, Transport
from pipeline.call.classify import Verdict, broken, failed, unreadable
from pipeline.call.retry import Attempt, Halted, Patience, attempts
from pipeline.call.wire import Shape, Unreadable, read
from pipeline.errors import ComeBackLater, PipelineError, ServiceDown
from pipeline.events import InDoubt, Listener, Notice, Retrying, Stopping
from pipeline.records import JSON, Failure, Origin, Prompt, Reply, Status

OPEN_PER_PLACE = 2
HELD = (
    "an earlier request about this row may have been paid and its reply is lost; "
    "run.in_doubt is hold, so it is sent again only by --retry in_doubt"
)


@dataclass(frozen=True, slots=True)
class Limits:
    concurrency: int
    attempts: int
    longest_wait_s: float
    hold: bool = False
    """What may have been paid is not sent again: a person decides (`run.in_doubt`)."""


@dataclass(slots=True)
class Online:
    """See call/caller.py for what `replies` promises. One instance a run, used inside one event loop."""

    transport: Transport
    ledger: Ledger
    shape: Shape
    limits: Limits
    halt: asyncio.Event
    """Set by whoever stops the run, and by this caller when the account or the service stops it: nothing more is sent."""
    tell: Listener
    clock: Callable[[], float]
    """Unix time, for the record."""
    random: Callable[[], float]
    """From [0, 1), for the jitter of waits."""
    budget: Budget
    in_flight: int = field(default=0, init=False)
    requests: int = field(default=0, init=False)
    """HTTP requests sent so far."""
    _stop: PipelineError | None = field(default=None, init=False)
    _asking: dict[bytes, asyncio.Future[Reply | None]] = field(default_factory=dict, init=False)
    """Request key → the reply that an ask in progress will bring; None where it brings none."""
    _not_before: float = field(default=0.0, init=False)
    """Loop time before which nobody sends: one `retry-after` stops all, those that hold a place already too."""

    async def replies(self, prompts: AsyncIterator[Prompt]) -> AsyncGenerator[tuple[Prompt, Reply | Failure]]:
        done: asyncio.Queue[tuple[Prompt, Reply | Failure] | BaseException | None] = asyncio.Queue()
        tasks: set[asyncio.Task[None]] = set()
        pump = asyncio.create_task(self._pump(prompts, tasks, done))
        try:
            while (item := await done.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
            if self._stop is not None:
                raise self._stop
        finally:
            for task in (pump, *tasks):
                task.cancel()
            await asyncio.gather(pump, *tasks, return_exceptions=True)

    async def _pump(
        self,
        prompts: AsyncIterator[Prompt],
        tasks: set[asyncio.Task[None]],
        done: asyncio.Queue[tuple[Prompt, Reply | Failure] | BaseException | None],
    ) -> None:
        """Pulls prompts while there is room, and puts None when the last one has its end."""
        places = asyncio.Semaphore(self.limits.concurrency)
        room = asyncio.Semaphore(self.limits.concurrency * OPEN_PER_PLACE)

        async def ask(prompt: Prompt) -> None:
            try:
                done.put_nowait((prompt, await self._ask(prompt, places)))
            except PipelineError as error:  # the disk refused: no more is bought, what is out still comes
                self._end(error)
                done.put_nowait((prompt, Failure(Status.PENDING, error.message, None, 0)))
            except Exception as error:  # noqa: BLE001 whatever it is, it belongs to whoever iterates
                done.put_nowait(error)
            finally:
                room.release()

        upstream: Exception | None = None
        try:
            canary = True
            async for prompt in prompts:
                await room.acquire()
                task = asyncio.create_task(ask(prompt))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                if canary:
                    await asyncio.wait([task])
                    canary = False
                    if not self.halt.is_set():
                        self.tell(Notice(f"the first ask is through; now up to {self.limits.concurrency} at once"))
                if self.halt.is_set():
                    break
        except Exception as error:  # noqa: BLE001 the prompts come from upstream; their errors go downstream
            upstream = error
        while tasks:  # what is out is paid for: it is given in any case
            await asyncio.wait(tasks)
        done.put_nowait(upstream)

    async def _ask(self, prompt: Prompt, places: asyncio.Semaphore) -> Reply | Failure:
        """One ask to its end. Of identical asks that are open at the same time, one is made and the others wait for it."""
        key = self.shape.key(prompt)
        while (other := self._asking.get(key)) is not None:
            reply = await asyncio.shield(other)
            if reply is not None:
                return replace(reply, attempts=0, origin=Origin.ELSEWHERE)
        mine: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._asking[key] = mine
        try:
            result = await self._ask_once(prompt, key, places)
            mine.set_result(result if isinstance(result, Reply) else None)
        finally:
            del self._asking[key]
            if not mine.done():
                mine.set_result(None)
        return result

    async def _ask_once(self, prompt: Prompt, key: bytes, places: asyncio.Semaphore) -> Reply | Failure:
        """A reply already paid for, or attempts until one brings a reply or none may be made."""
        left = self.ledger.recall(prompt, key)
        sent = left.attempts if left is not None else 0
        if left is not None and left.body is not None:
            reply = self._read(left.body, left.request_id, left.latency_s, left.at, sent)
            if isinstance(reply, Reply):
                return replace(reply, origin=left.origin)
        if prompt.use == "paid":
            return Failure(Status.PENDING, "nothing that is paid for answers this", None, 0)
        if left is not None and (left.in_doubt or left.body is not None):
            # Lost, or filed and not readable as a reply: either way perhaps paid.
            if self.limits.hold and prompt.use != "new":
                return Failure(Status.IN_DOUBT, HELD, None, sent)
            self.tell(InDoubt(prompt.key))
        patience = Patience(self.limits.attempts, self.limits.longest_wait_s, self.random, repeats=not self.limits.hold)

        def before_wait(number: int, attempt: Attempt) -> None:
            wait_s = attempt.wait_s or 0.0
            self.tell(Retrying(prompt.key, number, wait_s, attempt.verdict.error, billed=attempt.verdict.billed))

        request_id: str | None = None
        try:
            async for attempt in attempts(self.halt, before_wait):
                with attempt:
                    async with places:
                        await self._gate()
                        body = self.shape.body(prompt)
                        async with self.budget.holding(body) as stake:
                            if self.halt.is_set():
                                raise Halted
                            self.in_flight += 1
                            self.requests += 1
                            sent += 1
                            try:
                                result = await self._attempt(prompt, key, sent, body, stake)
                            finally:
                                self.in_flight -= 1
                    if isinstance(result, Reply):
                        return result
                    verdict, request_id = result
                    raise Attempt(verdict, patience.after(verdict))
        except Halted:
            return Failure(Status.PENDING, "the run stopped before this row was answered", request_id, sent)
        except Attempt as last:
            return self._given_up(last.verdict, request_id, sent)
        raise AssertionError("tenacity ends only by a return or an exception")

    async def _attempt(
        self, prompt: Prompt, key: bytes, number: int, body: Mapping[str, JSON], stake: Stake
    ) -> Reply | tuple[Verdict, str | None]:
        """One HTTP request, in the order that keeps the promise: remember, send, remember, read."""
        await self.ledger.sent(prompt, key, stake.leaves())
        response = await self.transport.send(body)
        request_id: str | None = None
        if isinstance(response, Broken):
            verdict = broken(response)
        else:
            request_id = response.headers.get("request-id")
            error = response.status != 200 or response.body.startswith(b'{"type":"error"')
            if error:
                verdict = failed(response, self.limits.longest_wait_s)
            else:
                took_s, at = response.latency_s, self.clock()
                await self.ledger.replied(prompt, key, body=response.body, request_id=request_id, latency_s=took_s, at=at)
                reply = self._read(response.body, request_id, took_s, at, number)
                cost_usd = stake.settle(reply if isinstance(reply, Reply) else None)
                if cost_usd is not None:
                    self.ledger.priced(prompt, cost_usd)
                if isinstance(reply, Reply):
                    return reply
                return unreadable(reply.reason), request_id
        if not verdict.billed:
            stake.give_back()
            await self.ledger.unpaid(prompt, key)
        if verdict.wait_s is not None:
            self._not_before = max(self._not_before, asyncio.get_running_loop().time() + verdict.wait_s)
        return verdict, request_id

    def _read(self, body: bytes, request_id: str | None, latency_s: float, at: float, attempts: int) -> Reply | Unreadable:
        return read(body, self.shape.form, request_id=request_id, latency_s=latency_s, at=at, attempts=attempts)

    async def _gate(self) -> None:
        """Waits until the server's last `retry-after` is over. Raises Halted when the run stops meanwhile."""
        while (wait_s := self._not_before - asyncio.get_running_loop().time()) > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await self.halt.wait()
            except TimeoutError:
                continue
            raise Halted

    def _given_up(self, verdict: Verdict, request_id: str | None, sent: int) -> Failure:
        """The end of an ask that may not be tried again; stops the run where it is no row's fault."""
        stop = verdict.stop
        if stop is None and verdict.status is Status.PENDING:
            stop = ServiceDown
        if stop is None and not verdict.counts:
            stop = ComeBackLater
        if stop is None:
            return Failure(verdict.status, verdict.error, request_id, sent)
        self._end(stop(verdict.error))
        return Failure(Status.PENDING, verdict.error, request_id, sent)

    def _end(self, error: PipelineError) -> None:
        """Sends nothing more; the first error is the one that is told."""
        if self._stop is None:
            self._stop = error
            self.tell(Stopping(error.message))
        self.halt.set()
