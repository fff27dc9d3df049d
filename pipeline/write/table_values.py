"""Arrow values as JSON has them, for the formats that are text.

Times become ISO 8601 (those with a zone as UTC, with Z), durations seconds, binary base64. Whatever a foreign file holds,
these functions do not fail: text that is no UTF-8 comes out with U+FFFD.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types


def plain(array: pa.Array) -> list[object]:
    """str, int, float, bool, None, Decimal; for nested types list and dict, which `to_json` takes as they are."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    for claim, values in _RULES:
        if claim(array.type):
            return values(array)
    try:
        return array.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:  # Parquet readers do not look whether text is UTF-8
        return [_decoded(value) for value in array.cast(_undecoded(array.type)).to_pylist()]


def to_json(value: object) -> bytes:
    """Compact JSON as UTF-8. NaN and infinities, which JSON lacks, become null."""
    return orjson.dumps(value, default=_foreign)


def _iso(array: pa.Array) -> list[object]:
    if types.is_timestamp(array.type) and array.type.tz is not None:
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    return pc.replace_substring(array.cast(pa.string()), " ", "T").to_pylist()  # type: ignore[no-any-return]


def _shortest(array: pa.Array) -> list[object]:
    """0.1 held in 32 bits is 0.1, not 0.10000000149011612."""
    return [None if text is None else float(text) for text in array.cast(pa.string()).to_pylist()]


def _seconds(array: pa.Array) -> list[object]:
    ticks = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[array.type.unit]
    return [None if value is None else value / ticks for value in array.cast(pa.int64()).to_pylist()]


def _base64(array: pa.Array) -> list[object]:
    return [None if value is None else _encoded(value) for value in array.to_pylist()]


def _texts(array: pa.Array) -> list[object]:
    try:
        return array.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return [_decoded(value) for value in array.cast(pa.large_binary()).to_pylist()]


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


_RULES: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], list[object]]], ...] = (
    (_is_text, _texts),
    (_is_binary, _base64),
    (lambda kind: types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind), _iso),
    (types.is_duration, _seconds),
    (lambda kind: types.is_float16(kind) or types.is_float32(kind), _shortest),
)


def _undecoded(kind: pa.DataType) -> pa.DataType:
    """The type with bytes wherever it has text."""
    if _is_text(kind):
        return pa.large_binary()
    if types.is_struct(kind):
        return pa.struct([field.with_type(_undecoded(field.type)) for field in kind.fields])
    if types.is_map(kind):
        return pa.map_(_undecoded(kind.key_type), _undecoded(kind.item_type))
    if types.is_large_list(kind):
        return pa.large_list(_undecoded(kind.value_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(_undecoded(kind.value_type), kind.list_size)
    if types.is_list(kind):
        return pa.list_(_undecoded(kind.value_type))
    return kind


def _decoded(value: object) -> object:
    match value:
        case bytes():
            return value.decode("utf-8", "replace")
        case list() | tuple():
            return [_decoded(item) for item in value]
        case dict():
            return {_decoded(name): _decoded(item) for name, item in value.items()}
        case _:
            return value


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _foreign(value: object) -> object:
    """What orjson does not know by itself, inside nested values."""
    match value:
        case bytes():
            return _encoded(value)
        case Decimal():
            return orjson.Fragment(format(value, "f"))
        case timedelta():
            return value.total_seconds()
        case date():  # its subclass pandas.Timestamp, as which nanoseconds come
            return value.isoformat()
        case _:
            return str(value)
