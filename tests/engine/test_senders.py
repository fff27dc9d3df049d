"""Several workers elsewhere behind one Transport: what they are given, and what becomes of it when one of them ends.

Ray itself is in test_ray_engine.py; here the way to a worker is a small class of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any

import orjson
import pytest

from pipeline.call.caller import Broken, Response
from pipeline.call.crew import FRUITLESS, FULL, Crew
from pipeline.call.frames import Ask, Call, Told, Unframing, framed
from pipeline.engine import senders
from pipeline.engine.senders import Gone, Senders, Unfit
from pipeline.errors import ComeBackLater, ConfigInvalid, WorkersLost
from pipeline.events import Event, Notice


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


class Far:
    """A worker and the way to it. It answers what it is asked with the number in the body, but `keep` stays where it is."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.calls = 0
        """In which something was passed on to it."""
        self.begins: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """What `told` comes to in place of replies: Gone, mostly."""
        self.closed = self.killed = False
        self._unframing = Unframing()
        self._done: list[bytes] = []
        self._news = asyncio.Event()

    async def begin(self) -> None:
        await self.begins

    async def take(self, frames: bytes) -> None:
        self.calls += 1
        await asyncio.sleep(0)
        if self.ends.done():
            await self.ends
        for frame in self._unframing.fed(frames):
            assert isinstance(frame, Ask)
            body = orjson.loads(frame.body)
            self.asked.append(body)
            if body.get("do") != "keep":
                result = Response(200, {}, str(body["number"]).encode(), 0.1)
                self._done.append(b"".join(framed(Told(frame.number, result))))
                self._news.set()

    async def told(self, wait_s: float) -> bytes:
        news: asyncio.Future[object] = asyncio.ensure_future(self._news.wait())
        ends: asyncio.Future[object] = asyncio.shield(self.ends)
        try:
            await asyncio.wait([news, ends], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            ends.cancel()
        if self.ends.done():
            return await self.ends
        self._news.clear()
        told, self._done = b"".join(self._done), []
        return told

    async def close(self) -> None:
        self.closed = True
        self._news.set()

    def kill(self) -> None:
        self.killed = True
        for waiting in (self.begins, self.ends):
            if not waiting.done():
                waiting.set_exception(Gone("it was killed"))
                waiting.exception()  # whether or not somebody waits for it

    def die(self, how: str = "its process has died") -> None:
        self.ends.set_exception(Gone(how))


class Own:
    """A Transport that is asked only for what cannot be put into a frame."""

    @property
    def ready(self) -> bool:
        return True

    async def send(self, body: Mapping[str, object]) -> Response | Broken:
        return Broken(False, "UnicodeEncodeError", 0.0, unsendable=True)

    async def close(self) -> None:
        raise AssertionError("it is not closed there")


class Room:
    """Senders with what they were heard to say."""

    def __init__(self, most: int, *, ready: bool = True, longest_wait_s: float = 900.0) -> None:
        self.said: list[str] = []
        self.far: list[Far] = []
        self.ready = ready
        self.crew = Crew(most)
        self.senders = Senders(self.crew, self.start, Own(), self.tell, longest_wait_s)

    def start(self) -> Far:
        far = Far()
        if self.ready:
            far.begins.set_result(None)
        self.far.append(far)
        return far

    def tell(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.said.append(event.text)

    def out(self, number: int, do: str = "answer") -> asyncio.Task[Response | Broken]:
        return asyncio.create_task(self.senders.send({"number": number, "do": do}))

    async def close(self) -> None:
        await self.senders.close()
        assert all(far.killed for far in self.far)
        assert len(asyncio.all_tasks()) == 1, "nothing is left running"


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 what is waited for happens in this loop
            await asyncio.sleep(0)


def lost(result: Response | Broken) -> tuple[bool, bool, str]:
    assert isinstance(result, Broken)
    return result.sent, result.ours, result.error


@in_a_loop
async def test_each_reply_comes_to_whoever_asked_and_many_share_a_call() -> None:
    room = Room(3)
    await asyncio.gather(*(room.out(0) for _ in range(3 * FULL)))
    for far in room.far:
        far.asked, far.calls = [], 0
    results = await asyncio.gather(*(room.out(number) for number in range(300)))
    assert [result.body for result in results if isinstance(result, Response)] == [b"%d" % number for number in range(300)]
    assert [len(far.asked) for far in room.far] == [100, 100, 100]
    assert sum(far.calls for far in room.far) < 30
    await room.close()
    assert [far.closed for far in room.far] == [True, True, True]


@in_a_loop
async def test_nobody_is_started_before_there_is_work_and_no_more_than_there_is_work_for() -> None:
    room = Room(3)
    assert room.far == []
    await room.out(1)
    assert len(room.far) == 1
    await asyncio.gather(*(room.out(number) for number in range(FULL + 1)))
    assert len(room.far) == 2
    await room.close()


@in_a_loop
async def test_what_one_had_when_it_ended_may_be_paid_and_another_takes_its_place() -> None:
    room = Room(1)
    kept = [room.out(number, "keep") for number in range(3)]
    await until(lambda: room.far and len(room.far[0].asked) == 3)
    room.far[0].die()
    error = "the worker that sent it ended (its process has died)"
    assert [lost(await one) for one in kept] == [(True, True, error)] * 3
    assert (await room.out(7)) == Response(200, {}, b"7", 0.1)
    assert [far.killed for far in room.far] == [True, False]
    assert room.said == [
        "a worker ended (its process has died): 3 requests that it had may have been paid; others go on with its work"
    ]
    await room.close()


@in_a_loop
async def test_what_was_not_passed_on_yet_goes_to_another_and_nobody_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "GATHER_S", 3600.0)  # the second call of a worker never comes
    room = Room(1)
    first = room.out(1, "keep")
    await until(lambda: room.far and room.far[0].asked)
    second = room.out(2)
    await until(lambda: room.crew.members[0].out == 2)
    room.far[0].die()
    assert lost(await first)[0]
    assert (await second) == Response(200, {}, b"2", 0.1)
    assert [body["number"] for body in room.far[0].asked] == [1]
    assert "1 requests that it had" in room.said[0]
    await room.close()


@in_a_loop
async def test_one_that_ends_while_it_is_passed_something_may_have_got_it() -> None:
    room = Room(1)
    asked = room.out(1)
    await until(lambda: room.far and room.far[0].calls == 1)
    room.far[0].die()
    assert lost(await asked)[:2] == (True, True)
    await room.close()


@in_a_loop
async def test_one_after_the_other_that_ends_before_it_begins_is_the_end() -> None:
    room = Room(1, ready=False)
    asked = room.out(1)
    for number in range(FRUITLESS):
        while len(room.far) == number:  # noqa: ASYNC110
            await asyncio.sleep(0)
        room.far[-1].begins.set_exception(Gone("its node has died"))
    result = await asked
    assert isinstance(result, Broken)
    assert (result.sent, result.ours, result.stop) == (False, True, WorkersLost)
    assert (await room.out(2)) == result
    assert len(room.far) == FRUITLESS
    await room.close()


@in_a_loop
async def test_where_none_can_be_made_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: Room) -> Far:
        raise Gone("the head is gone")

    monkeypatch.setattr(Room, "start", start)
    room = Room(2)
    result = await room.out(1)
    assert isinstance(result, Broken)
    assert (result.sent, result.stop) == (False, WorkersLost)
    assert len(room.said) == FRUITLESS
    await room.close()


