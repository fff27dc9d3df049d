"""A parcel while it is filled: on disk, since a batch may be of 230 MB."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from pipeline.call.parcel import BETWEEN, CLOSING, OPENING, Room
from pipeline.call.slips import Slips
from pipeline.errors import StorageFailed
from pipeline.records import Slip

BUFFER_BYTES = 1 << 20


@dataclass(slots=True)
class Filling:
    """The parcel that is being filled, on disk."""

    nonce: str
    path: Path
    file: BinaryIO
    room: Room
    digest: blake2b
    slips: Slips = field(default_factory=Slips)
    again: int = 0
    """Re-asks among them."""
    _keys: set[bytes] = field(default_factory=set, init=False)

    def add(self, slip: Slip, request: bytes) -> None:
        self._write(request if not self.slips else BETWEEN + request)
        self.room.take(request)
        self.slips.add(slip)
        self._keys.add(slip.key)

    def holds(self, key: bytes) -> bool:
        """Whether this very request is in it."""
        return key in self._keys

    def close(self) -> None:
        """The body is whole, and durable."""
        self._write(CLOSING)
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
        except OSError as error:
            raise self._refused(error) from error

    def begin(self) -> None:
        self._write(OPENING)

    def _write(self, content: bytes) -> None:
        try:
            self.file.write(content)
        except OSError as error:
            raise self._refused(error) from error
        self.digest.update(content)

    def _refused(self, error: OSError) -> StorageFailed:
        return StorageFailed(f"{self.path} cannot be written: {error}")


def begun(folder: Path, nonce: str, room: Room) -> Filling:
    """An empty parcel. Raises StorageFailed."""
    path = folder / f"{nonce}.json"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFailed(f"{path} cannot be made: {error}") from error
    filling = Filling(nonce, path, os.fdopen(descriptor, "wb", BUFFER_BYTES), room, blake2b(digest_size=16))
    filling.begin()
    return filling
