"""The HTTP side with a model of our own making behind it: what becomes of a reply that breaks off, or is not wanted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.types import Message

from pipeline.local.app import app
from pipeline.local.broken import Connections
from pipeline.local.errors import ApiError
from pipeline.local.model import Card
from pipeline.local.question import Question
from pipeline.local.rehearsal import OWN_RULES
from pipeline.local.reply import Began, Ended, Part, Piece
from pipeline.local.script import Script
from pipeline.local.stage import Stage

BODY: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}


@dataclass
class Scripted:
    """A Model that says what it is told to; an exception among the parts is raised."""

    parts: list[Part | Exception]
    name: str = "scripted"
    computes: bool = True
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    waits: bool = False
    """Whether it waits for ever after the first part."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def card(self, requested: str) -> Card:
        return Card(requested, "Scripted", OWN_RULES, sees=False)

    def cards(self) -> list[Card]:
        return [self.card(self.name)]

    async def count(self, _: Question) -> int:
        return 1

    async def reply(self, _: Question) -> AsyncGenerator[Part]:
        try:
            for part in self.parts:
                if isinstance(part, Exception):
                    raise part
                yield part
                self.begun.set()
                if self.waits:
                    await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def close(self) -> None:
        """Nothing is held."""


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


def stage() -> Stage:
    """Without limits and faults, at a time that stands still."""
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    return Stage(Script(), seed=0, price=lambda *_: None, clock=lambda: 0.0, wall=lambda: moment)


async def call(
    model: Scripted,
    body: dict[str, Any] = BODY,
    *,
    left: Callable[[], Awaitable[object]] | None = None,
    headers: dict[str, str] | None = None,
) -> Answered:
    """One POST /v1/messages to the application itself. The client is gone once `left` returns."""
    sent: list[Message] = []
    said = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> Message:
        if said:
            return said.pop()
        await (left() if left else asyncio.Event().wait())
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"host": "127.0.0.1:80", "x_api_key": "k", "anthropic_version": "2026-10-21", **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/messages",
        "raw_path": b"/v1/messages",
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
    }
    with suppress(ZeroDivisionError):  # a bug is answered, then passed on to whoever keeps the log
        await app(model, stage(), Connections())(scope, receive, send)
    start = sent[0]
    return Answered(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


def test_a_refusal_before_the_reply_begins_is_a_status_in_a_stream_too() -> None:
    for body in (BODY, {**BODY, "stream": True}):
        answered = asyncio.run(call(Scripted([ApiError(529, "Overloaded")]), body))
        assert answered.status == 529
        error = json.loads(answered.body)
        assert error["error"] == {"type": "overloaded_error", "message": "Overloaded"}
        assert error["request_id"] == answered.headers["request-id"]


def test_an_error_can_bring_headers() -> None:
    answered = asyncio.run(call(Scripted([ApiError(429, "Wait", headers={"retry-after": "12"})])))
    assert (answered.status, answered.headers["retry-after"]) == (429, "12")


def test_a_stream_that_breaks_off_ends_in_an_error_event() -> None:
    model = Scripted([Began(1), Piece("He"), ApiError(529, "Overloaded")])
    answered = asyncio.run(call(model, {**BODY, "stream": True}))
    assert answered.status == 200
    last = answered.body.decode().strip().split("\n\n")[-1].splitlines()
    assert last[0] == "event: error"
    assert json.loads(last[1].removeprefix("data: ")) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": answered.headers["request-id"],
    }


def test_a_bug_is_a_500_that_tells_nothing() -> None:
    model = Scripted([Began(1), ZeroDivisionError("secret")])
    answered = asyncio.run(call(model))
    assert answered.status == 500
    assert json.loads(answered.body)["error"] == {"type": "api_error", "message": "Internal server error"}
    assert model.closed.is_set()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_reply(stream: bool) -> None:
    async def leave() -> None:
        model = Scripted([Began(1), Piece("He"), Ended("end_turn", 1)], waits=True)
        await call(model, {**BODY, "stream": stream}, left=model.begun.wait)
        await asyncio.wait_for(model.closed.wait(), timeout=10)

    asyncio.run(leave())


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "LOCALHOST:8080", "[::1]:80", "127.0.0.1"])
def test_a_loopback_host_comes_in(host: str) -> None:
    assert asyncio.run(call(Scripted([Began(1), Ended("end_turn", 1)]), headers={"host": host})).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "", "10.0.0.1", "[::2]:80"])
def test_another_host_does_not(host: str) -> None:
    assert asyncio.run(call(Scripted([]), headers={"host": host})).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x_api_key": "k"}, 200),
        ({"x_api_key": "", "authorization": "Bearer k"}, 200),
        ({"x_api_key": "", "authorization": "bearer k"}, 200),
        ({"x_api_key": " "}, 401),
        ({"x_api_key": "", "authorization": "Bearer "}, 401),
        ({"x_api_key": "", "authorization": "Basic k"}, 401),
    ],
)
def test_any_key_comes_in_and_none_does_not(headers: dict[str, str], status: int) -> None:
    assert asyncio.run(call(Scripted([Began(1), Ended("end_turn", 1)]), headers=headers)).status == status