@in_a_loop
async def test_one_that_is_not_fit_ends_the_run_before_anything_is_sent() -> None:
    room = Room(1, ready=False)
    asked = room.out(1)
    await until(lambda: room.far)
    room.far[0].begins.set_exception(Unfit(ConfigInvalid("another version")))
    result = await asked
    assert isinstance(result, Broken)
    assert (result.sent, result.ours, result.stop, result.error) == (False, True, ConfigInvalid, "another version")
    await room.close()


@in_a_loop
async def test_without_a_place_for_the_first_the_run_ends_and_can_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "PATIENT_S", 0.01)
    room = Room(1, ready=False, longest_wait_s=0.02)
    result = await room.out(1)
    assert isinstance(result, Broken)
    assert (result.sent, result.stop) == (False, ComeBackLater)
    assert "no place for a worker" in result.error
    assert room.said == ["a worker waits for its place in the cluster; `ray status` shows what is free"]
    await room.close()


@in_a_loop
async def test_without_a_place_for_another_those_that_are_there_go_on() -> None:
    room = Room(2, longest_wait_s=0.02)
    await room.out(0)
    room.ready = False
    many = [room.out(number) for number in range(FULL + 1)]
    assert all(isinstance(result, Response) for result in await asyncio.gather(*many))
    assert len(room.far) == 2
    await until(lambda: len(room.said) == 2)
    assert room.said[1].endswith("those that are there go on")
    await asyncio.gather(*(room.out(number) for number in range(2 * FULL)))
    assert len(room.far) == 2, "no other one is started"
    await room.close()


@in_a_loop
async def test_one_without_a_word_counts_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "SILENT_S", 0.01)
    monkeypatch.setattr(senders, "WAIT_S", 0.01)
    room = Room(1)
    monkeypatch.setattr(Far, "told", lambda self, wait_s: asyncio.sleep(3600))
    sent, ours, error = lost(await room.out(1))
    assert (sent, ours) == (True, True)
    assert "without a word" in error
    await room.close()


@pytest.mark.parametrize("nonsense", [b"Traceback (most recent call last): and so on", b"".join(framed(Call()))])
@in_a_loop
async def test_one_that_talks_nonsense_counts_as_lost(nonsense: bytes) -> None:
    room = Room(1)
    asked = room.out(1, "keep")
    await until(lambda: room.far and room.far[0].asked)
    room.far[0].ends.set_result(nonsense)
    assert lost(await asked)[:2] == (True, True)
    await room.close()


@in_a_loop
async def test_a_reply_that_nobody_asked_for_is_nobodys() -> None:
    room = Room(1)
    await room.out(1)
    stray = b"".join(framed(Told(999, Response(200, {}, b"x", 0.1))))
    room.far[0]._done.append(stray)
    assert (await room.out(2)) == Response(200, {}, b"2", 0.1)
    assert room.crew.members[0].out == 0
    await room.close()


@in_a_loop
async def test_a_bug_reaches_whoever_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(1)

    async def broken(self: Far, frames: bytes) -> None:
        raise LookupError("mine")

    monkeypatch.setattr(Far, "take", broken)
    with pytest.raises(LookupError, match="mine"):
        await room.out(1)
    await room.close()


@in_a_loop
async def test_what_cannot_be_put_into_a_frame_is_sent_from_here() -> None:
    room = Room(1)
    result = await room.senders.send({"text": "half \ud83d"})
    assert isinstance(result, Broken)
    assert result.unsendable
    assert room.far == []


@in_a_loop
async def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    room = Room(1, ready=False)
    given_up, wanted = room.out(1), room.out(2)
    await until(lambda: room.far)
    given_up.cancel()
    await asyncio.sleep(0)
    room.far[0].begins.set_result(None)
    assert (await wanted) == Response(200, {}, b"2", 0.1)
    assert [body["number"] for body in room.far[0].asked] == [2]
    await room.close()
