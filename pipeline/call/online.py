"""A Caller that asks online, many at a time.

One canary goes first: it finds out about key, model and prompt before money is spent on many, and it writes the prompt cache
that all others read; if it fails, the next row is the canary. Then requests leave by the gate, which keeps the limits and may
serve several callers. An ask that waits for its retry holds no place; so that memory stays bounded, at most twice as many asks
are open as may be out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from pipeline.call.caller import Broken, Budget, Ledger, Response, Stake, Transport
from pipeline.call.classify import Classifier, Verdict, broken, unreadable
from pipeline.call.concurrency import Concurrency
from pipeline.call.conditions import Concerns
from pipeline.call.gate import Gate
from pipeline.call.limit import Hold, Limiter, size
from pipeline.call.media import held_bytes
from pipeline.call.retry import Attempt, Halted, Patience, attempts
from pipeline.call.streak import CANARIES, Streak
from pipeline.call.wire import Shape, Unreadable, read
from pipeline.errors import BudgetSpent, ComeBackLater, PipelineError, ServiceDown
from pipeline.events import InDoubt, Listener, Notice, Retrying, Stopping
from pipeline.records import JSON, Failure, Origin, Prompt, Reply, Status

OPEN_PER_PLACE = 2
MOST_OPEN = 10_000
"""Asks, with those that only wait for another ask of the same: 60 copies in a row must not keep all others waiting."""
MOST_HELD_BYTES = 32 << 20
"""Texts, pictures and documents of all asks that are open. Each is also held as JSON, and media as base64, while it is sent;
what limits many large ones is bandwidth or the tokens a minute, not how many are out."""
IDLE_S = 0.1
"""When nothing has been open for so long, no neighbour will show why a row failed."""
HELD = (
    "an earlier request about this row may have been paid and its reply is lost; "
    "run.in_doubt is hold, so it is sent again only by --retry in_doubt"
)

Ended: TypeAlias = "tuple[Prompt, Reply | Failure]"
Concluded: TypeAlias = "tuple[Reply | Failure, Verdict | None, int]"
"""How an ask ended; why, where that says something about its row; and which request of the run was its last one."""


@dataclass(frozen=True, slots=True)
class Limits:
    concurrency: int
    """The ceiling; how many are out at once below it is learned."""
    attempts: int
    longest_wait_s: float
    hold: bool = False
    """What may have been paid is not sent again: a person decides (`run.in_doubt`)."""
    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    max_alike: int | None = 20
    """Rows in a row that may fail alike before the run stops; None: any number."""


def gate(limits: Limits, tell: Listener, random: Callable[[], float]) -> Gate:
    """A gate that keeps these limits."""
    limiter = Limiter(limits.requests_per_minute, limits.input_tokens_per_minute, limits.output_tokens_per_minute)
    return Gate(Concurrency(limits.concurrency), limiter, tell, random)


@dataclass(slots=True)
class Online:
    """See call/caller.py for what `replies` promises. One instance a run and worker, used inside one event loop."""

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
    """Shared by all callers of a run, as the gate is."""
    gate: Gate | None = None
    """Shared by all callers of a run; None: one of its own."""
    proven: bool = False
    """Whether an earlier run had a reply to a request of this form."""
    most_held_bytes: int = MOST_HELD_BYTES
    in_flight: int = field(default=0, init=False)
    requests: int = field(default=0, init=False)
    """HTTP requests sent so far."""
    _gate: Gate = field(init=False)
    _classify: Classifier = field(init=False)
    _streak: Streak = field(init=False)
    _stop: PipelineError | None = field(default=None, init=False)
    _asking: dict[bytes, asyncio.Future[Reply | None]] = field(default_factory=dict, init=False)
    """Request key → the reply that an ask in progress will bring; None where it brings none."""
    _copies: int = field(default=0, init=False)
    """Asks that wait for another ask of the same."""
    _room: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set whenever more asks may be open."""
    _answered: bool = field(default=False, init=False)
    """Whether a request of this run has brought a reply."""

    def __post_init__(self) -> None:
        self._gate = self.gate or gate(self.limits, self.tell, self.random)
        self._classify = Classifier(self.limits.longest_wait_s, self.shape.form.model)
        self._streak = Streak(self.limits.max_alike, self.proven)

    @property
    def limit(self) -> int:
        """Requests that may be out at once just now."""
        return self._gate.limit

    async def replies(self, prompts: AsyncIterator[Prompt]) -> AsyncGenerator[Ended]:
        done: asyncio.Queue[Ended | BaseException | None] = asyncio.Queue()
        tasks: set[asyncio.Task[None]] = set()
        pump = asyncio.create_task(self._pump(prompts, tasks, done))
        dismissing = asyncio.create_task(self._dismiss())
        try:
            while (item := await done.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
            if self._stop is not None:
                raise self._stop
        finally:
            for task in (pump, dismissing, *tasks):
                task.cancel()
            await asyncio.gather(pump, dismissing, *tasks, return_exceptions=True)

    async def _dismiss(self) -> None:
        await self.halt.wait()
        self._gate.dismiss(self)

    async def _pump(
        self,
        prompts: AsyncIterator[Prompt],
        tasks: set[asyncio.Task[None]],
        done: asyncio.Queue[Ended | BaseException | None],
    ) -> None:
        """Pulls prompts while there is room, and puts None when the last one has its end."""
        held = 0

        def ended(task: asyncio.Task[None], released: int) -> None:
            nonlocal held
            held -= released
            tasks.discard(task)
            self._room.set()

        async def ask(prompt: Prompt) -> None:
            try:
                for item in self._told_apart(prompt, await self._ask(prompt)):
                    done.put_nowait(item)
                if self._streak.holds:
                    asyncio.get_running_loop().call_later(IDLE_S, let_go_if_idle)
            except PipelineError as error:  # the disk refused: no more is bought, what is out still comes
                self._end(error)
                done.put_nowait((prompt, Failure(Status.PENDING, error.message, None, 0)))
            except Exception as error:  # noqa: BLE001 whatever it is, it belongs to whoever iterates
                done.put_nowait(error)

        def let_go_if_idle() -> None:
            """Whoever gives the prompts may be waiting for the very rows that are held back."""
            if not tasks:
                for item in self._streak.taken_back() if self.halt.is_set() else self._streak.all():
                    done.put_nowait(item)

        upstream: Exception | None = None
        try:
            canaries = 0
            async for prompt in prompts:
                takes = held_bytes(prompt)
                while self._full(len(tasks)) or (tasks and held + takes > self.most_held_bytes):
                    self._room.clear()
                    await self._room.wait()
                canary, sent = not self._answered and canaries < CANARIES, self.requests
                task = asyncio.create_task(ask(prompt))
                tasks.add(task)
                held += takes
                task.add_done_callback(partial(ended, released=takes))
                if canary:
                    await asyncio.wait([task])
                    canaries += self.requests > sent
                    if self._answered and not self.halt.is_set():
                        self.tell(Notice(f"the first ask is through; now up to {self._gate.concurrency.most} at once"))
                if self.halt.is_set():
                    break
        except Exception as error:  # noqa: BLE001 the prompts come from upstream; their errors go downstream
            upstream = error
        while tasks:  # what is out is paid for: it is given in any case
            await asyncio.wait(tasks)
        for item in self._streak.taken_back() if self.halt.is_set() else self._streak.all():
            done.put_nowait(item)
        done.put_nowait(upstream)

    def _full(self, asks: int) -> bool:
        """Whether no more asks may be open, beside those that only wait for another ask of the same."""
        return asks - self._copies >= OPEN_PER_PLACE * self._gate.limit or asks >= MOST_OPEN

    def _told_apart(self, prompt: Prompt, concluded: Concluded) -> list[Ended]:
        """What may be given now that this ask has its end; a row that failed is given when it is clear why."""
        result, verdict, request = concluded
        if isinstance(result, Reply):
            if result.origin is Origin.NOW:
                self._streak.answered(request)
            return [*self._streak.released(), (prompt, result)]
        if verdict is None or result.status is Status.PENDING or prompt.use == "new":
            return [(prompt, result)]
        error = self._streak.failed(prompt, result, verdict, request)
        if error is not None:
            self._end(error)
            return list(self._streak.taken_back())
        return list(self._streak.released())

    async def _ask(self, prompt: Prompt) -> Concluded:
        """One ask to its end. Of identical asks that are open at the same time, one is made and the others wait for it."""
        key = self.shape.key(prompt)
        while (other := self._asking.get(key)) is not None:
            self._copies += 1
            self._room.set()
            try:
                reply = await asyncio.shield(other)
            finally:
                self._copies -= 1
            if reply is not None:
                return replace(reply, attempts=0, origin=Origin.ELSEWHERE), None, 0
        mine: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._asking[key] = mine
        try:
            concluded = await self._ask_once(prompt, key)
            mine.set_result(concluded[0] if isinstance(concluded[0], Reply) else None)
        finally:
            del self._asking[key]
            if not mine.done():
                mine.set_result(None)
        return concluded

    async def _ask_once(self, prompt: Prompt, key: bytes) -> Concluded:
        """A reply already paid for, or attempts until one brings a reply or none may be made."""
        left = self.ledger.recall(prompt, key)
        sent = left.attempts if left is not None else 0
        if left is not None and left.body is not None:
            reply = self._read(left.body, left.request_id, left.latency_s, left.at, sent)
            if isinstance(reply, Reply):
                return replace(reply, origin=left.origin), None, 0
        if prompt.use == "paid":
            return Failure(Status.PENDING, "nothing that is paid for answers this", None, 0), None, 0
        # Lost, or filed and not readable as a reply: either way perhaps paid.
        doubtful = left is not None and (left.in_doubt or left.body is not None)
        if doubtful and self.limits.hold and prompt.use != "new":
            return Failure(Status.IN_DOUBT, HELD, None, sent), None, 0
        patience = Patience(self.limits.attempts, self.limits.longest_wait_s, self.random, repeats=not self.limits.hold)

        def before_wait(number: int, attempt: Attempt) -> None:
            wait_s = attempt.wait_s or 0.0
            self.tell(Retrying(prompt.key, number, wait_s, attempt.verdict.error, billed=attempt.verdict.billed))

        request_id: str | None = None
        characters, request = size(prompt), 0
        tries = attempts(self.halt, before_wait)
        try:
            async for attempt in tries:
                with attempt:
                    if self.halt.is_set():
                        raise Halted
                    place = await self._gate.enter(
                        self, characters, again=attempt.retry_state.attempt_number > 1, ready=self._is_ready
                    )
                    body = self.shape.body(prompt)
                    async with self._staked(body, place) as stake:
                        if doubtful:
                            self.tell(InDoubt(prompt.key))
                        self.in_flight += 1
                        self.requests += 1
                        request = self.requests
                        sent += 1
                        try:
                            result = await self._attempt(prompt, key, body, stake, place, sent)
                        finally:
                            self.in_flight -= 1
                    if isinstance(result, Reply):
                        self._answered = True
                        return result, None, request
                    verdict, request_id = result
                    doubtful = verdict.billed
                    raise Attempt(verdict, patience.after(verdict, down=self._gate.breaker.open))
        except Halted:
            return Failure(Status.PENDING, "the run stopped before this row was answered", request_id, sent), None, request
        except Attempt as last:
            return self._given_up(last.verdict, request_id, sent), last.verdict, request
        finally:
            tries.over()
        raise AssertionError("tenacity ends only by a return or an exception")

    @asynccontextmanager
    async def _staked(self, body: Mapping[str, JSON], place: Hold) -> AsyncGenerator[Stake]:
        """The money for a request that has its place. The place is given back where there is none, or the run has stopped."""
        entered = False
        try:
            async with self.budget.holding(body) as stake:
                if self.halt.is_set():
                    raise Halted
                entered = True
                yield stake
        except BudgetSpent:
            if self.halt.is_set():  # the run stops for another reason, which is the one to tell
                raise Halted from None
            raise
        finally:
            if not entered:
                self._gate.abandoned(place)

    async def _attempt(
        self, prompt: Prompt, key: bytes, body: Mapping[str, JSON], stake: Stake, place: Hold, number: int
    ) -> Reply | tuple[Verdict, str | None]:
        """One HTTP request, in the order that keeps the promise: remember, send, remember, read."""
        told = False
        try:
            await self.ledger.sent(prompt, key, stake.leaves())
            response = await self.transport.send(body)
            result = await self._judged(prompt, key, response, stake, number)
            headers = response.headers if isinstance(response, Response) else {}
            told = True
            if isinstance(result, Reply):
                self._gate.succeeded(place, result.usage, headers)
                return result
            error = result.stop(result.error) if result.stop is not None else None
            error = self._gate.failed(place, result, headers) or error
        finally:
            if not told:
                self._gate.abandoned(place)
        if error is not None:
            self._end(error)
        if not result.billed:
            stake.give_back()
            await self.ledger.unpaid(prompt, key)
        return result, headers.get("request-id")

    async def _judged(
        self, prompt: Prompt, key: bytes, response: Response | Broken, stake: Stake, number: int
    ) -> Reply | Verdict:
        """What came back, filed before it is read if it may be an answer."""
        if isinstance(response, Broken):
            return broken(response)
        if response.status != 200 or response.body.startswith(b'{"type":"error"'):
            return self._classify.failed(response)
        request_id, took_s, at = response.headers.get("request-id"), response.latency_s, self.clock()
        await self.ledger.replied(prompt, key, body=response.body, request_id=request_id, latency_s=took_s, at=at)
        reply = self._read(response.body, request_id, took_s, at, number)
        cost_usd = stake.settle(reply if isinstance(reply, Reply) else None)
        if cost_usd is not None:
            self.ledger.priced(prompt, cost_usd)
        return reply if isinstance(reply, Reply) else unreadable(reply.reason, took_s)

    def _is_ready(self) -> bool:
        return self.transport.ready

    def _read(
        self, body: bytes, request_id: str | None, latency_s: float | None, at: float, attempts: int
    ) -> Reply | Unreadable:
        return read(body, self.shape.form, request_id=request_id, latency_s=latency_s, at=at, attempts=attempts)

    def _given_up(self, verdict: Verdict, request_id: str | None, sent: int) -> Failure:
        """The end of an ask that may not be tried again; stops the run where it is no row's fault."""
        ends = verdict.stop
        if ends is None and verdict.status is Status.PENDING:
            ends = verdict.ends or ServiceDown
        if ends is None and verdict.concerns in (Concerns.RATE, Concerns.RAMP):
            ends = ComeBackLater
        if ends is None:
            return Failure(verdict.status, verdict.error, request_id, sent)
        self._end(ends(verdict.error))
        return Failure(Status.PENDING, verdict.error, request_id, sent)

    def _end(self, error: PipelineError) -> None:
        """Sends nothing more; the first error is the one that is told."""
        if self._stop is None:
            self._stop = error
            self.tell(Stopping(error.message))
        self.halt.set()
