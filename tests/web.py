"""A web server on loopback that gives files, whole or in parts, or behaves in other ways that servers do."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.api import threaded


@dataclass
class Page:
    """What is at one path."""

    content: bytes = b""
    status: int = 200
    location: str | None = None
    """Where it leads on to."""
    parts: bool = True
    """Whether a part of it can be asked for."""
    owned_up: bool = True
    """Whether it is said where none can."""
    sized: bool = True
    """Whether its length is told."""
    cut: int = 0
    """So many of its bytes are promised and not sent."""
    modified: float | None = None


@dataclass
class Site:
    url: str
    pages: dict[str, Page]
    asked: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    """Method, path and headers of each request."""

    def put(self, path: str, content: bytes, modified: float | None = None) -> str:
        self.pages[path] = Page(content, modified=modified)
        return self.url + path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_HEAD(self) -> None:
        self._reply(with_body=False)

    def do_GET(self) -> None:
        self._reply(with_body=True)

    def _reply(self, *, with_body: bool) -> None:
        self.site.asked.append((self.command, self.path, dict(self.headers)))
        page = self.site.pages.get(self.path, Page(status=404))
        content, status = page.content, page.status
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        self.close_connection = not page.sized or bool(page.cut)
        if wanted and page.parts and status == 200:
            first, last = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            content = content[first : last + 1]
        else:
            self.send_response(status)
        if not page.parts and page.owned_up:
            self.send_header("Accept-Ranges", "none")
        if page.location is not None:
            self.send_header("Location", page.location)
        if page.modified is not None:
            self.send_header("Last-Modified", formatdate(page.modified, usegmt=True))
        if page.sized:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            with contextlib.suppress(OSError):  # whoever asked may be gone
                self.wfile.write(content[: len(content) - page.cut])

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextlib.contextmanager
def site(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme, host = ("https", "localhost") if tls is not None else ("http", "127.0.0.1")
    made = Site(f"{scheme}://{host}:{server.server_address[1]}", {})
    server.RequestHandlerClass = type("Bound", (_Handler,), {"site": made})
    with threaded(server):
        yield made
