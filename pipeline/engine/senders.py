"""A Transport whose requests are sent by others, on other machines: Ray's actors, for example.

The run stays one: rows, journal, limits, budget and answers are here; there is nothing but `client.send`. A call to another
machine costs 0.6 ms of CPU on either side whatever it holds (Ray 2.60, measured 2026-11), more than the request itself: what
is to be sent and what has come back travel together, as much as there is every `GATHER_S`.

Whoever ends takes its requests with it: they may have been sent, and are judged like those of a lost connection. What had not
been passed on to it yet goes to another one, and nobody hears of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.call.caller import Broken, Response, Transport
from pipeline.call.crew import Crew, Member, lost_with_it, nobody_left
from pipeline.call.frames import Ask, NoFrame, Told, Unframing, encoded, framed
from pipeline.errors import ComeBackLater, PipelineError
from pipeline.events import Listener, Notice

GATHER_S = 0.01
"""Replies take a hundred times as long, and at 500 requests a second five share one call."""
MOST_PASSED_ON = 4 << 20
"""Bytes of one call."""
WAIT_S = 10.0
"""How long a worker waits for news before it says that there is none: that it is there."""
SILENT_S = 60.0
"""Without any word for so long a worker counts as lost. Ray itself finds a machine that is gone within half a minute."""
PATIENT_S = 15.0
"""After so long without a place a person is told."""
CLOSE_S = 5.0


class Gone(Exception):
    """The worker has ended or cannot be reached, in a few words."""


class Unfit(Exception):
    """The worker is there and cannot be used; what the run ends with."""

    def __init__(self, error: PipelineError) -> None:
        super().__init__(error.message)
        self.error = error


class Link(Protocol):
    """The way to one worker. All but `kill` raise Gone."""

    async def begin(self) -> None:
        """Returns when it takes requests. Waits for its place as long as that takes. Raises Unfit."""

    async def take(self, frames: bytes) -> None:
        """Passes on whole Ask frames; returns when they have arrived."""

    async def told(self, wait_s: float) -> bytes:
        """Told frames of what has come back since the last time; empty when nothing did for so long."""

    async def close(self) -> None:
        """What waits in `told` returns."""

    def kill(self) -> None:
        """It ends, if it has not; sends nothing more."""


@dataclass(slots=True, eq=False)
class _Asked:
    ask: Ask
    result: asyncio.Future[Response | Broken]
    at: float
    """Loop time at which it was given to us."""


@dataclass(slots=True, eq=False)
class _Place:
    """A member of the crew, the way to it, and what it has."""

    member: Member
    link: Link
    next: deque[_Asked] = field(default_factory=deque)
    """To be passed on to it."""
    has: dict[int, _Asked] = field(default_factory=dict)
    """What was passed on to it, or just is, by number."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Senders:
    """Made inside the event loop that uses it; closed by `close`."""

    def __init__(self, crew: Crew, start: Callable[[], Link], own: Transport, tell: Listener, longest_wait_s: float) -> None:
        """`start` begins to make one more worker, and returns at once, or raises Gone; no place is waited for longer than
        `longest_wait_s`.
        `own` sends what cannot be put into a frame; it is not closed here."""
        self._crew = crew
        self._start = start
        self._own = own
        self._tell = tell
        self._longest_wait_s = longest_wait_s
        self._waiting: deque[_Asked] = deque()
        """What nobody has yet, since nobody is ready."""
        self._places: dict[Member, _Place] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._number = 0
        self._open = 0
        """Requests that somebody waits for."""
        self._closing = False
        self._end: Broken | None = None
        """What becomes of all that is still asked."""

    @property
    def ready(self) -> bool:
        return self._end is not None or self._crew.ready

    async def send(self, body: Mapping[str, object]) -> Response | Broken:
        content = encoded(body)
        if content is None:
            return await self._own.send(body)
        loop = asyncio.get_running_loop()
        self._number += 1
        asked = _Asked(Ask(self._number, content), loop.create_future(), loop.time())
        self._waiting.append(asked)
        self._open += 1
        try:
            self._share()
            return await asked.result
        finally:
            self._open -= 1

    async def close(self) -> None:
        """Ends all workers; what they still have is given up."""
        self._closing = True
        await asyncio.gather(*(_closed(place.link) for place in self._places.values() if place.member.ready))
        for place in self._places.values():
            place.link.kill()
        serving = [*self._serving]
        if serving:  # calls that are cancelled would be missed by Ray, which says so at length
            await asyncio.wait(serving, timeout=CLOSE_S)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def _share(self) -> None:
        """Gives what waits to the least loaded, and has more of them started where that is worth it."""
        if self._closing:
            return
        while self._waiting and self._end is None and (new := self._crew.join(self._open)) is not None:
            try:
                place = self._places[new] = _Place(new, self._start())
            except Gone as gone:
                self._tell(Notice(self._crew.lost(new, str(gone))))
                if self._crew.over:
                    self._end = nobody_left(str(gone))
                continue
            task = asyncio.create_task(self._serve(place))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        while self._waiting:
            if self._end is not None:
                self._settle(self._waiting.popleft(), self._end)
                continue
            if (member := self._crew.least()) is None:
                return
            asked = self._waiting.popleft()
            if asked.result.done():  # nobody waits for it any more
                continue
            self._crew.took(member)
            place = self._places[member]
            place.next.append(asked)
            place.wake.set()

    async def _serve(self, place: _Place) -> None:
        """A worker from its start to its end."""
        try:
            if not await self._began(place):
                return
            place.member.ready = True
            self._share()
            await _either(self._pass_on(place), self._fetch(place))
        except Unfit as unfit:
            self._drop(place)
            self._ends(Broken(False, str(unfit), 0.0, ours=True, stop=type(unfit.error)))
        except (Gone, NoFrame) as gone:
            self._lost(place, str(gone))
        except TimeoutError:
            self._lost(place, f"without a word for {SILENT_S:.0f} s")
        except Exception as error:  # noqa: BLE001 a bug of ours: whoever asks gets it, else all would wait for ever
            self._drop(place)
            for asked in (*place.has.values(), *place.next, *self._waiting):
                if not asked.result.done():
                    asked.result.set_exception(error)

    async def _began(self, place: _Place) -> bool:
        """Whether it takes requests. False: there was no place for it."""
        beginning = asyncio.ensure_future(place.link.begin())
        patient_s = min(PATIENT_S, self._longest_wait_s)
        try:
            if not (await asyncio.wait([beginning], timeout=patient_s))[0]:
                self._tell(Notice("a worker waits for its place in the cluster; `ray status` shows what is free"))
                await asyncio.wait([beginning], timeout=self._longest_wait_s - patient_s)
            if beginning.done():
                await beginning
                return True
        finally:
            beginning.cancel()
        self._drop(place)
        words = f"the cluster had no place for a worker for {self._longest_wait_s:.0f} s (run.longest_wait_s)"
        if self._crew.least() is None:
            self._ends(Broken(False, words, 0.0, ours=True, stop=ComeBackLater))
        else:
            self._crew.most = len(self._crew.members)
            self._tell(Notice(f"{words}; those that are there go on"))
        return False

    async def _pass_on(self, place: _Place) -> None:
        while True:
            await place.wake.wait()
            place.wake.clear()
            while place.next:
                frames: list[bytes] = []
                size = 0
                while place.next and size < MOST_PASSED_ON:
                    asked = place.next.popleft()
                    place.has[asked.ask.number] = asked
                    frames += framed(asked.ask)
                    size += len(asked.ask.body)
                async with asyncio.timeout(SILENT_S):
                    await place.link.take(b"".join(frames))
                await asyncio.sleep(GATHER_S)

    async def _fetch(self, place: _Place) -> None:
        unframing = Unframing()
        while not self._closing:
            async with asyncio.timeout(WAIT_S + SILENT_S):
                told = await place.link.told(WAIT_S)
            for frame in unframing.fed(told):
                if not isinstance(frame, Told):
                    raise NoFrame(f"a {type(frame).__name__} from a worker")
                asked = place.has.pop(frame.number, None)
                if asked is not None:
                    self._crew.gave(place.member)
                    self._settle(asked, frame.result)
            if told:
                await asyncio.sleep(GATHER_S)

    def _lost(self, place: _Place, how: str) -> None:
        now = asyncio.get_running_loop().time()
        place.member.out -= len(place.next)
        self._waiting.extendleft(reversed(place.next))  # never passed on: it goes first, to another one
        text = self._crew.lost(place.member, how)
        if not self._closing:
            self._tell(Notice(text))
        self._drop(place)
        for asked in place.has.values():
            self._settle(asked, lost_with_it(how, now - asked.at))
        if self._crew.over:
            self._ends(nobody_left(how))
        self._share()

    def _ends(self, end: Broken) -> None:
        """Nothing more can be sent. Those that are at work go on with what they have."""
        self._end = self._end or end
        self._share()

    def _drop(self, place: _Place) -> None:
        del self._places[place.member]
        if place.member in self._crew.members:
            self._crew.members.remove(place.member)
        place.link.kill()

    def _settle(self, asked: _Asked, result: Response | Broken) -> None:
        if not asked.result.done():
            asked.result.set_result(result)


async def _either(*coroutines: Coroutine[object, object, None]) -> None:
    """Runs them together until one ends, and raises what it raised."""
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _closed(link: Link) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await link.close()
    except (Gone, TimeoutError):
        pass
