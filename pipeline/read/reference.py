"""What a cell says of a picture or document → its bytes, or the URL that the API is to fetch.

bytes                        as they are
{bytes: …, path: …}          the same, as Hugging Face writes it; the path is read where there are no bytes
data:image/png;base64,…      decoded
https://…                    never fetched here: passed on where its host is allowed
anything else                a file below the root
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.read.beneath import Folder, Refused

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DATA = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_LONGEST_URL = 2_048


@dataclass(frozen=True, slots=True)
class Found:
    """What stands behind one reference."""

    name: str
    """For a person: the path, or nothing."""
    content: bytes | str
    """A str is a URL to pass on."""


@dataclass(frozen=True, slots=True)
class Missing:
    """In words: why nothing does."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class References:
    """Where references of a job may lead."""

    root: Folder | None
    hosts: tuple[str, ...]
    """Those whose https URLs are passed on."""
    most_bytes: int

    def behind(self, value: object) -> Iterator[Found | Missing]:
        """Everything in one cell: nothing for null and empty text, several for a list."""
        match value:
            case None | "":
                return
            case list() | tuple():
                for each in value:
                    yield from self.behind(each)
            case bytes():
                yield Found("", value) if len(value) <= self.most_bytes else Missing("", self._too_large(len(value)))
            case str():
                yield self._named(value)
            case Mapping() if "bytes" in value or "path" in value:
                held, name = value.get("bytes"), value.get("path")
                if isinstance(held, bytes):
                    found = next(self.behind(held))
                    yield Found(str(name or ""), held) if isinstance(found, Found) else found
                else:
                    yield from self.behind(name)
            case _:
                yield Missing("", f"holds a {type(value).__name__}, expected bytes, a path, a data URI or a URL")

    def _named(self, text: str) -> Found | Missing:
        if _DATA.match(text):
            return self._inline(text)
        shown = text if len(text) <= 200 else f"{text[:200]}…"
        if text.startswith("data:"):
            return Missing(shown[:40], "is a data URI without base64")
        if _URL.match(text):
            fault = self._refused(text)
            return Found(shown, text) if fault is None else Missing(shown, fault)
        if self.root is None:
            return Missing(shown, "is a file, and input.root does not say below which folder; set it")
        try:
            return Found(shown, self.root.read(text, self.most_bytes))
        except Refused as error:
            return Missing(shown, str(error))

    def _inline(self, text: str) -> Found | Missing:
        head, _, encoded = text.partition(",")
        if len(encoded) * 3 // 4 > self.most_bytes:
            return Missing(head[:40], self._too_large(len(encoded) * 3 // 4))
        try:
            return Found(head[:40], b64decode("".join(encoded.split()), validate=True))
        except (binascii.Error, ValueError):
            return Missing(head[:40], "is a data URI whose base64 is broken")

    def _refused(self, url: str) -> str | None:
        """Why a URL is not passed on; None where it is."""
        if not self.hosts:
            return "is a URL, and none is fetched; input.allow_urls lists hosts whose URLs the API may fetch"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return "is no URL"
        if parts.scheme != "https" or port not in (None, 443) or "@" in parts.netloc:
            return "is not passed on: only https:// is, without port and password"
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or len(url) > _LONGEST_URL:
            return "is not passed on: it is longer than a URL should be, or has characters that none has"
        if host not in self.hosts:
            return f"is not passed on: input.allow_urls does not list {host}"
        return None

    def _too_large(self, size: int) -> str:
        return f"has {size:,} bytes, more than the {self.most_bytes:,} that are taken"
