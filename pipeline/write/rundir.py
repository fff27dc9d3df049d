"""The run folder `runs/<name>/`: its names, its lock, and files that appear whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import ComeBackLater, ConfigInvalid, StorageFailed
from pipeline.records import JSON

FOLDER_MODE = 0o700
FILE_MODE = 0o600
LOOKS = 5
LOOK_S = 0.05


class RunFolder:
    """The files of one job's run folder. Nothing is made before `create`."""

    def __init__(self, parent: Path, name: str) -> None:
        self.path = parent / name
        self.lock = self.path / "lock"
        self.job = self.path / "job.json"
        self.journal = self.path / "journal.db"
        self.summary = self.path / "summary.json"
        self.history = self.path / "history.jsonl"
        self.log = self.path / "log.jsonl"

    def create(self) -> None:
        """Makes the folder, readable by its owner only. StorageFailed where that cannot be."""
        try:
            self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self.path.chmod(FOLDER_MODE)
        except OSError as error:
            raise StorageFailed(f"the run folder {self.path} cannot be made: {error}") from error

    def read_json(self, path: Path) -> dict[str, JSON] | None:
        """The object in one of the folder's JSON files; None if it is not there. ConfigInvalid if it is damaged."""
        try:
            read = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ConfigInvalid(f"{path} cannot be read: {error}", todo=f"look at {path}, or remove it") from error
        if not isinstance(read, dict):
            raise ConfigInvalid(f"{path} holds no JSON object", todo=f"look at {path}, or remove it")
        return read

    def write_json(self, path: Path, value: Mapping[str, JSON]) -> None:
        replace(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def append_history(self, line: str) -> None:
        """Adds one line to history.jsonl, in one write."""
        try:
            descriptor = os.open(self.history, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                os.write(descriptor, line.encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageFailed(f"{self.history} cannot be written: {error}") from error

    def holder(self) -> str | None:
        """Who holds the lock now, in words; None when nobody does."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            # A shared lock is enough to see whether a run holds the exclusive one, and two who look do not meet.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(descriptor)
        finally:
            os.close(descriptor)
        return None


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds `path` for this process; the kernel drops it at death, so there are no stale locks.

    Raises ComeBackLater naming the holder where another process has it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise StorageFailed(f"the lock {path} cannot be made: {error}") from error
    try:
        try:
            for _ in range(LOOKS):
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(LOOK_S)  # `pipeline status` holds it for an instant to see whether a run does
            else:
                raise ComeBackLater(f"another run holds {what}: {_holder(descriptor)}")
        except OSError as error:
            raise StorageFailed(f"{path} cannot be locked ({error}): is it on a network file system?") from error
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with suppress(OSError):  # the words are for people; the lock holds without them
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()} since {started}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "a process that has not said which"


def replace(path: Path, content: bytes) -> None:
    """Writes a small file whole or not at all: temporary name in the same folder, fsync, rename, fsync of the folder."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageFailed(f"{path} cannot be written: {error}") from error
