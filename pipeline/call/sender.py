"""`python -m pipeline.call.sender`: a worker. It sends what the run's process gives it and brings back what comes.

It decides nothing, keeps nothing and reads no file. Its standard input is its end of a socket pair with the run's process: the
first frame says what its client is made of, and when the other end closes, however that process ended, it ends too, with
whatever it has out. Signals are for that process alone, which still needs its workers while it drains.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket

import orjson

from pipeline.call.caller import Broken, Response
from pipeline.call.client import Client
from pipeline.call.frames import Ask, Begin, Call, Here, Told, Unframing, framed

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Blocked when it starts, see workers.py; ignored from here on."""


def main() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as in engine/local.py
    with socket.socket(fileno=0) as wire:
        asyncio.run(_serve(wire))


async def _serve(wire: socket.socket) -> None:
    """Until the other end closes. Raises what making the client raises: then this worker is of no use."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    _, sender = await loop.create_unix_connection(lambda: _Sender(ended), sock=wire)
    try:
        await ended
    finally:
        await sender.close()


class _Sender(asyncio.Protocol):
    def __init__(self, ended: asyncio.Future[None]) -> None:
        self._ended = ended
        self._unframing = Unframing()
        self._client: Client | None = None
        self._out: set[asyncio.Task[None]] = set()
        self._wire: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._wire = transport

    def data_received(self, data: bytes) -> None:
        for frame in self._unframing.fed(data):
            match frame:
                case Ask():
                    self._ask(frame)
                case Call():
                    self._say(Here())
                case Begin():
                    self._client = Client.of(frame.access)
                    self._say(Here())
                case _:
                    raise AssertionError(f"{type(frame).__name__} is for the other side")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ended.done():
            return
        if exc is None or isinstance(exc, OSError):  # the other end has closed, or was killed
            self._ended.set_result(None)
        else:
            self._ended.set_exception(exc)

    async def close(self) -> None:
        for task in self._out:
            task.cancel()
        await asyncio.gather(*self._out, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    def _ask(self, frame: Ask) -> None:
        assert self._client is not None, "the first frame is Begin"
        task = asyncio.create_task(self._send(self._client, frame))
        self._out.add(task)
        task.add_done_callback(self._out.discard)

    async def _send(self, client: Client, ask: Ask) -> None:
        result: Response | Broken
        try:
            result = await client.send(orjson.loads(ask.body))
        except Exception as error:  # noqa: BLE001 a bug of ours: its message may hold the document, its name does not
            result = Broken(sent=True, error=f"the worker met a {type(error).__name__}", latency_s=0.0)
        self._say(Told(ask.number, result))

    def _say(self, frame: Here | Told) -> None:
        for piece in framed(frame):
            self._wire.write(piece)


if __name__ == "__main__":
    main()
