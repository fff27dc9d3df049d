"""Arrow values as JSON has them, for the formats that are text.

Times become ISO 8601 (those with a zone as UTC, with Z), durations seconds, binary base64. Whatever a foreign file holds,
these functions do not fail: text that is no UTF-8 comes out with U+FFFD.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import orjson
import pyarrow as pa
from pyarrow import types

_OUT_OF_RANGE = re.compile(r"<value out of range: (-?\d+)>")
"""What Arrow writes for it."""


def plain(array: pa.Array) -> list[object]:
    """str, int, float, bool, None, Decimal; for nested types list and dict of the same, which `to_json` takes as they are."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    for claim, values in _RULES:
        if claim(array.type):
            return list(values(array))
    return array.to_pylist()  # type: ignore[no-any-return]


def to_json(value: object) -> bytes:
    """Compact JSON as UTF-8. NaN and infinities, which JSON lacks, become null."""
    return orjson.dumps(value, default=_foreign)


def _iso(array: pa.Array) -> list[object]:
    """A time that no calendar holds is the number that the file has for it."""
    zone = ""
    if types.is_timestamp(array.type) and array.type.tz is not None:
        # The number counts from 1970 in UTC; with a zone Arrow spells years after 32767 as negative ones (26.0).
        zone, array = "Z", array.cast(pa.timestamp(array.type.unit))
    return [_time(text, zone) for text in array.cast(pa.string()).to_pylist()]


def _time(text: str | None, zone: str) -> str | int | None:
    if text is None:
        return None
    if unspeakable := _OUT_OF_RANGE.fullmatch(text):
        return int(unspeakable[1])
    return text.replace(" ", "T") + zone


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
        # Parquet readers do not look whether text is UTF-8.
        return [
            value if value is None else value.decode("utf-8", "replace") for value in array.cast(pa.large_binary()).to_pylist()
        ]


def _lists(array: pa.Array) -> list[list[Any] | None]:
    import pyarrow.compute as pc  # 40 ms of CPU, for tables that have lists

    # Whatever is nested is read as a column of its own, so that it has the same form at every depth.
    inside = iter(plain(array.flatten()))
    lengths = pc.list_value_length(array).to_pylist()
    return [None if length is None else list(islice(inside, length)) for length in lengths]


def _maps(array: pa.Array) -> list[object]:
    """Lists of pairs: a key may be no text, and may come twice."""
    pairs = pa.struct([pa.field("key", array.type.key_type), pa.field("value", array.type.item_type)])
    return [
        None if entries is None else [[*entry.values()] for entry in entries] for entries in _lists(array.cast(pa.list_(pairs)))
    ]


def _structs(array: pa.Array) -> list[object]:
    names = _distinct([field.name for field in array.type.fields])
    there = array.is_valid().to_pylist()
    columns = [plain(child) for child in array.flatten()]
    return [dict(zip(names, values, strict=True)) if whole else None for whole, *values in zip(there, *columns, strict=True)]


def _distinct(names: list[str]) -> list[str]:
    """Arrow allows two fields of one name, JSON does not: the second becomes `name_2`."""
    given: list[str] = []
    for name in names:
        number, free = 1, name
        while free in given:
            number += 1
            free = f"{name}_{number}"
        given.append(free)
    return given


def _is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


_RULES: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], Sequence[object]]], ...] = (
    (_is_list, _lists),
    (types.is_struct, _structs),
    (types.is_map, _maps),
    (_is_text, _texts),
    (_is_binary, _base64),
    (lambda kind: types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind), _iso),
    (types.is_duration, _seconds),
    (lambda kind: types.is_float16(kind) or types.is_float32(kind), _shortest),
)


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
