"""All that a journal holds of a run, read without disturbing one that writes it: what `pipeline report` is made of."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.records import Outcome
from pipeline.write.database import outcome_of
from pipeline.write.glance import ROWS, reading


@dataclass(frozen=True, slots=True)
class Came:
    """A reply, without its body."""

    reply: int
    """Ascends in the order in which replies were filed."""
    position: int
    """Of the row that it was bought for."""
    latency_s: float | None
    """None of one that came in a batch."""
    at: float
    """Unix time."""


class Archive:
    """An open journal, as it stood when it was opened."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @property
    def rows(self) -> int | None:
        """Rows of the input as the last run counted them; None where none came so far."""
        noted = self.noted(ROWS)
        return None if noted is None else sum(json.loads(noted))

    def noted(self, name: str) -> str | None:
        """What a run remembered under this name (Journal.note)."""
        with reading(self._path):
            found = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def outcomes(self) -> Iterator[Outcome]:
        """What each row ended as, by position."""
        with reading(self._path):
            for row in self._connection.execute("SELECT * FROM outcome ORDER BY position"):
                yield outcome_of(row)

    def replies(self) -> Iterator[Came]:
        """All that came, in the order in which they were filed. Bodies are passed over, not read into memory."""
        with reading(self._path):
            for row in self._connection.execute("SELECT id, position, nullif(latency_s, 0.0), at FROM reply ORDER BY id"):
                yield Came(*row)

    def bodies(self, replies: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """Reply → what the API answered, byte for byte, for those that are there."""
        for reply in replies:
            with reading(self._path):
                found = self._connection.execute("SELECT body FROM reply WHERE id = ?", (reply,)).fetchone()
            if found is not None:
                yield reply, bytes(found[0])


@contextmanager
def archive(path: Path) -> Iterator[Archive | None]:
    """None where there is no journal. Raises StorageFailed where it is damaged."""
    if not path.exists() or not path.stat().st_size:
        yield None
        return
    with reading(path):
        opened = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10, isolation_level=None)
    # Not within `reading`: what fails in the caller's hands is no damage of the journal.
    with closing(opened) as connection:
        # One snapshot for all that is read: a live run goes on writing meanwhile, and figures must agree with each other.
        with reading(path):
            connection.execute("BEGIN")
        yield Archive(path, connection)
