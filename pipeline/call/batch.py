"""A Caller that asks by Message Batches: half the price, and answers within a day.

It answers no prompt that it sends: the row is given back as pending, and so takes no memory while it waits. Once the batches
have been collected, the same prompts are given again; then the replies are there, in the journal, and are judged like those
of an interrupted run. Re-asks go into the next batch. So a run is a number of passes over its rows,

    replies   what is known is given, the rest is enclosed, parcels leave as they are full     (a pass)
    collect   waits for the batches, files their results                                        (between two passes)

and a run that was killed, or that left while its batches are worked on, only goes on with another pass.

`create` is not idempotent, and the API has no name for a batch that a client could choose. So each parcel is durable before it
is sent, with a nonce in all its `custom_id`s. Where it is not known what became of it, the list of batches is searched: by time
and number of requests while they run, by nonce once they ended. Until that is settled nothing of it is sent again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import orjson

from pipeline.call import parcel as shapes
from pipeline.call.asking import Asking, ends
from pipeline.call.caller import Batches, Broken, Ledger, Memory, Response
from pipeline.call.classify import STATUS_OF_TYPE, Classifier, broken
from pipeline.call.filling import Filling, begun
from pipeline.call.online import HELD, Ended, Online
from pipeline.call.parcel import Line, Remote, Room
from pipeline.call.purse import Purse, exact
from pipeline.call.retry import Patience
from pipeline.call.wire import Shape, read
from pipeline.errors import BudgetSpent, PipelineError, ServiceDown
from pipeline.events import InDoubt, Listener, Notice, Stopping
from pipeline.records import Enclosed, Failure, Filed, Parcel, Prompt, Reply, Slip, Status

GROUP = 500
"""Results a commit."""
GIVEN = 256
"""Rows that may wait to be taken from here."""
IN_BATCH = "it is in a batch that has not been collected"
DEFERRED = "it waits for the batches that are out"
DRAWN = "nothing that is paid for answers this"

Drawn: TypeAlias = "Reply | Failure | Literal['enclose', 'ask']"
"""What a prompt gets at once, or how it is to be asked."""


@dataclass(frozen=True, slots=True)
class Pace:
    first_s: float = 5.0
    longest_s: float = 60.0
    growth: float = 1.5
    settle_s: float = 60.0
    """A batch may appear in the list so long after its request was lost."""
    told_s: float = 900.0
    """The longest time between two lines of progress."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person has set."""

    share: float = 0.5
    """Price in a batch, as a share of the price online."""
    size: int = shapes.MOST_REQUESTS
    after_expiry: Literal["batch", "online"] = "batch"
    attempts: int = 6
    longest_wait_s: float = 900.0
    hold: bool = False
    """What may have been paid is not sent again."""
    passing: bool = False
    """The server ends with the run, and all its batches with it: none of an earlier run is there any more."""
    online: bool = False
    """Nothing new is put into a batch: those of an earlier run are collected, the rest is asked online."""


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
    requests: int = field(default=0, init=False)
    """Enclosed so far in batches that were submitted."""
    again: int = field(default=0, init=False)
    """Re-asks among those enclosed."""
    enclosed: int = field(default=0, init=False)
    """In this pass."""
    deferred: int = field(default=0, init=False)
    """Prompts of this pass that wait for batches to end before they can be enclosed."""
    _waiting: set[int] = field(default_factory=set, init=False)
    """The first eight bytes of the key of every request in a batch: an identical one waits for its reply. About 60 bytes a
    request that is out."""
    _filling: Filling | None = field(default=None, init=False)
    _proven: set[int] = field(default_factory=set, init=False)
    """Turns of which a request has been answered."""
    _trial: Prompt | None = field(default=None, init=False)
    _tried: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _refuted: set[str] = field(default_factory=set, init=False)
    """Batches that are somebody else's."""
    _classify: Classifier = field(init=False)
    _asking: Asking = field(init=False)
    _full: bool = field(default=False, init=False)
    """Nothing more is submitted in this pass."""

    def __post_init__(self) -> None:
        self._classify = Classifier(self.terms.longest_wait_s, self.shape.form.model)
        self._asking = Asking(
            self.server,
            self._classify,
            lambda: Patience(self.terms.attempts, self.terms.longest_wait_s, self.random),
            self.halt,
            self.sleep,
        )
        for key, worst_usd in self.memory.waiting():
            self._waiting.add(_prefix(key))
            if worst_usd is not None:
                self.purse.account.set_aside(worst_usd)
        with suppress(FileNotFoundError):
            for left in self.folder.iterdir():  # of a run that was killed; what matters is in the journal
                left.unlink()

    async def begin(self) -> None:
        """Once, before the first pass."""
        for parcel in self.memory.out() if self.terms.passing else []:
            await self._dropped(parcel)

    # A pass -------------------------------------------------------------------------------------------------------------

    async def replies(self, prompts: AsyncIterator[Prompt]) -> AsyncGenerator[Ended]:
        self.enclosed = self.deferred = 0
        self._full = False
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
            self._abandon()

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
        async for prompt in prompts:
            key = self.shape.key(prompt)
            drawn = self._drawn(prompt, key)
            if drawn == "enclose" and self.terms.online:
                drawn = "ask"
            if drawn == "enclose" and not self.proven and prompt.step not in self._proven:
                self._trial = prompt
                self._tried.clear()
                await straight.put(prompt)
                await self._tried.wait()
            elif drawn == "ask":
                await straight.put(prompt)
            elif drawn == "enclose":
                await given.put((prompt, await self._enclose(prompt, key)))
            else:
                await given.put((prompt, drawn))
            if self.halt.is_set():
                return
        await self._seal()

    async def _ask(self, straight: asyncio.Queue[Prompt | None], given: asyncio.Queue[Ended | BaseException | None]) -> None:
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
            return self._found(prompt, key, found)
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
        if _prefix(key) in self._waiting:
            return Failure(Status.PENDING, IN_BATCH, None, 0)
        # A request that went online and may have been paid: its doubt is told, or held, where it is asked again.
        return "ask" if left is not None and left.in_doubt else "enclose"

    def _found(self, prompt: Prompt, key: bytes, found: Enclosed) -> Drawn:
        match found.fate:
            case None:
                return Failure(Status.PENDING, IN_BATCH, None, 0)
            case "succeeded" if (left := found.recall) is not None and left.body is not None:
                self.memory.told(prompt.position, prompt.place, key)
                reply = read(left.body, self.shape.form, request_id=None, latency_s=0.0, at=left.at, attempts=found.attempts)
                if isinstance(reply, Reply):
                    return replace(reply, origin=left.origin)
                return self._again(prompt, found, f"the message in the results cannot be read: {reply.reason}")
            case "errored":
                return self._errored(found)
            case "canceled" | "expired":
                return "ask" if self.terms.after_expiry == "online" else "enclose"
            case _:
                return self._again(prompt, found, "the results of its batch say nothing of it")

    def _again(self, prompt: Prompt, found: Enclosed, why: str) -> Drawn:
        """After a request that may have been paid."""
        if self.terms.hold and prompt.use != "new":
            return Failure(Status.IN_DOUBT, f"{why}; {HELD}", None, found.attempts)
        if found.attempts >= self.terms.attempts:
            return Failure(Status.IN_DOUBT, why, None, found.attempts)
        self.tell(InDoubt(prompt.key))
        return "enclose"

    def _errored(self, found: Enclosed) -> Drawn:
        verdict = self._classify.failed(Response(_status(found.error), {}, found.error, 0.0))
        if verdict.stop is not None:
            raise verdict.stop(verdict.error)
        if verdict.retry is not None and found.attempts < self.terms.attempts:
            return "enclose"
        status = Status.FAILED if verdict.status is Status.PENDING else verdict.status
        return Failure(status, verdict.error, None, found.attempts)

    async def _enclose(self, prompt: Prompt, key: bytes) -> Failure:
        if self._full:
            self.deferred += 1
            return Failure(Status.PENDING, DEFERRED, None, 0)
        body = self.shape.body(prompt)
        whole_usd = self.purse.worst_usd(body)
        worst_usd = None if whole_usd is None else whole_usd * self.terms.share
        if worst_usd is not None and not self.purse.account.fits(worst_usd):
            if not self.purse.account.out:
                raise BudgetSpent(
                    f"the next request may cost {exact(worst_usd)} in a batch, which is more than is left of run.budget_usd",
                    request_usd=worst_usd,
                )
            self.deferred += 1
            return Failure(Status.PENDING, DEFERRED, None, 0)
        nonce = self._filling.nonce if self._filling is not None else self.nonce()
        try:
            request = shapes.enclosed(shapes.custom_id(prompt.position, prompt.place, key, nonce), body)
        except UnicodeEncodeError as error:
            return Failure(Status.INPUT_ERROR, f"it holds what no request can: {error.reason}", None, 0)
        if self._filling is not None and not self._filling.room.admits(request):
            await self._seal()
            return await self._enclose(prompt, key)
        filling = self._filling or self._begun(nonce)
        if worst_usd is not None:
            self.purse.account.set_aside(worst_usd)
        filling.add(Slip(prompt.position, prompt.place, key, worst_usd), request)
        self._waiting.add(_prefix(key))
        self.enclosed += 1
        self.again += prompt.question > 1
        return Failure(Status.PENDING, IN_BATCH, None, 0)

    def _begun(self, nonce: str) -> Filling:
        filling = begun(self.folder, nonce, Room(self.terms.size))
        self._filling = filling
        return filling

    def _abandon(self) -> None:
        """What was gathered and not sent is as if never gathered."""
        if (filling := self._filling) is not None:
            self._filling = None
            self._given_back(filling.slips)
            with suppress(OSError):
                filling.file.close()
                filling.path.unlink()

    def _given_back(self, slips: list[Slip]) -> None:
        for slip in slips:
            self._waiting.discard(_prefix(slip.key))
            if slip.worst_usd is not None:
                self.purse.account.give_back(slip.worst_usd)
        self.purse.wake()

    # Sending ------------------------------------------------------------------------------------------------------------

    async def _seal(self) -> None:
        """Sends what has been gathered."""
        filling = self._filling
        if filling is None or self.halt.is_set():
            return
        filling.close()
        parcel = Parcel(0, filling.nonce, len(filling.slips), filling.room.size, self.clock())
        parcel = await self.memory.intend(parcel, filling.digest.digest(), filling.slips)
        self._filling = None
        try:
            await self._create(parcel, filling)
        finally:
            with suppress(OSError):
                filling.path.unlink()

    async def _create(self, parcel: Parcel, filling: Filling) -> None:
        """Sends a parcel until it is known to have arrived, or until it is not known what became of it."""
        patience = self._asking.patience()
        while True:
            answer = await self.server.create_batch(filling.path, parcel.size)
            remote = _remote(answer)
            if remote is not None:
                return await self._arrived(parcel, remote)
            if _perhaps_arrived(answer):
                why = answer.error if isinstance(answer, Broken) else f"HTTP {answer.status}"
                self.tell(Notice(f"it is not known whether batch {parcel.number} was taken ({why}): it is looked for first"))
                self._full = True  # nothing more is sent into this weather; what is left comes in the next pass
                return None
            verdict = broken(answer) if isinstance(answer, Broken) else self._classify.failed(answer)
            others = any(other.number != parcel.number for other in self.memory.out())
            wait_s = None if others and verdict.retry is not None else patience.after(verdict)
            if wait_s is None:
                await self.memory.dropped(parcel)
                self._given_back(filling.slips)
                self.enclosed -= len(filling.slips)
                if verdict.stop is None and verdict.retry is not None and others:
                    self._full = True  # there is no room in the queue until others have ended
                    self.deferred += len(filling.slips)
                    self.tell(Notice(f"the service takes no more batches just now: {verdict.error}"))
                    return None
                raise (verdict.stop or verdict.ends or ends(verdict))(verdict.error)
            await self._asking.pause(wait_s)
            if self.halt.is_set():
                await self.memory.dropped(parcel)
                self._given_back(filling.slips)
                return None

    async def _arrived(self, parcel: Parcel, remote: Remote) -> None:
        await self.memory.submitted(parcel, remote.batch_id, remote.created_at)
        self.requests += parcel.requests
        self.tell(Notice(f"batch {remote.batch_id}: {parcel.requests:,} requests are with the service"))

    # Collecting ---------------------------------------------------------------------------------------------------------

    async def collect(self, *, once: bool = False) -> bool:
        """Waits for batches to end and files their results; whether any has come to its end. Returns when all have, when one
        has and others could be sent in its place, or when the run halts. `once`: looks, and does not wait."""
        moved = False
        wait_s, begun, next_told_s = self.pace.first_s, self.clock(), 0.0
        while (out := self.memory.out()) and not self.halt.is_set():
            news = False
            told = self.clock() - begun >= next_told_s
            for number, parcel in enumerate(out, 1):
                which = f"batch {number} of {len(out)}"
                news = await self._looked(parcel, which, told=told and not once) or news
                if self.halt.is_set():
                    return moved or news
            moved = moved or news
            if once or (moved and (self.deferred or self._full)):
                break
            if told:
                next_told_s = min(max(2 * next_told_s, 30.0), next_told_s + self.pace.told_s)
            if not news:
                await self._asking.pause(wait_s)
                wait_s = min(self.pace.longest_s, wait_s * self.pace.growth)
            else:
                wait_s = self.pace.first_s
        return moved

    async def _looked(self, parcel: Parcel, which: str, *, told: bool) -> bool:
        """Whether this parcel has come to an end."""
        if parcel.batch_id is None:
            return await self._searched(parcel, which, told=told)
        answer = await self._asking.told(lambda: self.server.batch(parcel.batch_id or ""), f"{which} ({parcel.batch_id})")
        if answer is None:
            return False
        remote = Remote.of(answer)
        if remote is None:
            raise ServiceDown(f"{which}: the service's answer about {parcel.batch_id} holds no batch")
        if remote.ended:
            return await self._taken_in(parcel, remote, which)
        if told:
            minutes = max(0.0, self.clock() - remote.created_at) / 60
            state = remote.status.replace("_", " ")
            self.tell(Notice(f"{which}: {state} since {minutes:.0f} min; counts are told at the end"))
        return False

    async def _searched(self, parcel: Parcel, which: str, *, told: bool) -> bool:
        """Looks for a parcel that may have arrived. Whether it is settled: it is ours, or it never came."""
        listed = await self._asking.listed(parcel)
        if listed is None:
            return False
        found = shapes.candidates(listed, parcel, self.memory.taken() | self._refuted)
        for remote in found:
            if not remote.ended:
                continue
            is_it = await self._is_it(remote, parcel)
            if is_it:
                await self._arrived(parcel, remote)
            if is_it is not False:
                return False  # it is collected by the next look; or it may be it, and nothing is sent again
            self._refuted.add(remote.batch_id)
        if any(remote.batch_id not in self._refuted for remote in found):
            if told:
                self.tell(Notice(f"{which}: one on the server may be it; it tells which requests it holds when it has ended"))
            return False
        if self.clock() < parcel.after + self.pace.settle_s:
            return False
        self.tell(Notice(f"{which} never came to the service: it is sent again"))
        self.deferred += parcel.requests
        await self._dropped(parcel)
        return True

    async def _dropped(self, parcel: Parcel) -> None:
        contents = self.memory.contents(parcel).items()
        await self.memory.dropped(parcel)
        self._given_back([Slip(position, ask, key, usd) for (position, ask), (key, filed, usd) in contents if not filed])

    async def _is_it(self, remote: Remote, parcel: Parcel) -> bool | None:
        """Whether an ended batch is this parcel, by the names of its requests; None: that cannot be told just now."""
        path = await self._fetched(remote, parcel, f"batch {remote.batch_id}")
        if path is None:
            return None
        with path.open("rb") as file:
            read_lines = (shapes.line(raw) for raw in file)
            first = next((told.custom_id for told in read_lines if told is not None), None)
        path.unlink()
        if first is None:
            return None
        name = shapes.named(first)
        return name is not None and name[3] == parcel.nonce

    async def _fetched(self, remote: Remote, parcel: Parcel, which: str) -> Path | None:
        """The results in a file; None where they are gone, or the run halts."""
        path = self.folder / f"results-{parcel.nonce}.jsonl"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if remote.archived or self.clock() > remote.created_at + shapes.RETENTION_S:
            return None
        told = await self._asking.told(lambda: self.server.results(remote.batch_id, path), f"the results of {which}")
        return None if told is None else path

    async def _taken_in(self, parcel: Parcel, remote: Remote, which: str) -> bool:
        contents = self.memory.contents(parcel)
        fates: Counter[str] = Counter()
        for _ in range(shapes.TRIES):
            path = await self._fetched(remote, parcel, which)
            if path is None:
                break
            fates += await self._filed(parcel, path, contents)
            path.unlink()
            if all(filed for _, filed, _ in contents.values()):
                break
            self.tell(Notice(f"{which}: its results end before all requests have one; they are fetched again"))
        if self.halt.is_set() and not all(filed for _, filed, _ in contents.values()):
            return False
        missing = sum(not filed for _, filed, _ in contents.values())
        if missing and (remote.archived or self.clock() > remote.created_at + shapes.RETENTION_S):
            self.tell(
                Notice(f"{which}: its results were kept for 29 days and are gone; {missing:,} requests may have been paid")
            )
        elif missing:
            self.tell(Notice(f"{which}: its results say nothing of {missing:,} requests, which may have been paid"))
        for key, filed, worst_usd in contents.values():
            if not filed:
                self._waiting.discard(_prefix(key))
                if worst_usd is not None:
                    self.purse.account.doubt(worst_usd)
        await self.memory.collected(parcel)
        self.purse.wake()
        said = ", ".join(f"{number:,} {fate}" for fate, number in fates.most_common())
        self.tell(Notice(f"{which} has ended: {said or 'nothing new'}"))
        return True

    async def _filed(
        self, parcel: Parcel, path: Path, contents: dict[tuple[int, int], tuple[bytes, bool, float | None]]
    ) -> Counter[str]:
        """Files every line of results that is not filed yet, raw; marks it in `contents`. How many had which fate."""
        fates: Counter[str] = Counter()
        seen: set[tuple[int, int]] = set()
        group: list[Filed] = []
        strange = twice = 0
        with path.open("rb") as file:
            for raw in file:
                told = shapes.line(raw)
                where = None if told is None else _where(told, parcel, contents)
                if told is None or where is None:
                    strange += 1
                    continue
                if where in seen:
                    twice += 1
                    continue
                seen.add(where)
                key, filed, worst_usd = contents[where]
                if filed:
                    continue
                contents[where] = key, True, worst_usd
                group.append(Filed(*where, key, told.fate, told.body))
                fates[told.fate] += 1
                if len(group) == GROUP:
                    await self._written(parcel, group, contents)
                    group = []
        if group:
            await self._written(parcel, group, contents)
        if strange or twice:
            self.tell(
                Notice(f"the results held {strange:,} lines that are none of ours or cut, and {twice:,} for a second time")
            )
        return fates

    async def _written(
        self, parcel: Parcel, group: list[Filed], contents: dict[tuple[int, int], tuple[bytes, bool, float | None]]
    ) -> None:
        replies = await self.memory.file(parcel, group, self.clock())
        for filed, reply in zip(group, replies, strict=True):
            self._waiting.discard(_prefix(filed.key))
            worst_usd = contents[filed.position, filed.ask][2]
            if reply is None:
                if worst_usd is not None:
                    self.purse.account.give_back(worst_usd)
            elif worst_usd is not None:
                self._settled(filed, reply, worst_usd)

    def _settled(self, filed: Filed, reply: int, worst_usd: float) -> None:
        if self.purse.account.limit_usd is None:  # nobody asks what is spent, and the reply is priced where it is judged
            self.purse.account.settle(worst_usd, 0.0)
            return
        told = read(filed.body, self.shape.form, request_id=None, latency_s=0.0, at=0.0, attempts=0)
        usd = self.purse.cost_usd(told) if isinstance(told, Reply) else None
        self.purse.account.settle(worst_usd, worst_usd if usd is None else usd)
        self.memory.priced(reply, usd)


def _prefix(key: bytes) -> int:
    return int.from_bytes(key[:8])


def _where(
    told: Line, parcel: Parcel, contents: dict[tuple[int, int], tuple[bytes, bool, float | None]]
) -> tuple[int, int] | None:
    """The ask of this parcel that a result names; None: it is not one of its."""
    named = shapes.named(told.custom_id)
    if named is None or named[3] != parcel.nonce or named[:2] not in contents:
        return None
    return named[:2] if contents[named[:2]][0].hex().startswith(named[2]) else None


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


def _status(error: bytes) -> int:
    """The status that an error of this type has outside of a batch."""
    try:
        told = orjson.loads(error)
        return STATUS_OF_TYPE.get(str(told["error"]["type"]), 500)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 500
