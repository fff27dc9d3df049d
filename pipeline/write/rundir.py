"""The run folder `runs/<name>/`: its names, and files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

from pipeline.errors import ConfigInvalid, StorageFailed
from pipeline.records import JSON
from pipeline.write.filesystem import refuse_network
from pipeline.write.lock import abandoned, holder

FOLDER_MODE = 0o700
FILE_MODE = 0o600
LOOK_BYTES = 4096
"""Read at a time when the end of the last line is looked for."""


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
        self.report = self.path / "report.html"
        self.batches = self.path / "batches"

    def create(self) -> None:
        """Makes the folder, readable by its owner only. StorageFailed where that cannot be, ConfigInvalid on a network disk."""
        refuse_network(self.path)
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
        # A lone surrogate, which YAML can hold, passes both ways.
        replace(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass"))

    def append_history(self, line: str) -> None:
        """Adds one line to history.jsonl. Call it under the lock: a last line that a lost machine left half is cut off."""
        try:
            descriptor = os.open(self.history, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                end = _end_of_lines(file)
                file.truncate(end)
                file.seek(end)
                try:
                    _write_all(file, line.encode() + b"\n")
                    os.fsync(descriptor)
                except OSError:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise StorageFailed(f"{self.history} cannot be written: {error}") from error

    def holder(self) -> str | None:
        """Who holds the lock now, in words; None when nobody does."""
        return holder(self.lock)

    def abandoned(self) -> bool:
        """Whether the last run was killed."""
        return abandoned(self.lock)


def _end_of_lines(file: FileIO) -> int:
    """The offset behind the last newline; 0 where there is none."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - LOOK_BYTES)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _write_all(file: FileIO, content: bytes) -> None:
    """A write may be short where the disk is nearly full; the next one then says so."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def replace(path: Path, content: bytes, mode: int = FILE_MODE) -> None:
    """Writes a small file whole or not at all: temporary name in the same folder, fsync, rename, fsync of the folder."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
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
