"""Is the key column a name for every row? Told before anything is sent, in about 16 bytes of memory a row.

The first pass keeps a 64-bit hash of each key; sorted, equal neighbours are candidates. The second pass, made only
when there are some, compares the keys themselves, so that a chance collision is never reported.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import InputUnreadable
from pipeline.read.rows import key_text, values
from pipeline.read.source import Source
from pipeline.read.union import require
from pipeline.records import FILE_SHIFT, Batch

_MOST_NAMED = 5

_MOST_COMPARED = 10_000
"""So many candidates are compared key by key. More than that are no accidents of 64 bits: they are counted by hash."""

_BATCH_ROWS = 8192


def count(source: Source, key: str | None, columns: Sequence[str] = (), *, digest: Callable[[str], int] = hash) -> list[int]:
    """The number of rows of each file, after a pass through all of them.

    Raises InputUnreadable when rows have no key (null or empty) or share one: how many, and the places of up to five;
    ConfigInvalid when there is no such column. `columns` are decoded along the way, so that a damaged page of a
    Parquet file is found now and not amid paid work. `digest` gives 64 signed bits.
    """
    if key is None:
        counted = [0] * len(source.files)
        for batch in source.batches(columns, max_rows=_BATCH_ROWS):
            counted[batch.start >> FILE_SHIFT] += batch.table.num_rows
        return counted
    require(source.schema, [key], "input.key")
    scan = _scan(source, key, columns, digest)
    faults = [*scan.nameless.faults(), *_shared(source, key, scan.hashes, digest)]
    if faults:
        raise InputUnreadable(
            "\n  ".join([f"input.key: column {key!r} does not name the rows", *faults]),
            todo="mend the column, or leave input.key out (rows then go by position); then run the same command again",
        )
    return scan.rows


@dataclass(slots=True)
class _Nameless:
    rows: int = 0
    places: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        return [f"{_rows(self.rows)} without a value: {_shown(self.places, self.rows)}"] if self.rows else []


@dataclass(slots=True)
class _Scan:
    rows: list[int]
    nameless: _Nameless = field(default_factory=_Nameless)
    hashes: array[int] = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class _Group:
    """The rows that have one key."""

    rows: int = 0
    places: list[str] = field(default_factory=list)


def _scan(source: Source, key: str, columns: Sequence[str], digest: Callable[[str], int]) -> _Scan:
    scan = _Scan([0] * len(source.files))
    for batch in source.batches([key, *columns], max_rows=_BATCH_ROWS):
        texts = _texts(batch, key)
        scan.rows[batch.start >> FILE_SHIFT] += len(texts)
        for offset in (offset for offset, text in enumerate(texts) if text is None):
            scan.nameless.rows += 1
            if scan.nameless.rows <= _MOST_NAMED:
                scan.nameless.places.append(_place(source, batch.start + offset))
        scan.hashes.extend(digest(text) for text in texts if text is not None)
    return scan


def _shared(source: Source, key: str, hashes: array[int], digest: Callable[[str], int]) -> list[str]:
    """What is to be said about keys that more than one row has. Sorts the hashes in place."""
    ordered = np.frombuffer(hashes, dtype=np.int64)
    ordered.sort()
    equal = ordered[1:] == ordered[:-1]
    candidates = np.unique(ordered[1:][equal])
    if not len(candidates):
        return []
    groups = _groups(source, key, set(candidates[:_MOST_COMPARED].tolist()), digest)
    if len(candidates) > _MOST_COMPARED:
        keys, rows = len(candidates), int(equal.sum()) + len(candidates)
    else:
        keys, rows = len(groups), sum(group.rows for group in groups.values())
    named = [f"{_quoted(text)} in {_shown(group.places, group.rows)}" for text, group in groups.items()][:_MOST_NAMED]
    shared = "1 key" if keys == 1 else f"{keys} keys"
    return [f"{_rows(rows)} share {shared}: {_shown(named, keys, '; ')}"] if keys else []


def _groups(source: Source, key: str, candidates: set[int], digest: Callable[[str], int]) -> dict[str, _Group]:
    """The candidates' keys that more than one row has indeed, in order of first appearance."""
    groups: dict[str, _Group] = {}
    for batch in source.batches([key], max_rows=_BATCH_ROWS):
        for offset, text in enumerate(_texts(batch, key)):
            if text is not None and digest(text) in candidates:
                group = groups.setdefault(text, _Group())
                group.rows += 1
                if group.rows <= _MOST_NAMED:
                    group.places.append(_place(source, batch.start + offset))
    return {text: group for text, group in groups.items() if group.rows > 1}


def _texts(batch: Batch, key: str) -> list[str | None]:
    # A key that Python cannot hold counts as none, so what `values` says of it is of no use here.
    return [key_text(value) for value in values(batch, key, {})]


def _place(source: Source, position: int) -> str:
    return f"row {(position & ((1 << FILE_SHIFT) - 1)) + 1} of {source.files[position >> FILE_SHIFT]}"


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def _shown(items: Sequence[str], total: int, separator: str = ", ") -> str:
    more = f" and {total - len(items)} more" if total > len(items) else ""
    return separator.join(items) + more


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
