"""What a journal knows of requests and rows, read without disturbing a run that writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Status, Usage
from pipeline.write.glance import Spent, reading, spent
from pipeline.write.index import PREFIX_BYTES

KEYS_READ = 50_000


@dataclass(frozen=True, slots=True)
class Ended:
    """A row's outcome, as far as it says what such rows take."""

    key: bytes | None
    status: Status
    asks: int
    bought: bool
    """On its own account: its usage is all that it took."""
    usage: Usage
    latency_s: float | None


class Known:
    """An open journal; None stands for one that is not there yet."""

    def __init__(self, path: Path, connection: sqlite3.Connection | None) -> None:
        self._path = path
        self._connection = connection
        self.paid = self._paid()
        """The first eight bytes of the request key of every reply, sorted: 8 bytes each."""

    def has(self, prefixes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of these request keys a reply is there for. By eight bytes: among 10^7 replies one in 10^12 errs."""
        if not len(self.paid):
            return np.zeros(len(prefixes), dtype=np.bool_)
        at = np.minimum(self.paid.searchsorted(prefixes), len(self.paid) - 1)
        found: NDArray[np.bool_] = self.paid[at] == prefixes
        return found

    def ended_in(self, first: int, after: int) -> dict[int, Ended]:
        """The outcomes of the rows in [first, after), by position."""
        if self._connection is None:
            return {}
        statement = (
            "SELECT position, key, status, asks, reused, input_tokens, output_tokens, cache_read_tokens, "
            "cache_write_5m_tokens, cache_write_1h_tokens, thinking_tokens, latency_s "
            "FROM outcome WHERE position >= ? AND position < ?"
        )
        with reading(self._path):
            found = self._connection.execute(statement, (first, after)).fetchall()
        return {
            position: Ended(key, Status(status), asks, not reused and sum(tokens) > 0, Usage(*tokens), latency_s)
            for position, key, status, asks, reused, *tokens, latency_s in found
        }

    def spent(self) -> Spent | None:
        """None where there is no journal, or one of an earlier version."""
        if self._connection is None:
            return None
        with reading(self._path):
            columns = [name for _, name, *_ in self._connection.execute("PRAGMA table_info(paid)")]
            return spent(self._connection) if "usd" in columns else None

    def _paid(self) -> NDArray[np.uint64]:
        if self._connection is None:
            return np.array([], dtype=np.uint64)
        chunks = [np.array([], dtype=np.uint64)]
        with reading(self._path):
            cursor = self._connection.execute("SELECT substr(key, 1, ?) FROM paid", (PREFIX_BYTES,))
            while rows := cursor.fetchmany(KEYS_READ):
                chunks.append(np.frombuffer(b"".join(row[0] for row in rows), dtype="<u8").astype(np.uint64, copy=False))
        return np.sort(np.concatenate(chunks))


@contextmanager
def known(path: Path) -> Iterator[Known]:
    """Raises StorageFailed where the journal is damaged."""
    if not path.exists() or not path.stat().st_size:
        yield Known(path, None)
        return
    with reading(path), closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10)) as connection:
        yield Known(path, connection)
