"""A folder, or a glob over images and documents, as a table: a row a file, with its name and size, never its content.

    path        below the folder, with / between folders
    name        the last part of it
    size        bytes
    modified    UTC

The content is read when its row is asked about, and held no longer. Rows come in the order of their paths, folder by folder.
Hidden files and folders are left out. Whatever else is no folder is a row, so that nothing is passed over: a pipe, or a link
that leads elsewhere, ends as a row that cannot be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import pyarrow as pa

from pipeline.errors import InputUnreadable
from pipeline.read.columns import batch, integers, strings
from pipeline.read.format import Part, Told
from pipeline.remote import Place, Remote

PATH = "path"
CONTENT = "bytes"
"""What `prompt.images` and `prompt.documents` call the content of a row's file; no column of the table."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".pdf", ".txt", ".md")
"""A glob that finds nothing else stands for the files themselves."""
_SCHEMA = pa.schema(
    [(PATH, pa.string()), ("name", pa.string()), ("size", pa.int64()), ("modified", pa.timestamp("us", tz="UTC"))]
)
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Entry:
    path: str
    """Relative; bytes that are not UTF-8 are surrogates in it (os.fsdecode)."""
    size: int
    modified_ns: int


def root(path: Place) -> Path | None:
    """The folder whose files are rows; None where the path is that of a table, or in a store."""
    if isinstance(path, Remote):
        return None
    if path.is_dir():
        return path
    if path.exists() or not _MAGIC.search(str(path)):
        return None
    fixed = next(index for index, part in enumerate(path.parts) if _MAGIC.search(part))
    return Path(*path.parts[:fixed])


def schemas(paths: Sequence[Place], told: Told, /) -> list[pa.Schema]:
    return [_SCHEMA for _ in paths]


def manner(path: Place, told: Told, /) -> str:
    return "a folder, a row for each file"


def parts(path: Place, told: Told, wanted: pa.Schema, max_rows: int, skip: int, /) -> Generator[Part, None, None]:
    entries = islice(listed(path), skip, None)
    while rows := list(islice(entries, max_rows)):
        faults = {offset: fault for offset, entry in enumerate(rows) if (fault := _unspeakable(entry.path)) is not None}
        paths = [_spoken(entry.path) for entry in rows]
        modified = integers([entry.modified_ns // 1_000 for entry in rows])
        columns = {
            PATH: strings(paths),
            "name": strings([each.rpartition("/")[2] for each in paths]),
            "size": integers([entry.size for entry in rows]),
            "modified": modified.view(_SCHEMA.field("modified").type),
        }
        yield Part(batch([columns[name] for name in wanted.names], wanted.names, len(rows)), faults)


def listed(path: Place) -> Iterator[Entry]:
    """Every file, in order. Holds the names of one folder and of those above it. Raises OSError."""
    top = root(path)
    if top is None or isinstance(path, Remote):
        raise InputUnreadable(f"{path}: no such folder")
    pattern = None if top == path else path.relative_to(top).parts
    for entry in _below(str(top), ""):
        if pattern is None or _matches(tuple(entry.path.split("/")), pattern):
            yield entry


def digest(path: Place) -> tuple[int, str]:
    """Bytes of all files, and a hash of their names, sizes and times."""
    total, names = 0, blake2b(digest_size=16)
    for entry in listed(path):
        total += entry.size
        names.update(f"{entry.path}\0{entry.size}\0{entry.modified_ns}\0".encode("utf-8", "surrogateescape"))
    return total, names.hexdigest()


def _below(folder: str, prefix: str) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, f"{prefix}{entry.name}/")
            continue
        try:
            status = entry.stat()  # of what a link leads to: that is what would be read
        except OSError:
            status = entry.stat(follow_symlinks=False)
        yield Entry(prefix + entry.name, status.st_size, status.st_mtime_ns)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """As a glob does: `**` stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _unspeakable(path: str) -> str | None:
    if path == _spoken(path):
        return None
    return f"the name {_spoken(path)!r} is not UTF-8: rename the file"


def _spoken(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
