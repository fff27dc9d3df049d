"""Files on the web as input: https://, read and never written, by fsspec's file system for it.

A server is asked for the size of a file and then for parts of it, over one connection. Redirects are followed, as sites that
keep their files elsewhere need it, but never from https to http: what a run reads must be what the server of that name gave.
Nothing is kept on this machine.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from pipeline.settings import is_loopback

if TYPE_CHECKING:
    import aiohttp
    from fsspec.implementations.http import HTTPFileSystem

MOST_REDIRECTS = 5
CONNECT_S, SILENCE_S = 30, 60
"""How long a server may take to answer, and between two parts of an answer. A whole file may take any time."""
BLOCK_BYTES = 4 << 20
"""Of a file that is read here and there: a Parquet file of 1 GB is 250 requests."""


class Refused(OSError):
    """A server's answer that is not taken."""


@dataclass(frozen=True, slots=True)
class Head:
    size: int
    modified_ns: int
    """Unix time; 0 where the server does not say."""
    in_parts: bool
    """False: it gives the file from its begin only."""


def is_safe(url: str) -> bool:
    """https anywhere, or http on this machine: what is read must come from whom the URL names."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def head(url: str) -> Head:
    """What the server says of the file. Raises FileNotFoundError where it has none, PermissionError where it gives it to
    others only, OSError otherwise."""
    from fsspec.asyn import sync

    with _translated(url):
        found: Head = sync(_system().loop, _head, url)
    return found


def opened(url: str) -> io.RawIOBase:
    """For reading at any place. The caller closes it. Raises OSError."""
    found = head(url)
    if not found.in_parts:
        raise Refused(errno.ENOTSUP, "the server gives whole files only (HTTP, Accept-Ranges: none); download it", url)
    with _translated(url):
        return _File(url, _system().open(url, block_size=BLOCK_BYTES, size=found.size))


def streamed(url: str) -> io.RawIOBase:
    """For reading from its begin, in one request. The caller closes it. Raises OSError."""
    with _translated(url):
        return _File(url, _system().open(url, block_size=0))


class _File(io.RawIOBase):
    """A file of fsspec, whose errors are OSError."""

    def __init__(self, url: str, inner: Any) -> None:
        self._url = url
        self._inner = inner

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._inner.seekable())

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._inner.seek(offset, whence))

    def tell(self) -> int:
        return int(self._inner.tell())

    def read(self, size: int = -1, /) -> bytes:
        with _translated(self._url):
            return bytes(self._inner.read(size))

    def readinto(self, buffer: Any, /) -> int:
        held = self.read(len(buffer))
        buffer[: len(held)] = held
        return len(held)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()


@cache
def _system() -> HTTPFileSystem:
    from fsspec.implementations.http import HTTPFileSystem  # imported late: 0.3 s, for those who need it

    return HTTPFileSystem(get_client=_client, cache_type="readahead", max_redirects=MOST_REDIRECTS)


async def _client(**options: Any) -> aiohttp.ClientSession:
    import aiohttp

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_downgrade)
    # aiohttp's own limit, five minutes for a request, would end the reading of a long file.
    time = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
    # trust_env: through the proxies of the environment, with the credentials of .netrc.
    return aiohttp.ClientSession(**{**options, "timeout": time, "trace_configs": [trace], "trust_env": True})


async def _refuse_downgrade(_: aiohttp.ClientSession, __: object, sent: aiohttp.TraceRequestRedirectParams) -> None:
    to = urljoin(str(sent.url), sent.response.headers.get("Location", ""))
    # Whoever asks this machine may be sent to another; nobody who asks another may be sent to this one, or on without TLS.
    if urlsplit(to).scheme != "https" and not (sent.url.scheme == "http" and is_safe(to)):
        raise Refused(errno.EACCES, f"the server leads on to {urlsplit(to).scheme}://, which is not followed (HTTP redirect)")


async def _head(url: str) -> Head:
    system = _system()
    session = await system.set_session()
    # Without this, a server may pack what it sends, and tell the size of that.
    asked = {"headers": {"Accept-Encoding": "identity"}, "allow_redirects": True, "max_redirects": MOST_REDIRECTS}
    async with await session.head(system.encode_url(url), **asked) as reply:
        _refuse(url, reply.status)
        size = reply.headers.get("Content-Length")
        if size is None or reply.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(errno.ENOTSUP, "the server does not say how long it is (HTTP, Content-Length); download it", url)
        return Head(int(size), _time(reply.headers.get("Last-Modified")), reply.headers.get("Accept-Ranges") != "none")


def _refuse(url: str, status: int) -> None:
    if status in (404, 410):
        raise FileNotFoundError(errno.ENOENT, "no such file", url)
    if status in (401, 403, 407):
        raise PermissionError(errno.EACCES, f"HTTP {status}; no credentials are sent but those in .netrc", url)
    if status >= 400:
        raise Refused(errno.EIO, f"HTTP {status}", url)


def _time(written: str | None) -> int:
    try:
        return int(parsedate_to_datetime(written).timestamp()) * 10**9 if written else 0
    except ValueError:
        return 0


@contextmanager
def _translated(url: str) -> Iterator[None]:
    import aiohttp

    try:
        yield
    except aiohttp.TooManyRedirects as error:
        raise Refused(errno.ELOOP, f"HTTP: more than {MOST_REDIRECTS} redirects", url) from error
    except aiohttp.ClientResponseError as error:
        _refuse(url, error.status)
        raise Refused(errno.EIO, f"HTTP: {error.message or error}", url) from error
    except OSError:
        raise
    except (aiohttp.ClientError, ValueError) as error:
        raise Refused(errno.EIO, f"HTTP: {error}", url) from error
