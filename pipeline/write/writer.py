"""The thread that writes the journal: records in, group commits out.

It commits all that has gathered since its last commit: under load that is hundreds of records a commit, alone it is one, and
nobody waits for a timer.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Bug, PipelineError, StorageFailed
from pipeline.write.database import Statement

GATHER = 500
"""Records a commit at most."""
BACKLOG = 20_000
"""Records that may wait for the writer; beyond that whoever tells the journal waits."""


@dataclass(frozen=True, slots=True)
class _Write:
    statements: Iterable[Statement]
    durable: asyncio.Future[None] | Future[None] | None


class Writer:
    """Writes over a connection of its own, which it closes at the end."""

    def __init__(self, connection: sqlite3.Connection, path: Path, reserve_bytes: int) -> None:
        """`reserve_bytes` of disk are held back by a file beside the journal at `path`; they are given free when it is full."""
        self._path = path
        self._ballast = path.with_name("ballast")
        self._full: PipelineError | None = None
        self._failed: PipelineError | None = None
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._drained = threading.Event()
        """Set whenever records have been taken from the queue."""
        _hold_back(self._ballast, reserve_bytes)
        self._thread = threading.Thread(target=self._write, args=(connection,), name="journal", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Records that are told and not yet taken."""
        return self._queue.qsize()

    def refuse_when_full(self) -> None:
        """Raises StorageFailed once the disk was full: what is out can still be written down, and nothing more is bought."""
        if self._full is not None:
            raise self._full

    def close(self) -> None:
        """Returns once everything told is written down."""
        self._queue.put(None)
        stop: BaseException | None = None
        while self._thread.is_alive():
            try:
                self._thread.join()
            except BaseException as interrupt:  # noqa: BLE001 an impatient signal: what was told is written down all the same
                stop = interrupt
        with suppress(OSError):
            self._ballast.unlink(missing_ok=True)
        if stop is not None:
            raise stop

    def put(self, statements: Iterable[Statement], durable: asyncio.Future[None] | Future[None] | None = None) -> None:
        """One record: its statements run in one transaction; `durable` hears when it is. They are gone through once more where
        the disk was full and its reserve is free again. Waits while many wait; raises what has ended the writing."""
        if self._failed is not None:
            raise self._failed
        while self.waiting >= BACKLOG:
            self._drained.clear()
            if self.waiting >= BACKLOG:
                self._drained.wait()
        self._queue.put(_Write(statements, durable))

    def _write(self, connection: sqlite3.Connection) -> None:
        try:
            while (group := self._gathered()) is not None:
                try:
                    error = self._failed or self._commit(connection, group)
                except Exception as unforeseen:  # noqa: BLE001 without this thread whoever tells the journal would wait for ever
                    error = self._failed = self._refusal(unforeseen)
                _settle([write.durable for write in group if write.durable is not None], error)
        finally:
            connection.close()

    def _gathered(self) -> list[_Write] | None:
        """The next record and all that wait behind it; None at the end."""
        first = self._queue.get()
        if first is None:
            return None
        group = [first]
        while len(group) < GATHER:
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                break
            if write is None:
                self._queue.put(None)
                break
            group.append(write)
        self._drained.set()
        return group

    def _commit(self, connection: sqlite3.Connection, group: list[_Write]) -> PipelineError | None:
        error = self._tried(connection, group)
        if isinstance(error, sqlite3.OperationalError) and _given_free(self._ballast):
            # The disk is full, or fails: with the reserve free again there is room for what is already out.
            self._full = self._refusal(error)
            error = self._tried(connection, group)
        if error is not None:
            self._failed = self._refusal(error)
        return self._failed

    def _tried(self, connection: sqlite3.Connection, group: list[_Write]) -> Exception | None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for write in group:
                for statement, values in write.statements:
                    connection.execute(statement, values)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 whoever waits must hear of anything, or would wait for ever
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            return error
        return None

    def _refusal(self, error: Exception) -> PipelineError:
        """As what the job hears of it. Anything but the database's own refusal is our bug."""
        refused = StorageFailed if isinstance(error, sqlite3.DatabaseError) else Bug
        told = refused(f"the journal {self._path} cannot be written: {error}")
        told.__cause__ = error
        return told


def _settle(waiting: list[asyncio.Future[None] | Future[None]], error: BaseException | None) -> None:
    """Tells those who wait for a commit, and each event loop once: to wake it takes a system call (with one a record, the
    journal took 109 µs of CPU a row instead of 75; measured 2026-11-26)."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for done in waiting:
        if isinstance(done, asyncio.Future):
            loops.setdefault(done.get_loop(), []).append(done)
        else:
            _conclude([done], error)
    for loop, theirs in loops.items():
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(_conclude, theirs, error)


def _conclude(waiting: Sequence[asyncio.Future[None] | Future[None]], error: BaseException | None) -> None:
    for done in waiting:
        if done.cancelled():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _given_free(ballast: Path) -> bool:
    """Whether there was a reserve to give free. A disk that fails may refuse that, too."""
    try:
        ballast.unlink()
    except OSError:
        return False
    return True


def _hold_back(ballast: Path, reserve_bytes: int) -> None:
    if not reserve_bytes:
        return
    try:
        descriptor = os.open(ballast, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, reserve_bytes)
        finally:
            os.close(descriptor)
    except OSError as error:
        with suppress(OSError):
            ballast.unlink(missing_ok=True)
        raise StorageFailed(
            f"{ballast.parent} has no {reserve_bytes / 2**20:.0f} MB free ({error.strerror}), so that replies in flight could "
            "not be written down: nothing was sent",
            todo="make room, or set run.folder to another disk; then run the same command again",
        ) from error
