"""What the bench server can do at most: a client that reads nothing, over one connection a place, requests back to back."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from urllib.parse import urlsplit

REQUEST = b"POST /v1/messages HTTP/1.1\r\nhost: bench\r\ncontent-length: 300\r\n\r\n" + b" " * 300


class _Place(asyncio.Protocol):
    """Counts replies by their end: each comes as one write of the server."""

    def __init__(self, times: int, done: asyncio.Future[None]) -> None:
        self._left = times
        self._done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self._left -= data.count(b"HTTP/1.1 200")
        if self._left > 0:
            self._transport.write(REQUEST)
        elif not self._done.done():
            self._done.set_result(None)
            self._transport.close()


async def most(url: str, requests: int, at_once: int) -> float:
    """Replies a second."""
    loop, host, port = asyncio.get_running_loop(), urlsplit(url).hostname, urlsplit(url).port
    assert host is not None
    assert port is not None
    waiting: list[asyncio.Future[None]] = [loop.create_future() for _ in range(at_once)]
    started = time.monotonic()
    for done in waiting:
        await loop.create_connection(partial(_Place, requests // at_once, done), host, port)
    await asyncio.gather(*waiting)
    return requests / (time.monotonic() - started)
