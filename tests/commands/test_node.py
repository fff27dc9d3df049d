"""A worker of a cluster, without the cluster: real requests to a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import orjson
import pytest

from pipeline.call.caller import Access, Broken, Response
from pipeline.call.client import Client
from pipeline.call.frames import Ask, Begin, Told, Unframing, framed
from pipeline.commands import node
from pipeline.commands.node import Node, facts
from tests.api import message, serving
from tests.jobs import KEY


def access(url: str, *, keyless: bool = False) -> Access:
    return Access(url, keyless, 5.0, 8, False, 21_333, "2026-10-21")


def begin(by: Access) -> bytes:
    return b"".join(framed(Begin(by)))


def asks(numbers: Sequence[int]) -> bytes:
    def body(number: int) -> bytes:
        return orjson.dumps(
            {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": f"{number}"}]}]}
        )

    return b"".join(piece for number in numbers for piece in framed(Ask(number, body(number))))


async def fetched(worker: Node, number: int) -> dict[int, Response | Broken]:
    found: dict[int, Response | Broken] = {}
    unframing = Unframing()
    while len(found) < number:
        for frame in unframing.fed(await worker.told(5.0)):
            assert isinstance(frame, Told)
            found[frame.number] = frame.result
    return found


def test_it_sends_what_it_is_given_with_the_key_of_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)

    async def run(url: str) -> dict[int, Response | Broken]:
        worker = Node()
        assert await worker.begin(begin(access(url))) == (facts(), None)
        await worker.take(asks([1, 2]))
        await worker.take(asks([3]))
        found = await fetched(worker, 3)
        assert await worker.told(0.0) == b"", "each is given once"
        await worker.close()
        return found

    with serving(lambda asked: message(f"about {asked.text}")) as api:
        found = asyncio.run(run(api.url))
    texts = {number: json.loads(one.body)["content"][0]["text"] for number, one in found.items() if isinstance(one, Response)}
    assert texts == {1: "about 1", 2: "about 2", 3: "about 3"}
    assert {asked.headers["authorization"] for asked in api.asked} == {f"Bearer {KEY}"}


def test_without_a_key_it_says_so_and_raises_nothing() -> None:
    said, refusal = asyncio.run(Node().begin(begin(access("https://127.0.0.1:9"))))
    assert said["account"] is None
    assert refusal == "no credentials: ANTHROPIC_API_KEY is not set"


def test_much_that_has_come_is_fetched_in_pieces_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "MOST_FETCHED", 1)

    async def run(url: str) -> None:
        worker = Node()
        await worker.begin(begin(access(url, keyless=True)))
        await worker.take(asks(range(5)))
        found: list[int] = []
        while len(found) < 5:
            frames = [*Unframing().fed(await worker.told(5.0))]
            assert len(frames) <= 1
            found += [frame.number for frame in frames if isinstance(frame, Told)]
        assert sorted(found) == [0, 1, 2, 3, 4]
        await worker.close()

    with serving(lambda asked: message("x")) as api:
        asyncio.run(run(api.url))


def test_a_bug_is_told_without_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Client, body: object) -> Response:
        raise LookupError(f"in {body}")

    async def run() -> Response | Broken:
        worker = Node()
        await worker.begin(begin(access("http://127.0.0.1:9", keyless=True)))
        monkeypatch.setattr(Client, "send", broken)
        await worker.take(asks([1]))
        found = await fetched(worker, 1)
        await worker.close()
        return found[1]

    assert asyncio.run(run()) == Broken(sent=True, error="the worker met a LookupError", latency_s=0.0)
