"""uvicorn, told when to begin and when to end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import uvicorn
from starlette.types import ASGIApp

from pipeline.local.broken import Connections, protocol
from pipeline.local.model import Model

BACKLOG = 2048
KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections, so that it is never the server that hangs up on a request."""
DRAIN_S = 6
"""Of uvicorn, after a signal to stop. Replies under way get one second less."""


class _Server(uvicorn.Server):
    """Says when it is up, and leaves signals to us: uvicorn raises them again at its end, which would kill us."""

    def __init__(self, config: uvicorn.Config, connections: Connections, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._connections = connections
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Ends after the replies under way; called again, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._connections.end_hung()
        # Before uvicorn's own patience ends: it would cancel what is under way, with a traceback for each.
        asyncio.get_running_loop().call_later(0 if self.force_exit else DRAIN_S - 1, self._connections.end_all)

    def stop_now(self) -> None:
        """Ends without a thought for replies under way: nobody is there to hear them."""
        self.config.timeout_graceful_shutdown = 1
        self.should_exit = self.force_exit = True
        self._connections.end_all()


async def serve(
    app: ASGIApp,
    connections: Connections,
    model: Model,
    listener: socket.socket,
    announce: Callable[[str], None],
    until_eof: BinaryIO | None,
) -> None:
    """Answers on `listener` until a signal, or the end of `until_eof`; then closes the model."""
    host, port = listener.getsockname()
    config = uvicorn.Config(
        app,
        http=protocol(connections),
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config, connections, lambda: announce(f"http://{host}:{port}"))
    _listen_to_signals(server, is_child=until_eof is not None)
    if until_eof is not None:
        asyncio.get_running_loop().add_reader(until_eof, _stop_at_end, until_eof, server)
    try:
        await server.serve([listener])
    finally:
        await model.close()


def _listen_to_signals(server: _Server, *, is_child: bool) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.stop)
    if not is_child:
        loop.add_signal_handler(signal.SIGINT, server.stop)


def _stop_at_end(pipe: BinaryIO, server: _Server) -> None:
    """Reads the pipe past Python's buffers: only its end matters."""
    if not os.read(pipe.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(pipe)
        server.stop_now()
