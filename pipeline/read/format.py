"""What a file format must be able to do, and the one place where foreign read errors become ours."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import strerror
from typing import Protocol

import pyarrow as pa

from pipeline.errors import InputUnreadable
from pipeline.remote import Place, Remote, refused

BATCH_BYTES = 16 << 20
"""A batch ends early when its records take about this much: max_rows alone would let 1,024 long documents fill memory."""

_STORE = re.compile(r"bucket|\bAWS\b|\bS3\b|\bGCS\b|google|azure|\bHTTP|curl", re.IGNORECASE)

UNPACKED_BYTES = 1 << 30
UNPACKED_RATIO = 200
"""Compressed data that grows beyond both is refused as a bomb. Text packs 3 to 10 times, repetitive logs 50 to 100 times;
deflate cannot exceed 1,032 times, so a limit near that would let every gzip bomb pass."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a config says of its text files; nothing of it holds for Parquet."""

    encoding: str | None = None
    """A codec of Python; None: UTF-8."""
    delimiter: str | None = None
    """Of CSV; None: found in the header."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Column → a name in kinds.KINDS."""


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive records of one file: what a Batch is before the file's place among the files is known."""

    table: pa.RecordBatch
    """The wanted columns, in the wanted order, in the types that the file gives them."""
    faults: Mapping[int, str] = field(default_factory=dict)
    """Offset in the table → why that record could not be read whole."""


class Format(Protocol):
    """A module that reads one kind of file. What it raises besides InputUnreadable is translated by `reading`."""

    def schemas(self, paths: Sequence[Place], told: Told, /) -> list[pa.Schema]:
        """Columns and types of each file, as they are found; names are unique and not empty."""
        ...

    def parts(self, path: Place, told: Told, wanted: pa.Schema, max_rows: int, skip: int, /) -> Generator[Part, None, None]:
        """The records behind the first `skip`, at most max_rows at a time, reduced to the columns of `wanted` (perhaps none).

        `wanted` gives the types of all files together; a format that stores no types builds these.
        The file is open while the generator is.
        """
        ...

    def manner(self, path: Place, told: Told, /) -> str:
        """How the file is read, for a person: what was told and what was found."""
        ...


@contextmanager
def reading(path: Place) -> Iterator[None]:
    """Turns what goes wrong while this file is read into InputUnreadable."""
    try:
        yield
    except (OSError, MemoryError, UnicodeDecodeError, pa.ArrowException) as error:
        # What is damaged is an OSError of pyarrow too; a store's own errors speak of buckets and HTTP.
        if isinstance(error, OSError) and isinstance(path, Remote) and (error.errno or _STORE.search(str(error))):
            raise refused(path, error) from error
        if isinstance(error, OSError) and error.errno:
            raise InputUnreadable(f"{path}: cannot be read: {strerror(error.errno)}") from error
        reason = str(error).strip().splitlines()
        raise InputUnreadable(
            f"{path}: cannot be read: {reason[0] if reason else type(error).__name__}\n"
            "  The file is damaged, cut short or not of the kind that its name says; make it anew or name another."
        ) from error


def exceeds(packed: int, unpacked: int) -> bool:
    """Whether so many bytes out of so few are a decompression bomb rather than text."""
    return unpacked > UNPACKED_BYTES and unpacked > UNPACKED_RATIO * max(packed, 1)
