"""Bytes on disk that are gone with the process, however it ends: what is too much for memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

BUFFERED = 1 << 20


class Spool:
    """A file without a name in the temporary folder. It is closed once nobody holds it any more, readers included."""

    def __init__(self) -> None:
        self._file, name = tempfile.mkstemp(prefix="pipeline-batch-")
        weakref.finalize(self, os.close, self._file)
        Path(name).unlink()
        self._buffer = bytearray()
        self._written = 0

    @property
    def size(self) -> int:
        return self._written + len(self._buffer)

    def append(self, piece: bytes) -> int:
        """Where `piece` begins. OSError where the disk is full."""
        start = self.size
        self._buffer += piece
        if len(self._buffer) >= BUFFERED:
            self._flush()
        return start

    def read(self, start: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end."""
        if start + length > self._written:
            self._flush()
        return os.pread(self._file, length, start)

    def _flush(self) -> None:
        held = memoryview(self._buffer)
        while held:
            count = os.write(self._file, held)
            self._written += count
            held = held[count:]
        held.release()
        self._buffer = bytearray()
