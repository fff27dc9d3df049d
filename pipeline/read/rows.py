"""A batch of columns → rows of Python values."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipeline.records import Batch, Row


def rows(batch: Batch, columns: Sequence[str], key: str | None) -> list[Row]:
    """One Row a record, in order, its values limited to `columns`.

    Values are those of Arrow's `to_pylist` (datetime, Decimal, dict and list for what is nested, bytes). One that
    Python cannot hold, such as a date in the year 70000, is None and a fault of its row. `columns` and `key` must be
    in the batch.
    """
    faults = dict(batch.faults)
    lists = {name: values(batch, name, faults) for name in columns}
    if key is None:
        keys = [str(batch.ordinal + offset) for offset in range(batch.table.num_rows)]
    else:
        keys = [key_text(value) or "" for value in (lists[key] if key in lists else values(batch, key, faults))]
    records = zip(*lists.values(), strict=True) if lists else ((),) * batch.table.num_rows
    return [
        Row(batch.start + offset, text, dict(zip(lists, record, strict=True)), faults.get(offset))
        for offset, (text, record) in enumerate(zip(keys, records, strict=True))
    ]


def values(batch: Batch, name: str, faults: dict[int, str]) -> list[object]:
    """One column as Python values; adds to `faults` what Python cannot hold."""
    column = batch.table.column(name)
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = _microseconds(column)
    try:
        listed: list[object] = column.to_pylist()
    except (OverflowError, ValueError, pa.ArrowException):
        return [_value(scalar, name, offset, faults) for offset, scalar in enumerate(column)]
    return listed


def key_text(value: object) -> str | None:
    """What a person calls a row by this value of its key column; None where there is no value to call it by."""
    match value:
        case None | "":
            return None
        case bytes():
            return value.decode(errors="backslashreplace") or None
        case _:
            return str(value)


def _microseconds(column: pa.Array) -> pa.Array:
    """Plain datetimes where nothing is lost by it; nanoseconds would need pandas, which costs 0.3 s to import."""
    try:
        return column.cast(pa.timestamp("us", column.type.tz))
    except pa.ArrowInvalid:
        return column


def _value(scalar: pa.Scalar, name: str, offset: int, faults: dict[int, str]) -> object:
    try:
        value: object = scalar.as_py()
    except (OverflowError, ValueError, pa.ArrowException) as error:
        faults.setdefault(offset, f"column {name!r} holds a {scalar.type} that Python cannot: {error}")
        return None
    return value
