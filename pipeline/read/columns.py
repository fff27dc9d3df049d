"""Python values → Arrow columns, strictly.

The buffers are filled here and not by `pa.array`, because that imports pandas (0.3 CPU s at start-up; pyarrow 26,
measured 2026-11-23) and quietly turns True into 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_EPOCH = date(1970, 1, 1)


def strings(values: Sequence[str | None]) -> pa.Array:
    """A string column; raises UnicodeEncodeError on half a surrogate pair."""
    encoded = [b"" if value is None else value.encode() for value in values]
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, encoded), dtype=np.int32, count=len(values)), out=offsets[1:])
    buffers = [_present(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def integers(values: Sequence[int | None]) -> pa.Array:
    """An int64 column; raises OverflowError beyond it."""
    return _fixed(pa.int64(), values, np.fromiter((value or 0 for value in values), dtype=np.int64, count=len(values)))


def doubles(values: Sequence[float | None]) -> pa.Array:
    filled = np.fromiter((value or 0.0 for value in values), dtype=np.float64, count=len(values))
    return _fixed(pa.float64(), values, filled)


def booleans(values: Sequence[bool | None]) -> pa.Array:
    return _fixed(pa.bool_(), values, _bits([bool(value) for value in values]))


def dates(values: Sequence[date | None]) -> pa.Array:
    days = ((value or _EPOCH).toordinal() - _EPOCH.toordinal() for value in values)
    return _fixed(pa.date32(), values, np.fromiter(days, dtype=np.int32, count=len(values)))


def instants(values: Sequence[datetime | None], zone: str | None = None) -> pa.Array:
    """Microseconds; in UTC where there is a zone, and then of values that know their offset."""
    begin = datetime(1970, 1, 1, tzinfo=UTC if zone else None)
    ticks = (((value or begin) - begin) // timedelta(microseconds=1) for value in values)
    return _fixed(pa.timestamp("us", zone), values, np.fromiter(ticks, dtype=np.int64, count=len(values)))


def empty(rows: int) -> pa.RecordBatch:
    """So many rows of no column: counted, but holding nothing."""
    return pa.RecordBatch.from_arrays([pa.nulls(rows)], names=["rows"]).select([])


def batch(columns: Sequence[pa.Array], names: Sequence[str], rows: int) -> pa.RecordBatch:
    """A table that knows its number of rows even when it has no column."""
    return pa.RecordBatch.from_arrays(columns, names=list(names)) if columns else empty(rows)


def _fixed(kind: pa.DataType, values: Sequence[object], filled: npt.NDArray[np.generic]) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [_present(values), pa.py_buffer(filled)])


def _present(values: Sequence[object]) -> pa.Buffer | None:
    if None not in values:
        return None
    return pa.py_buffer(_bits([value is not None for value in values]))


def _bits(flags: Sequence[bool]) -> npt.NDArray[np.uint8]:
    return np.packbits(np.array(flags, dtype=np.bool_), bitorder="little")
