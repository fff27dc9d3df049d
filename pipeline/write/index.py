"""Request key → the paid replies to that request, for all that a journal holds: the memory behind "same request, one payment".

Sorted arrays of 64-bit prefixes, never a hash table: 16 bytes a reply (a Python dict takes 100, and a B-tree keyed by hash
falls to 5,000 inserts/s at 10^6). New keys gather in a small dict and move to an array of their own; arrays are merged like
the levels of a log-structured tree, so that a look-up searches few of them. A prefix can be shared by two keys: whoever finds
a reply compares the whole key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PREFIX_BYTES = 8
GATHERED = 1 << 15
"""Keys that wait in the dict."""


@dataclass(frozen=True, slots=True)
class _Level:
    keys: NDArray[np.uint64]
    """Sorted."""
    replies: NDArray[np.int64]


def _level(keys: NDArray[np.uint64], replies: NDArray[np.int64]) -> _Level:
    order = np.argsort(keys, kind="stable")
    return _Level(keys[order], replies[order])


def _prefix(key: bytes) -> int:
    return int.from_bytes(key[:PREFIX_BYTES], "little")


@dataclass(slots=True)
class Index:
    _levels: list[_Level] = field(default_factory=list)
    """The largest first."""
    _recent: dict[int, list[int]] = field(default_factory=dict)

    @classmethod
    def load(cls, chunks: Iterable[tuple[bytes, NDArray[np.int64]]]) -> Index:
        """From chunks of (concatenated 8-byte prefixes, ids of the replies), in the order in which the replies came."""
        made = cls()
        keys, replies = [], []
        for prefixes, ids in chunks:
            keys.append(np.frombuffer(prefixes, dtype="<u8").astype(np.uint64, copy=False))
            replies.append(ids)
        if keys:
            made._levels.append(_level(np.concatenate(keys), np.concatenate(replies)))
        return made

    def add(self, key: bytes, reply: int) -> None:
        self._recent.setdefault(_prefix(key), []).append(reply)
        if len(self._recent) >= GATHERED:
            self._settle()

    def find(self, key: bytes) -> list[int]:
        """Replies whose key begins like this one, the latest first."""
        prefix = _prefix(key)
        found = list(self._recent.get(prefix, ()))
        wanted = np.uint64(prefix)
        for level in self._levels:
            at = int(level.keys.searchsorted(wanted))
            while at < len(level.keys) and level.keys[at] == wanted:
                found.append(int(level.replies[at]))
                at += 1
        return sorted(found, reverse=True)

    def _settle(self) -> None:
        """Moves the recent keys into an array, and merges arrays until each is twice as long as the next."""
        pairs = [(key, reply) for key, replies in self._recent.items() for reply in replies]
        self._recent.clear()
        level = _level(
            np.fromiter((key for key, _ in pairs), dtype=np.uint64, count=len(pairs)),
            np.fromiter((reply for _, reply in pairs), dtype=np.int64, count=len(pairs)),
        )
        while self._levels and len(self._levels[-1].keys) < 2 * len(level.keys):
            last = self._levels.pop()
            level = _level(np.concatenate([last.keys, level.keys]), np.concatenate([last.replies, level.replies]))
        self._levels.append(level)
