"""Several processes behind one Transport: shared work, deaths, and large bodies. The real worker is in test_sender.py."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson
import pytest

from pipeline.call.caller import Access, Broken, Response
from pipeline.call.crew import FRUITLESS, FULL, Crew
from pipeline.call.workers import UNHEARD, Workers
from pipeline.errors import WorkersLost
from pipeline.events import Event, Notice
from tests.processes import children

ACCESS = Access("http://127.0.0.1:1", True, 5.0, 64, False, 21_333, "2026-10-21")
NAME = "tests.call.worker"
COMMAND = (sys.executable, "-m", NAME)
LARGE = "x" * (4 << 20)
"""More than a socket takes at once."""


class Own:
    """A Transport that is asked only for what cannot be put into a frame."""

    @property
    def ready(self) -> bool:
        return True

    async def send(self, body: Mapping[str, object]) -> Response | Broken:
        return Broken(False, "UnicodeEncodeError", 0.0, unsendable=True)

    async def close(self) -> None:
        raise AssertionError("it is not the workers' to close")


class Room:
    """Workers with what they were heard to say."""

    def __init__(self, most: int, command: Sequence[str]) -> None:
        """With `most` 0 two are wanted when this process is busy."""
        self.said: list[str] = []
        self.cpu_s = self.clock_s = 0.0
        self.crew = Crew(most)
        self.beats: asyncio.Queue[None] = asyncio.Queue()
        self.workers = Workers(
            self.crew,
            ACCESS,
            Own(),
            self.tell,
            when_busy=0 if most else 2,
            command=command,
            sleep=self.sleep,
            cpu_s=lambda: self.cpu_s,
            clock_s=lambda: self.clock_s or time.monotonic(),
        )

    async def sleep(self, _: float) -> None:
        await self.beats.get()

    async def beat(self) -> None:
        """Lets the workers be called once."""
        self.beats.put_nowait(None)
        await until(self.beats.empty)
        await asyncio.sleep(0)

    def tell(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.said.append(event.text)

    def out(self, do: str, **more: object) -> asyncio.Task[Response | Broken]:
        return asyncio.create_task(self.workers.send({"do": do, **more}))

    async def ask(self, do: str = "answer", **more: object) -> Response | Broken:
        return await self.workers.send({"do": do, **more})

    async def pid(self) -> int:
        """Of the worker that has least to do."""
        response = await self.ask()
        assert isinstance(response, Response)
        return int(response.headers["request-id"])


async def until(claim: Callable[[], bool]) -> None:
    for _ in iter(claim, True):
        await asyncio.sleep(0)


def within(act: Callable[[Room], Awaitable[None]], most: int = 1, command: Sequence[str] = COMMAND) -> Room:
    async def run() -> Room:
        room = Room(most, command)
        try:
            async with asyncio.timeout(60):
                await act(room)
        finally:
            await room.workers.close()
        return room

    return asyncio.run(run())


def test_a_request_comes_back_as_the_worker_brought_it() -> None:
    async def act(room: Room) -> None:
        got = await room.ask("answer", text="ä")
        assert isinstance(got, Response)
        assert (got.status, got.body, got.latency_s) == (200, '{"do":"answer","text":"ä"}'.encode(), 0.5)

    assert within(act).said == []


def test_work_beyond_what_one_has_plenty_of_goes_to_another() -> None:
    async def act(room: Room) -> None:
        pids = {await room.pid()}
        kept = [room.out("keep") for _ in range(FULL)]
        while len(pids) < 2:  # the second is started with the next request, and takes it when it is there
            pids.add(await room.pid())
        for task in kept:
            task.cancel()

    within(act, most=2)


def test_a_worker_that_is_killed_leaves_doubts_and_another_does_the_rest() -> None:
    async def act(room: Room) -> None:
        first = await room.pid()
        kept = [room.out("keep") for _ in range(3)]
        lost = await room.ask("die")
        for broken in [lost, *await asyncio.gather(*kept)]:
            assert isinstance(broken, Broken)
            assert (broken.sent, broken.ours, broken.stop) == (True, True, None)
            assert "killed by SIGKILL" in broken.error
            assert broken.latency_s > 0
        assert await room.pid() != first

    (said,) = within(act).said
    assert said.startswith("a worker ended (killed by SIGKILL; if nobody did that, memory ran out): 4 requests")


def test_what_was_not_given_to_it_yet_is_sent_by_the_next() -> None:
    """A worker that reads nothing more: its socket is soon full, and what comes then waits on this side."""

    async def act(room: Room) -> None:
        pid = await room.pid()
        hung = room.out("hang")
        given = [room.out("answer", text=LARGE) for _ in range(3)]
        await until(lambda: not room.crew.members[0].ready)
        for _ in range(1000):  # the loop is free meanwhile
            await asyncio.sleep(0)
        assert not any(task.done() for task in given)
        os.kill(pid, 9)
        results = await asyncio.gather(hung, *given)
        assert [isinstance(one, Broken) for one in results] == [True, True, False, False]
        sizes = [len(one.body) for one in results if isinstance(one, Response)]
        assert sizes == [len(orjson.dumps({"do": "answer", "text": LARGE}))] * 2

    within(act)


def test_workers_that_end_before_they_do_anything_are_soon_given_up() -> None:
    async def act(room: Room) -> None:
        for broken in await asyncio.gather(*(room.ask() for _ in range(5))):
            assert isinstance(broken, Broken)
            assert (broken.sent, broken.ours, broken.stop) == (False, True, WorkersLost)
            assert broken.error.endswith("the last one so: exit code 1: no such thing as a client")

    said = within(act, command=(*COMMAND, "useless")).said
    assert len(said) == FRUITLESS
    assert said[-1].endswith(f"{FRUITLESS} have ended one after the other without a reply")


def test_workers_that_cannot_be_started_are_given_up_with_the_reason() -> None:
    async def act(room: Room) -> None:
        broken = await room.ask()
        assert isinstance(broken, Broken)
        assert broken.stop is WorkersLost
        assert "could not be started: [Errno 2] No such file or directory" in broken.error

    within(act, command=("/nowhere/python",))


def test_whatever_keeps_a_worker_from_starting_nobody_waits_for_ever() -> None:
    async def act(room: Room) -> None:
        ends = await asyncio.wait_for(asyncio.gather(*[room.ask() for _ in range(3)]), 10)
        assert [(end.sent, end.stop) for end in ends if isinstance(end, Broken)] == [(False, WorkersLost)] * 3

    room = within(act, command=("a\0b",))
    assert "embedded null byte" in room.said[0]


def test_one_that_says_what_is_no_frame_is_killed() -> None:
    async def act(room: Room) -> None:
        broken = await room.ask("babble")
        assert isinstance(broken, Broken)
        assert broken.sent
        await room.pid()

    assert len(within(act).said) == 1


def test_one_that_hangs_is_killed_and_one_that_only_waits_is_not() -> None:
    async def act(room: Room) -> None:
        pid = await room.pid()
        waiting = room.out("keep")
        for _ in range(3 * UNHEARD):
            await room.beat()
            assert await room.pid() == pid  # it has heard that it was called
        hanging = room.out("hang")
        for _ in range(UNHEARD):
            await room.beat()
        assert not hanging.done()
        await room.beat()
        for broken in await asyncio.gather(waiting, hanging):
            assert isinstance(broken, Broken)
            assert (broken.sent, broken.ours) == (True, True)

    assert len(within(act).said) == 1


def test_where_they_are_wanted_only_when_the_run_is_busy_it_sends_itself_until_then() -> None:
    async def act(room: Room) -> None:
        for clock_s, cpu_s in ((10.0, 3.0), (20.0, 9.0), (30.0, 16.5)):
            assert isinstance(await room.ask(), Broken), "that is what Own answers"
            room.clock_s, room.cpu_s = clock_s, cpu_s
            await room.beat()
        assert room.workers.ready
        assert isinstance(await room.ask(), Broken), "it goes on while the first is being started"
        await until(lambda: room.crew.ready)
        await room.pid()

    (said,) = within(act, most=0).said
    assert said == "this process is what the run waits for: up to 2 workers send from now on"


def test_it_is_ready_when_one_of_them_is() -> None:
    async def act(room: Room) -> None:
        assert not room.workers.ready
        waiting = room.out("answer")
        await asyncio.sleep(0)
        assert not room.workers.ready
        await waiting
        assert room.workers.ready

    within(act)


def test_what_no_frame_can_hold_goes_by_the_client_of_the_run() -> None:
    async def act(room: Room) -> None:
        for body in ({"do": "half \ud83d"}, {"do": 1 << 70}):
            got = await room.workers.send(body)
            assert isinstance(got, Broken)
            assert got.unsendable

    within(act)


def test_who_waits_no_more_costs_the_others_nothing() -> None:
    async def act(room: Room) -> None:
        gone = room.out("answer")
        await asyncio.sleep(0)
        gone.cancel()
        await room.pid()

    assert within(act).said == []


@pytest.mark.parametrize("ready", [True, False], ids=["at work", "still starting"])
def test_when_it_closes_no_worker_is_left(ready: bool) -> None:
    async def act(room: Room) -> None:
        if ready:
            await room.pid()
        waiting = room.out("keep")
        await until(lambda: bool(children(os.getpid(), NAME)))
        await room.workers.close()
        assert isinstance(await waiting, Broken)
        assert children(os.getpid(), NAME) == []

    assert within(act).said == []
