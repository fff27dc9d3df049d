"""A Messages API on loopback that enforces limits and fails at will: token buckets with the real headers, seeded faults.

One event loop in a process of its own, so that what is measured is the client. `python -m tests.limits` is run by
tests/bench_limits.py; its last word, on SIGTERM, is a JSON line with what it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.api import Canned, error, message
from tests.call.buckets import Server, ServerBucket
from tests.jobs import answer

FAULTS = {"529": 0.10, "500": 0.05, "reset": 0.05, "hang": 0.02, "html": 0.02, "cut": 0.02}
CHARACTERS_A_TOKEN = 4


@dataclass
class Limited:
    """Handles connections; counts what it is asked and what it answered."""

    server: Server
    latency_s: float
    faults: dict[str, float]
    random: Random
    asked: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    first_at: float | None = None
    last_at: float = 0.0

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if head.startswith("get "):  # the look at the model: a server that knows of none
            writer.write(b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return True
        length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:"))
        body = json.loads(await reader.readexactly(length))
        text = "".join(block["text"] for block in body["messages"][-1]["content"])
        now = asyncio.get_running_loop().time()
        self.first_at = self.first_at or now
        self.last_at = now
        self.asked[text] += 1
        fault = self._fault()
        if fault == "reset":
            self.statuses["reset"] += 1
            writer.transport.abort()
            return False
        if fault == "hang":
            self.statuses["hang"] += 1
            await asyncio.sleep(3600)
        canned = self._answer(now, text, fault)
        self.statuses[fault or str(canned.status)] += 1
        if canned.status == 200:
            await asyncio.sleep(self.latency_s)
        headers = {
            "content-type": "application/json",
            **canned.headers,
            **self.server.headers(asyncio.get_running_loop().time()),
            "content-length": str(len(canned.body)),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {canned.status} X\r\n{lines}\r\n".encode() + canned.body)
        await writer.drain()
        return True

    def _answer(self, now: float, text: str, fault: str | None) -> Canned:
        match fault:
            case "529":
                return error(529, "overloaded_error")
            case "500":
                return error(500, "api_error")
            case "html":
                return Canned(200, b"<html>proxy</html>", {"content-type": "text/html"})
            case "cut":
                return Canned(200, message(answer(text)).body[:60])
        tokens = 30 + len(text) // CHARACTERS_A_TOKEN
        if not self.server.admit(now, {"requests": 1.0, "input-tokens": float(tokens)}):
            return error(429, "rate_limit_error", retry_after="1")
        return message(answer(text), usage={"input_tokens": tokens, "output_tokens": 9})

    def _fault(self) -> str | None:
        drawn = self.random.random()
        for name, share in self.faults.items():
            drawn -= share
            if drawn < 0:
                return name
        return None

    def seen(self) -> dict[str, Any]:
        return {
            "requests": self.asked.total(),
            "statuses": dict(self.statuses),
            "most_for_one_row": max(self.asked.values(), default=0),
            "seconds": round(self.last_at - (self.first_at or 0.0), 2),
        }


async def serve(options: argparse.Namespace) -> None:
    buckets = {}
    now = asyncio.get_running_loop().time()
    if options.rpm:
        buckets["requests"] = ServerBucket(options.rpm, options.burst or options.rpm, now)
    if options.itpm:
        buckets["input-tokens"] = ServerBucket(options.itpm, options.token_burst or options.itpm, now)
    faults = FAULTS if options.faults else {}
    limited = Limited(Server(buckets, rounds=options.rounded), options.latency_s, faults, Random(options.seed))  # noqa: S311
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listening = await asyncio.start_server(limited.connection, "127.0.0.1", 0, backlog=2048)
    port = listening.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await stop.wait()
    sys.stdout.write(json.dumps(limited.seen()) + "\n")
    sys.stdout.flush()
    os._exit(0)  # those that hang are cut off, unheard


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rpm", type=float, default=0)
    parser.add_argument("--burst", type=float, default=0)
    parser.add_argument("--itpm", type=float, default=0)
    parser.add_argument("--token-burst", type=float, default=0)
    parser.add_argument("--rounded", action="store_true")
    parser.add_argument("--latency-s", type=float, default=0.2)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    asyncio.run(serve(options().parse_args()))
