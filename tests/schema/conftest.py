from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def listener() -> Iterator[tuple[str, list[object]]]:
    """A server on loopback, and the connections it got. The validator in use is native code, which no guard in Python sees."""
    hits: list[object] = []

    class Heard(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            hits.append(self.client_address)

    with socketserver.TCPServer(("127.0.0.1", 0), Heard) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", hits
        finally:
            server.shutdown()
            thread.join()
