"""Fakes at the two ports of the call room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from pipeline.call.budget import Account
from pipeline.call.caller import Broken, Response
from pipeline.call.form import Form
from pipeline.call.purse import Purse
from pipeline.call.wire import Shape, shape
from pipeline.records import Constant, Prompt, Recall, Text, Turn
from tests.api import Canned

FORM = Form(
    model="claude-haiku-5-5",
    max_tokens=100,
    way="native",
    schema={"type": "object"},
    thinking={"type": "disabled"},
    effort="low",
    cache="5m",
    stream=False,
)
CONSTANT = Constant("Label it.")
SHAPE: Shape = shape(CONSTANT, FORM)


def prompt(text: str, position: int = 0) -> Prompt:
    return Prompt(position, f"k{position}", CONSTANT, (Turn("user", (Text(text),)),))


async def prompts(texts: Sequence[str]) -> AsyncIterator[Prompt]:
    for position, text in enumerate(texts):
        yield prompt(text, position)


def said(body: Mapping[str, Any]) -> str:
    return str(body["messages"][-1]["content"][0]["text"])


def free() -> Purse:
    """A Budget without a limit, for a model without a price."""
    return Purse(Account(None), lambda _: None, lambda _: None, lambda _: None)


class Book:
    """A Ledger that writes down the order of events."""

    def __init__(self, left: Mapping[int, Recall] | None = None, broken: Exception | None = None) -> None:
        self.left = dict(left or {})
        self.events: list[str] = []
        self.prices: list[tuple[int, float]] = []
        self.broken = broken

    def recall(self, prompt: Prompt, key: bytes) -> Recall | None:
        return self.left.get(prompt.position)

    async def sent(self, prompt: Prompt, key: bytes, worst_usd: float | None = None) -> None:
        if self.broken is not None:
            raise self.broken
        self.events.append(f"sent {prompt.position}")

    async def replied(
        self, prompt: Prompt, key: bytes, *, body: bytes, request_id: str | None, latency_s: float, at: float
    ) -> None:
        self.events.append(f"replied {prompt.position}")

    async def unpaid(self, prompt: Prompt, key: bytes) -> None:
        self.events.append(f"unpaid {prompt.position}")

    def priced(self, prompt: Prompt, usd: float) -> None:
        self.prices.append((prompt.position, usd))


class Line:
    """A Transport that answers by a script and knows how many requests were out at once."""

    def __init__(self, script: Callable[[str, int], Canned | Broken], book: Book | None = None) -> None:
        self.script = script
        self.book = book
        self.texts: list[str] = []
        self.out = 0
        self.peak = 0
        self.peaks: list[int] = []
        """The peak so far, at each reply."""

    @property
    def ready(self) -> bool:
        return True

    async def send(self, body: Mapping[str, Any]) -> Response | Broken:
        text = said(body)
        self.texts.append(text)
        if self.book is not None:
            self.book.events.append(f"out {text}")
        self.out += 1
        self.peak = max(self.peak, self.out)
        for _ in range(3):  # lets the others run, as a network would
            await asyncio.sleep(0)
        self.out -= 1
        self.peaks.append(self.peak)
        canned = self.script(text, self.texts.count(text))
        return canned if isinstance(canned, Broken) else Response(canned.status, canned.headers, canned.body, 0.5)

    async def close(self) -> None:
        pass
