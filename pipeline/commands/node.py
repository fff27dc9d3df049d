"""What runs on the nodes of a cluster: a worker that sends what it is given and keeps what comes back until it is fetched.

Everything is decided where the run is; here nothing is retried, judged or stored. The key is the one in the environment of the
node: none is ever received, so that none passes through the cluster's own memory, logs and dashboard. What is said and heard
are the bytes of call/frames.py: no side makes objects of what the other one sends.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

import orjson

from pipeline import __version__
from pipeline.call.caller import Broken, Response
from pipeline.call.descriptors import room_for
from pipeline.call.frames import Ask, Begin, Told, Unframing, framed
from pipeline.commands.account import account
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.call.client import Client

Facts: TypeAlias = dict[str, str | None]

MOST_FETCHED = 4 << 20
"""Bytes after which the rest waits for the next time, so that one large answer delays few others."""


def facts() -> Facts:
    """What must be the same on all nodes, and how this one is called."""
    return {
        "host": socket.gethostname(),
        "pipeline": __version__,
        "anthropic": version("anthropic"),
        "account": account(os.environ),
    }


class Node:
    """One worker, an actor. Its methods raise nothing: what an actor raises is pickled and logged with all that hangs on it."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._unframing = Unframing()
        self._sending: set[asyncio.Task[None]] = set()
        self._done: list[bytes] = []
        self._news = asyncio.Event()

    async def begin(self, said: bytes) -> tuple[Facts, str | None]:
        """With a Begin frame, before all else. Why it cannot send, if it cannot."""
        from pipeline.call.client import Client  # late: the SDK takes a second, and who only asks for facts needs none

        (begin,) = self._unframing.fed(said)
        assert isinstance(begin, Begin)
        try:
            self._client = Client.of(replace(begin.access, connections=room_for(begin.access.connections)))
        except PipelineError as error:
            return facts(), error.message
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)  # as in engine/local.py
        return facts(), None

    async def take(self, frames: bytes) -> None:
        """Sends what these whole Ask frames hold, all at once."""
        for frame in self._unframing.fed(frames):
            assert isinstance(frame, Ask)
            task = asyncio.create_task(self._send(frame))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def told(self, wait_s: float) -> bytes:
        """Told frames of what has come since the last time; waits so long at most for the first. Each is given once."""
        if not self._done:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), wait_s)
            except TimeoutError:
                return b""
        size = count = 0
        while count < len(self._done) and size < MOST_FETCHED:
            size += len(self._done[count])
            count += 1
        told = b"".join(self._done[:count])
        del self._done[:count]
        return told

    async def close(self) -> None:
        """What is still out is given up."""
        self._news.set()
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _send(self, ask: Ask) -> None:
        assert self._client is not None
        result: Response | Broken
        try:
            result = await self._client.send(orjson.loads(ask.body))
        except Exception as error:  # noqa: BLE001 a bug of ours: its message may hold the document, its name does not
            result = Broken(sent=True, error=f"the worker met a {type(error).__name__}", latency_s=0.0)
        self._done.append(b"".join(framed(Told(ask.number, result))))
        self._news.set()
