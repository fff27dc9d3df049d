"""A scripted Messages API on loopback, with a ledger of what it was asked: the oracle of the tests that count requests."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

ServerT = TypeVar("ServerT", bound=ThreadingHTTPServer)


@dataclass(frozen=True)
class Canned:
    """One HTTP response. `cut`: bytes of the body after which the connection is reset; 0 resets before the status line. `raw`:
    sent instead, as it is. `end_after_s`: the body comes in a chunk, and its end so much later."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    wait_s: float = 0.0
    raw: bytes | None = None
    end_after_s: float | None = None


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def text(self) -> str:
        """The text of the last user turn."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def message(text: str, **changes: Any) -> Canned:
    """A whole, successful reply with this text."""
    body: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
    }
    body.update(changes)
    return Canned(200, json.dumps(body).encode(), {"request-id": "req_1"})


def error(status: int, kind: str, text: str = "no", *, code: str | None = None, **headers: str) -> Canned:
    """An error in the API's envelope; headers with `_` for `-`."""
    inner: dict[str, Any] = {"type": kind, "message": text}
    if code is not None:
        inner["details"] = {"error_code": code}
    body = {"type": "error", "error": inner, "request_id": "req_2"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Canned(status, json.dumps(body).encode(), {"request-id": "req_2", **named})


Script = Callable[[Asked], Canned]

NO_MODELS = Canned(404, b"<html>no such page</html>", {"content-type": "text/html"})
"""A server without the Models API."""


class Api(ThreadingHTTPServer):
    """Answers every POST by its script, from as many threads as there are connections; every GET by `card`."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, script: Script, card: Script) -> None:
        self.script = script
        self.card = card
        self.asked: list[Asked] = []
        self.looked: list[str] = []
        """Paths of the GETs."""
        self.connections = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def texts(self) -> list[str]:
        with self.lock:
            return [asked.text for asked in self.asked]

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, killed on purpose, is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        asked = Asked(json.loads(self.rfile.read(length)), {name.lower(): value for name, value in self.headers.items()})
        with self.server.lock:
            self.server.asked.append(asked)
        self.answer(self.server.script(asked))

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.looked.append(self.path)
        self.answer(self.server.card(Asked({}, {name.lower(): value for name, value in self.headers.items()})))

    def answer(self, canned: Canned) -> None:
        if canned.wait_s:
            time.sleep(canned.wait_s)
        if canned.cut == 0:
            return self.reset()
        if canned.raw is not None:
            self.wfile.write(canned.raw)
            self.close_connection = True
            return None
        self.send_response(canned.status)
        length = {"content-length": str(len(canned.body))} if canned.end_after_s is None else {"transfer-encoding": "chunked"}
        headers = {"content-type": "application/json", **canned.headers, **length}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if canned.end_after_s is not None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(canned.body), canned.body))
            time.sleep(canned.end_after_s)
            self.wfile.write(b"0\r\n\r\n")
            return None
        self.wfile.write(canned.body if canned.cut is None else canned.body[: canned.cut])
        return None if canned.cut is None else self.reset()

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def threaded(api: ServerT) -> Iterator[ServerT]:
    """Serves in a thread meanwhile."""
    thread = threading.Thread(target=api.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.shutdown()
        api.server_close()
        thread.join()


def serving(script: Script, card: Script = lambda _: NO_MODELS) -> AbstractContextManager[Api]:
    return threaded(Api(script, card))
