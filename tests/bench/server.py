"""`python -m tests.bench.server --latency-ms 200`: a Messages API that costs as little as it can: the client is measured.

One class of asyncio's protocols over a socket: no routing, no parsing of bodies, the same answer to every request but for its
ids, with the headers that the API sends. A request takes it a thirtieth of the CPU of the leanest client; `GET /stats` tells
how many came and what they have cost here, so that each measurement can show that it was not this server that was measured.
Batches end at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Callable

import orjson

MODEL = "claude-haiku-5-5"
LIMITS = {"requests": 60_000_000, "input-tokens": 60_000_000_000, "output-tokens": 60_000_000_000}
"""A minute: such as never bind."""
MESSAGE = {
    "id": "msg_%012d",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": '{"label": "positive"}'}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 60,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 8,
        "service_tier": "standard",
        "inference_geo": "global",
    },
}
BODY = json.dumps(MESSAGE)
HEADERS = "".join(
    f"anthropic-ratelimit-{name}-limit: {limit}\r\nanthropic-ratelimit-{name}-remaining: {limit}\r\n"
    f"anthropic-ratelimit-{name}-reset: 2026-11-26T00:00:00Z\r\n"
    for name, limit in LIMITS.items()
)
REPLY = (
    f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(BODY % 0)}\r\nrequest-id: req_%012d\r\n"
    f"anthropic-organization-id: 00000000-0000-0000-0000-000000000000\r\n{HEADERS}\r\n{BODY}"
).encode()
LENGTH = b"\r\ncontent-length:"


class Batches:
    """Those that were created: id → the custom ids in it."""

    def __init__(self) -> None:
        self._made: dict[str, list[str]] = {}

    def answer(self, method: bytes, path: str, body: bytes) -> bytes:
        if method == b"POST":
            name = f"msgbatch_{len(self._made):06d}"
            self._made[name] = [request["custom_id"] for request in orjson.loads(body)["requests"]]
            return _json(200, self._told(name))
        *_, name, last = path.split("?")[0].split("/")
        if last == "results":
            lines = (
                b'{"custom_id":"%s","result":{"type":"succeeded","message":%s}}\n'
                % (custom_id.encode(), (BODY % number).encode())
                for number, custom_id in enumerate(self._made[name])
            )
            return _http(200, b"".join(lines), "application/x-jsonl")
        if last == "batches":
            return _json(200, {"data": [], "has_more": False, "first_id": None, "last_id": None})
        return _json(200, self._told(last))

    def _told(self, name: str) -> dict[str, object]:
        requests = len(self._made[name])
        counts = {"processing": 0, "succeeded": requests, "errored": 0, "canceled": 0, "expired": 0}
        at = "2026-11-26T00:00:00Z"
        return {
            "id": name, "type": "message_batch", "processing_status": "ended", "request_counts": counts, "created_at": at,
            "ended_at": at, "expires_at": "2026-11-27T00:00:00Z", "archived_at": None, "cancel_initiated_at": None,
            "results_url": f"/v1/messages/batches/{name}/results",
        }  # fmt: skip


class Answers:
    """What all connections share."""

    def __init__(self, latency_s: float) -> None:
        self.requests = 0
        self.latency_s = latency_s
        self.batches = Batches()
        self._due: deque[tuple[float, asyncio.Transport, bytes]] = deque()
        """In the order in which they are due: all wait equally long, so that one timer serves all."""

    def messages(self, transport: asyncio.Transport) -> None:
        self.requests += 1
        reply = REPLY % (self.requests, self.requests)
        if not self.latency_s:
            transport.write(reply)
            return
        loop = asyncio.get_running_loop()
        self._due.append((loop.time() + self.latency_s, transport, reply))
        if len(self._due) == 1:
            loop.call_at(self._due[0][0], self._release)

    def _release(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._due and self._due[0][0] <= now:
            _, transport, reply = self._due.popleft()
            if not transport.is_closing():
                transport.write(reply)
        if self._due:
            loop.call_at(self._due[0][0], self._release)

    def other(self, method: bytes, path: str, body: bytes) -> bytes:
        if path == "/stats":
            return _json(200, {"requests": self.requests, "cpu_s": time.process_time()})
        if path.startswith("/v1/messages/batches"):
            return self.batches.answer(method, path, body)
        return _json(404, {"type": "error", "error": {"type": "not_found_error", "message": "no such route"}})


class Connection(asyncio.Protocol):
    """Requests of one connection, one after another, as an HTTP/1.1 client with a content-length sends them."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._come = b""
        self._wanted = 0
        """Bytes of the request that is coming in, where that is known."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._come = self._come + data if self._come else data
        while self._come and len(self._come) >= self._wanted:
            end = self._come.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._wanted:
                head = self._come[:end].lower()
                at = head.find(LENGTH)
                length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
                self._wanted = end + 4 + length
                continue
            request, self._come, wanted = self._come, self._come[self._wanted :], self._wanted
            self._wanted = 0
            if request.startswith(b"POST /v1/messages HTTP"):
                self._answers.messages(self._transport)
            else:
                method, path, _ = request.split(b" ", 2)
                self._transport.write(self._answers.other(method, path.decode(), request[end + 4 : wanted]))


def _json(status: int, value: object) -> bytes:
    return _http(status, orjson.dumps(value), "application/json")


def _http(status: int, body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 {status} OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nrequest-id: req_other\r\n\r\n"
    return head.encode() + body


async def serve(latency_s: float, say: Callable[[str], object]) -> None:
    answers = Answers(latency_s)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(answers), "127.0.0.1", 0, backlog=4096)
    say(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    # Whoever started it goes away, or closes this pipe: then it ends, too.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=0.0)

    def say(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    asyncio.run(serve(parser.parse_args().latency_ms / 1000, say))


if __name__ == "__main__":
    main()
