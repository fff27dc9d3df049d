"""Request key → the paid replies to that request, for all that a journal holds: the memory behind "same request, one payment".

Sorted arrays of 64-bit prefixes, never a hash table: 16 bytes a reply (a Python dict takes 100, and a B-tree keyed by hash
falls to 5,000 inserts/s at 10^6). New keys gather in a small dict; full, it becomes an array, and arrays of like size are
merged, so that a look-up searches few of them. An array that is long enough is sealed: written to a file and mapped, so that
neither memory nor the next start grows with the journal. A prefix can be shared by two keys: whoever finds a reply compares
the whole key.

The files only repeat what the journal says. They carry the journal's name and the replies they cover, appear whole or not at
all, and are made anew from the journal where they are missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

PREFIX_BYTES = 8
GATHERED = 1 << 13
"""Keys that wait in the dict."""
SEALED = 1 << 18
"""Keys in an array that goes to a file: 4 MiB."""

Keys: TypeAlias = Callable[[int], Iterable[tuple[bytes, NDArray[np.uint64]]]]
"""All keys of replies after the given one, in order: chunks of concatenated 8-byte prefixes, and the ids of the replies."""


@dataclass(frozen=True, slots=True)
class _Level:
    """Two rows: prefixes, sorted; and the replies they belong to."""

    table: NDArray[np.uint64]
    last: int
    """The latest reply in it."""
    prefixes: NDArray[np.uint64] = field(init=False)
    """The first row, which every look-up takes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefixes", self.table[0])

    def __len__(self) -> int:
        return int(self.table.shape[1])

    def find(self, prefix: np.uint64) -> Iterator[int]:
        at = int(self.prefixes.searchsorted(prefix))
        while at < len(self.prefixes) and self.prefixes[at] == prefix:
            yield int(self.table[1, at])
            at += 1


def _level(keys: NDArray[np.uint64], replies: NDArray[np.uint64]) -> _Level:
    order = np.argsort(keys, kind="stable")
    return _Level(np.stack([keys[order], replies[order]]), int(replies.max()))


def _merged(before: _Level, level: _Level) -> _Level:
    """Both are sorted, so that no sort is needed; of equal prefixes the earlier replies come first. Copies of either would be
    20 MB at half a million keys, the most that a run took while it asked."""
    at = np.searchsorted(before.table[0], level.table[0], side="right")
    at += np.arange(len(level))
    table = np.empty((2, len(before) + len(level)), dtype=np.uint64)
    rest = np.ones(table.shape[1], dtype=bool)
    rest[at] = False
    for row, earlier, later in zip(table, before.table, level.table, strict=True):
        row[rest] = earlier
        row[at] = later
    return _Level(table, max(before.last, level.last))


def _prefix(key: bytes) -> int:
    return int.from_bytes(key[:PREFIX_BYTES], "little")


class Index:
    """One writer, one thread. `folder` is for the sealed arrays of the journal called `name`."""

    def __init__(self, folder: Path, name: str, keys: Keys) -> None:
        self._folder = folder
        self._name = name
        self._levels: list[_Level] = self._mapped()
        """In the order of their replies; the sealed ones first."""
        self._sealed = len(self._levels)
        self._recent: dict[int, list[int]] = {}
        self._gathered = 0
        self._whole = True
        """Whether all replies so far are here. A file without one of them would hide it from the next start."""
        for prefixes, replies in keys(self._levels[-1].last if self._levels else 0):
            self._put(_level(np.frombuffer(prefixes, dtype="<u8").astype(np.uint64, copy=False), replies))
        self._last = self._levels[-1].last if self._levels else 0

    def add(self, key: bytes, reply: int) -> None:
        """`reply` is durable. Replies come in order; where one is left out, nothing more is sealed by this process."""
        self._whole = self._whole and reply == self._last + 1
        self._last = reply
        self._recent.setdefault(_prefix(key), []).append(reply)
        self._gathered += 1
        if self._gathered >= GATHERED:
            pairs = [(prefix, number) for prefix, replies in self._recent.items() for number in replies]
            self._recent = {}
            self._gathered = 0
            prefixes, replies = np.array(pairs, dtype=np.uint64).T
            self._put(_level(prefixes, replies))

    def find(self, key: bytes) -> list[int]:
        """Replies whose key begins like this one, the latest first."""
        prefix = _prefix(key)
        found = list(self._recent.get(prefix, ()))
        sought = np.uint64(prefix)
        for level in self._levels:
            found.extend(level.find(sought))
        return sorted(found, reverse=True)

    def _put(self, level: _Level) -> None:
        """Adds an array of the latest replies, merging arrays until each is twice as long as the next."""
        while len(self._levels) > self._sealed and len(self._levels[-1]) < 2 * len(level):
            level = _merged(self._levels.pop(), level)
        if len(level) >= SEALED and self._whole:
            # What is older is shorter than twice this and not sealed yet: all of it goes into the same file.
            while len(self._levels) > self._sealed:
                level = _merged(self._levels.pop(), level)
            level = self._written(level)
            self._sealed += 1
        self._levels.append(level)

    def _written(self, level: _Level) -> _Level:
        """The same, mapped from a file; or as it is where the disk has no room for it: then the next start takes longer."""
        path = self._folder / f"{self._name}-{int(level.table[1].min())}-{level.last}.npy"
        temporary = path.with_suffix(".partial")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
                np.save(file, level.table)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            return _Level(np.load(path, mmap_mode="r"), level.last)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            return level

    def _mapped(self) -> list[_Level]:
        """The sealed arrays that are there without a gap, from the first reply on. What belongs to no such chain is removed."""
        found: dict[int, tuple[int, Path]] = {}
        named = re.compile(re.escape(self._name) + r"-(\d+)-(\d+)\.npy")
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            match = named.fullmatch(path.name)
            if match is None:
                path.unlink(missing_ok=True)
            else:
                found[int(match[1])] = (int(match[2]), path)
        levels: list[_Level] = []
        first = 1
        while first in found:
            last, path = found.pop(first)
            with suppress(OSError, ValueError):
                levels.append(_Level(np.load(path, mmap_mode="r"), last))
                first = last + 1
                continue
            path.unlink(missing_ok=True)
        for _, path in found.values():
            path.unlink(missing_ok=True)
        return levels
