"""What tells cheaply whether the input files are those of the last run.

For people, and to spare work; the truth about a row is its request key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import BinaryIO, TypedDict

from pipeline.read import folder
from pipeline.read.format import reading
from pipeline.remote import Place, Remote

_TAIL_BYTES = 8  # length of the footer, little endian, and the magic PAR1 (Parquet file format)

_BLOCK_BYTES = 1 << 20


class StoredFile(TypedDict):
    """One file of a fingerprint as JSON."""

    name: str
    size: int
    mtime_ns: int
    footer: str | None


@dataclass(frozen=True, slots=True)
class FilePrint:
    name: str
    """The path as it was given."""
    size: int
    mtime_ns: int
    footer: str | None
    """Of a Parquet file: a hash of its footer, which holds place, size and statistics of every column chunk. Of a folder: a
    hash of the names, sizes and times of its files."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    files: tuple[FilePrint, ...]

    def as_json(self) -> list[StoredFile]:
        return [StoredFile(name=file.name, size=file.size, mtime_ns=file.mtime_ns, footer=file.footer) for file in self.files]

    @classmethod
    def from_json(cls, stored: Iterable[StoredFile]) -> Fingerprint:
        return cls(tuple(FilePrint(**file) for file in stored))

    def changes(self, since: Fingerprint) -> list[str]:
        """What is different from an earlier fingerprint, a sentence each; empty when they are equal."""
        now = {file.name: file for file in self.files}
        then = {file.name: file for file in since.files}
        changed = [f"{name} is new" for name in now if name not in then]
        changed += [f"{name} is gone" for name in then if name not in now]
        changed += [_difference(then[name], file) for name, file in now.items() if name in then and then[name] != file]
        if [name for name in now if name in then] != [name for name in then if name in now]:
            changed.append("the files come in another order")
        return changed


def fingerprint(files: Sequence[Place]) -> Fingerprint:
    """Reads a few bytes of each file; raises InputUnreadable."""
    return Fingerprint(tuple(_print(path) for path in files))


def _print(path: Place) -> FilePrint:
    with reading(path):
        if folder.root(path) is not None:
            total, names = folder.digest(path)
            return FilePrint(str(path), total, 0, names)
        found = path.stat()
        footer = _footer(path) if path.suffix.lower() == ".parquet" else None
    return FilePrint(str(path), found.st_size, found.st_mtime_ns, footer)


def _footer(path: Place) -> str:
    with path.open() if isinstance(path, Remote) else path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        length = int.from_bytes(file.read(_TAIL_BYTES)[:4], "little")
        file.seek(max(0, size - _TAIL_BYTES - length))
        return _hash(file)


def _hash(file: BinaryIO) -> str:
    digest = blake2b(digest_size=16)
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _difference(then: FilePrint, now: FilePrint) -> str:
    if then.size != now.size:
        return f"{now.name} has changed from {then.size} to {now.size} bytes"
    if then.footer != now.footer:
        return f"{now.name} has changed: same size, another {'footer' if now.mtime_ns else 'list of files'}"
    written = datetime.fromtimestamp(now.mtime_ns // 10**9, UTC)
    return f"{now.name} was written again at {written:%Y-%m-%d %H:%M:%S} UTC, with the same size"
