"""How a process of a campaign is struck by a signal at an exact place. Used inside that process, before the program starts.

The program is not changed: what is counted are the calls it makes to the standard library on its way to the disk.
"""

from __future__ import annotations

import io
import os
import resource
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, Literal, TypeAlias

FILE_CALLS = ("open", "write", "pwrite", "ftruncate", "fsync", "replace", "rename", "unlink", "mkdir", "chmod", "fchmod")
"""Functions of `os` that a published file, a small file of the run folder and the lock go through."""


Kind: TypeAlias = Literal["commit", "statement", "file", "table", "call"]
"""A COMMIT of the journal; any statement, on any of its connections; a call of `os` that changes a file; a write to the table
that is being published; any call of a Python function by the main thread."""


@dataclass(frozen=True, slots=True)
class Death:
    """A signal at the `number`-th call (from 1) of this kind, before or after it; a write to the table: in the midst of it."""

    kind: Kind
    number: int
    after: bool
    by: int = signal.SIGKILL

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.kind} {self.number}"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is special about one start of the program."""

    death: Death | None = None
    largest_file: int | None = None
    """Bytes beyond which the kernel refuses to let a file grow (EFBIG)."""

    def arrange(self) -> None:
        if self.death is not None:
            _Reaper(self.death).watch()
        if self.largest_file is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.largest_file, self.largest_file))


class _Reaper:
    def __init__(self, death: Death) -> None:
        self._death = death
        self._calls = 0
        self._lock = threading.Lock()

    def watch(self) -> None:
        if self._death.kind == "file":
            for name in FILE_CALLS:
                setattr(os, name, self._counted(getattr(os, name)))
        elif self._death.kind == "call":
            sys.setprofile(self._called)
        elif self._death.kind == "table":
            io.open = partial(_open, self)  # what Path.open calls
        else:
            sqlite3.connect = partial(sqlite3.connect, factory=self._connection())  # type: ignore[assignment]

    def due(self) -> bool:
        """Counts a call; whether it is the one."""
        with self._lock:
            self._calls += 1
            return self._calls == self._death.number

    @property
    def after(self) -> bool:
        return self._death.after

    def strike(self) -> None:
        os.kill(os.getpid(), self._death.by)

    def _called(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and self.due():
            sys.setprofile(None)
            self.strike()

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            due = self.due()
            if due and not self.after:
                self.strike()
            result = call(*arguments, **options)
            if due and self.after:
                self.strike()
            return result

        return counted

    def _connection(self) -> type[sqlite3.Connection]:
        reaper = self
        every = self._death.kind == "statement"

        class Watched(sqlite3.Connection):
            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                run = super().execute
                return (reaper._counted(run) if every or statement == "COMMIT" else run)(statement, *values)

            def executescript(self, script: str) -> sqlite3.Cursor:
                run = super().executescript
                return (reaper._counted(run) if every else run)(script)

            def commit(self) -> None:
                reaper._counted(super().commit)()

        return Watched


class _Torn(io.BufferedWriter):
    """The table being published: dies before one of its writes, or in the middle of it."""

    def __init__(self, raw: io.FileIO, reaper: _Reaper) -> None:
        super().__init__(raw, 1 << 20)
        self._reaper = reaper

    def write(self, content: Any) -> int:
        if self._reaper.due():
            if self._reaper.after:
                half = memoryview(content).cast("B")
                super().write(half[: len(half) // 2])
                self.flush()
            self._reaper.strike()
        return super().write(content)


def _open(reaper: _Reaper, path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
    if str(path).endswith(".partial") and mode == "xb":
        return _Torn(io.FileIO(path, "xb"), reaper)
    return open(path, mode, *arguments, **options)  # noqa: PTH123 what Path.open would have done
