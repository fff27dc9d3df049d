"""A batch before it is sent and after it came back, in plain values: how much fits, what its requests are called, which batch
of the server's list may be it, what a line of results says. Pure.

Source: platform.claude.com/docs, build-with-claude/batch-processing, read 2026-10-08.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from pipeline.records import JSON, Fate, Parcel

MOST_REQUESTS = 100_000
MOST_BYTES = int(0.9 * 256_000_000)
"""The API takes 256 MB; what stands around a body on its way, and another reading of MB, fit into the rest."""
OPENING, BETWEEN, CLOSING = b'{"requests":[', b",", b"]}"
KEY_DIGITS = 24
RETENTION_S = 29 * 86_400.0
"""So long after its creation a batch has results."""
SKEW_S = 6 * 3600.0
"""By so much the server's clock and ours may differ. A wider window brings more candidates; their names tell them apart."""
TRIES = 3
"""A results file that ends in the middle is fetched so often."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID = re.compile(r"r([0-9a-z]{1,13})-([0-9]{1,6})-([0-9a-f]{24})-([0-9a-f]{8})")
_SUCCEEDED = re.compile(
    rb'\s*\{\s*"custom_id"\s*:\s*"([\w-]{1,64})"\s*,\s*"result"\s*:\s*\{\s*"type"\s*:\s*"succeeded"\s*,\s*"message"\s*:\s*'
    rb"(\{.*\})\s*\}\s*\}\s*"
)

FATES: Mapping[str, Fate] = {
    "succeeded": "succeeded",
    "errored": "errored",
    "canceled": "canceled",
    "expired": "expired",
}


@dataclass(frozen=True, slots=True)
class Remote:
    """A batch as the server tells of it."""

    batch_id: str
    status: str
    """`in_progress`, `canceling`, `ended`."""
    created_at: float
    """Unix time."""
    requests: int
    """All counts together, which is right at any time; each alone is told only at the end."""
    counts: Mapping[str, int]
    archived: bool

    @property
    def ended(self) -> bool:
        return self.status == "ended"

    def are_results_gone(self, now: float) -> bool:
        """`now` is Unix time."""
        return self.archived or now > self.created_at + RETENTION_S

    @classmethod
    def of(cls, told: JSON) -> Remote | None:
        """None: it is no batch."""
        if not isinstance(told, dict):
            return None
        batch_id, status, created, counts = (
            told.get(name) for name in ("id", "processing_status", "created_at", "request_counts")
        )
        if not (isinstance(batch_id, str) and isinstance(status, str) and isinstance(created, str)):
            return None
        try:
            at = datetime.fromisoformat(created).timestamp()
        except ValueError:
            return None
        counted = {name: count for name, count in (counts if isinstance(counts, dict) else {}).items() if type(count) is int}
        return cls(batch_id, status, at, sum(counted.values()), counted, told.get("archived_at") is not None)


@dataclass(frozen=True, slots=True)
class Line:
    """One result."""

    custom_id: str
    fate: Fate
    body: bytes
    """The message as it came, or the error response; empty where nothing was answered."""


@dataclass(slots=True)
class Room:
    """What still fits into the parcel that is being filled."""

    most_requests: int = MOST_REQUESTS
    most_bytes: int = MOST_BYTES
    requests: int = 0
    size: int = len(OPENING) + len(CLOSING)

    def admits(self, request: bytes) -> bool:
        """An empty parcel admits any request: one that alone is too large is the server's to refuse."""
        if not self.requests:
            return True
        return self.requests < self.most_requests and self.size + len(BETWEEN) + len(request) <= self.most_bytes

    def take(self, request: bytes) -> None:
        self.size += len(request) + (len(BETWEEN) if self.requests else 0)
        self.requests += 1


def custom_id(position: int, ask: int, key: bytes, nonce: str) -> str:
    """At most 52 of the 64 characters that the API takes, all of them of its alphabet."""
    return f"r{_base36(position)}-{ask}-{key.hex()[:KEY_DIGITS]}-{nonce}"


def named(identity: str) -> tuple[int, int, str, str] | None:
    """Position, ask, beginning of the key and nonce; None: no name of ours."""
    found = _ID.fullmatch(identity)
    return None if found is None else (int(found[1], 36), int(found[2]), found[3], found[4])


def enclosed(identity: str, body: Mapping[str, JSON]) -> bytes:
    """The request as it stands in the batch. The standard library's encoder: a schema may hold integers of any size. Raises
    UnicodeEncodeError for half a surrogate pair, which no JSON in UTF-8 can hold."""
    # `speed` may not stand in a batch, and the only value that is taken for it says nothing.
    params = {name: value for name, value in body.items() if name not in ("stream", "speed")}
    return json.dumps({"custom_id": identity, "params": params}, ensure_ascii=False, separators=(",", ":")).encode()


def line(raw: bytes) -> Line | None:
    """What a line of results says; None where it is cut or none of theirs.

    A message is passed on byte by byte: parsed and written again, a number in it might be another.
    """
    found = _SUCCEEDED.fullmatch(raw)
    if found is not None and _is_object(found[2]):
        return Line(found[1].decode(), "succeeded", found[2])
    try:
        told = json.loads(raw)
    except ValueError:
        return None
    result = told.get("result") if isinstance(told, dict) else None
    if not isinstance(result, dict) or not isinstance(told.get("custom_id"), str):
        return None
    fate = FATES.get(str(result.get("type")))
    if fate is None:
        return None
    about = result.get({"succeeded": "message", "errored": "error"}.get(fate, ""))
    return Line(told["custom_id"], fate, b"" if about is None else json.dumps(about, separators=(",", ":")).encode())


def candidates(listed: Iterable[Remote], parcel: Parcel, taken: Collection[str]) -> list[Remote]:
    """The batches that may be this parcel. Their requests' names, which settle it, are told only after they ended."""
    return [
        remote
        for remote in listed
        if remote.batch_id not in taken and remote.requests == parcel.requests and remote.created_at >= parcel.after - SKEW_S
    ]


def past(listed: Iterable[Remote], parcel: Parcel) -> bool:
    """Whether a list, newest first, has come to batches older than this parcel."""
    return any(remote.created_at < parcel.after - SKEW_S for remote in listed)


def _is_object(raw: bytes) -> bool:
    try:
        return isinstance(orjson.loads(raw), dict)
    except orjson.JSONDecodeError:
        return False


def _base36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
