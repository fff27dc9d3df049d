"""A Messages API on loopback that remembers every request it took money for: the oracle of the campaigns.

A request is charged when it has come in whole, before anything is answered: whoever goes away after that has paid, as with the
real API at its worst. What a document holds in brackets decides how the request about it goes, so that one corpus gives the
same ledger every time.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.jobs import answer

OVERLOADED = "[overloaded]"
"""Refused with 529 the first time: not charged."""
CUT = "[cut]"
"""Charged the first time, and the connection is reset instead of an answer."""
WRONG = "[wrong]"
"""The first ask brings an answer that the schema refuses, so that the row is asked again."""
FENCED = "[fenced]"
"""The answer stands in a code fence and is mended."""

INPUT_TOKENS = 10
OUTPUT_TOKENS = 5
"""Of every reply, unless the ledger is told otherwise."""


@dataclass(frozen=True, slots=True)
class Charge:
    text: str
    """The document."""
    ask: int
    """1 for the first question about it."""
    cut: bool
    """The reply never left."""

    @property
    def asked(self) -> tuple[str, int]:
        return self.text, self.ask


class Ledger:
    """What was charged, in order; the message id of a reply is the number of its charge."""

    def __init__(self, latency_s: float, seed: int, usage: tuple[int, int]) -> None:
        self.charges: list[Charge] = []
        self.requests = 0
        self.times: list[float] = []
        """When each request came in, on a clock of its own."""
        self.url = ""
        self._latency_s = latency_s
        self._seed = seed
        self.usage = usage
        self._seen: Counter[tuple[str, int]] = Counter()
        self._alarm: tuple[int, float, Callable[[], None]] | None = None
        self._loop = asyncio.new_event_loop()
        self._doors = asyncio.Event()
        self._doors.set()

    # For the test's thread ----------------------------------------------------------------------------------------------

    def alarm(self, requests: int, delay_s: float, act: Callable[[], None]) -> None:
        """Calls `act`, from the server's thread, `delay_s` after so many more requests have come in."""
        self._alarm = (self.requests + requests, delay_s, act)

    def hold(self) -> None:
        """From now on requests are taken and charged, but not answered before `release`."""
        self._loop.call_soon_threadsafe(self._doors.clear)

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self._doors.set)

    def charged(self) -> Counter[tuple[str, int]]:
        """(document, ask) → how often it was paid for."""
        return Counter(charge.asked for charge in self.charges)

    def cut(self) -> Counter[tuple[str, int]]:
        return Counter(charge.asked for charge in self.charges if charge.cut)

    # The server's thread ------------------------------------------------------------------------------------------------

    async def post(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        asked = _text(body["messages"][0]), sum(turn["role"] == "user" for turn in body["messages"])
        self.requests += 1
        self.times.append(self._loop.time())
        number = self.requests
        self._seen[asked] += 1
        first = self._seen[asked] == 1
        self._ring()
        text, ask = asked
        if OVERLOADED in text and first:
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
            return web.json_response(error, status=529, headers={"retry-after": "0"})
        cut = CUT in text and first
        self.charges.append(Charge(text, ask, cut))
        message_id = f"msg_{len(self.charges) - 1}"
        await asyncio.sleep(self._latency_s * random.Random(f"{self._seed} {number}").random())  # noqa: S311 no secret
        await self._doors.wait()
        if cut and request.transport is not None:
            request.transport.abort()
        return web.json_response(_message(message_id, _answer(text, ask), self.usage), headers={"request-id": f"req_{number}"})

    def _ring(self) -> None:
        if self._alarm is not None and self.requests >= self._alarm[0]:
            _, delay_s, act = self._alarm
            self._alarm = None
            self._loop.call_later(delay_s, act)

    def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(ready, stop))
        self._loop.close()

    async def _serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_post("/v1/messages", self.post)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    def call(self, act: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(act)


@contextmanager
def serving(latency_s: float = 0.0, seed: int = 0, usage: tuple[int, int] = (INPUT_TOKENS, OUTPUT_TOKENS)) -> Iterator[Ledger]:
    """A new ledger behind a new port. A reply takes from 0 to `latency_s`, by `seed`, and is of so many tokens in and out."""
    ledger = Ledger(latency_s, seed, usage)
    ready, stop = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=ledger.serve, args=(ready, stop), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield ledger
    finally:
        ledger.release()
        ledger.call(stop.set)
        thread.join()


def _text(turn: dict[str, Any]) -> str:
    content = turn["content"]
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def _answer(text: str, ask: int) -> str:
    if WRONG in text and ask == 1:
        return '{"label": "perhaps", "length": 0}'
    return f"```json\n{answer(text)}\n```" if FENCED in text else answer(text)


def _message(message_id: str, text: str, usage: tuple[int, int]) -> dict[str, Any]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage[0],
            "output_tokens": usage[1],
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }
