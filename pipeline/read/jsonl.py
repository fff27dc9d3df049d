"""JSONL: one JSON object a line; a blank line is no record.

The columns are the keys of all objects, in order of first appearance; a key that an object lacks is null there. One
pass through all the files settles the types, because a type guessed from the head would change the prompts, and so
buy answers again, when a later line disagrees:

    only true and false                    bool
    only integers that fit                 int64
    fractions, and integers up to 2^53     double
    anything else, or only nulls           string

In a string column a string stands as it is and any other value as its JSON text (an object, an array, a number among
strings, an integer beyond int64), so that one odd line does not alter what the others hold. Of a key that stands
twice in an object the last value counts.

A column that `input.types` names has that type: a string is read as a CSV cell would be, any other value as its JSON text.

A line that is no JSON object is kept as a row of nulls and carries a fault. Half a surrogate pair, NaN and Infinity
are not JSON either, but leave the other values readable: such a row keeps these and carries the fault.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

import jiter
import pyarrow as pa

from pipeline.errors import InputUnreadable
from pipeline.read.columns import batch, booleans, doubles, integers, strings
from pipeline.read.format import BATCH_BYTES, Part, Told, reading
from pipeline.read.kinds import KINDS, misfit
from pipeline.read.stream import Lines, said_encoding
from pipeline.remote import Place

MOST_COLUMNS = 10_000

_BOOL, _SHORT, _LONG, _FLOAT, _OTHER = 1, 2, 4, 8, 16
"""What a column has been seen to hold, as bits; null is none of them. _SHORT is an integer that a double holds exactly."""

_KINDS = {type(None): 0, bool: _BOOL, float: _FLOAT}

_TYPES = {
    _BOOL: pa.bool_(),
    _SHORT: pa.int64(),
    _LONG: pa.int64(),
    _SHORT | _LONG: pa.int64(),
    _FLOAT: pa.float64(),
    _SHORT | _FLOAT: pa.float64(),
}


class _Record(NamedTuple):
    place: str
    """File and line, for messages."""
    value: dict[str, Any]
    fault: str | None


def schemas(paths: Sequence[Place], told: Told, /) -> list[pa.Schema]:
    """One schema for all the files, so that it does not matter how objects are spread over them."""
    seen: dict[str, int] = {}
    fault = None
    for path in paths:
        with reading(path), closing(Lines(path, told.encoding)) as lines:
            for record in _records(lines):
                if record.fault:
                    fault = fault or record.fault
                    continue
                for name, value in record.value.items():
                    seen[name] = seen.get(name, 0) | _kind(value)
                if len(seen) > MOST_COLUMNS:
                    raise InputUnreadable(
                        f"{record.place}: the objects up to here have more than {MOST_COLUMNS} different keys\n"
                        "  Each key becomes a column; put what varies (an id, say) into a value."
                    )
    if not seen:
        raise InputUnreadable(
            f"{', '.join(map(str, paths))}: no line holds a JSON object with a key"
            f"{f'; {fault}' if fault else ''}\n"
            "  A .jsonl file holds one whole object on each line. An array of objects becomes one by: "
            "jq -c '.[]' file.json > file.jsonl"
        )
    schema = pa.schema(
        [
            (name, KINDS[told.types[name]].type if name in told.types else _TYPES.get(kinds, pa.string()))
            for name, kinds in seen.items()
        ]
    )
    return [schema] * len(paths)


def parts(path: Place, told: Told, wanted: pa.Schema, max_rows: int, skip: int, /) -> Generator[Part, None, None]:
    """The objects behind the first `skip`, which are read all the same, in file order, in the types that `schemas` found."""
    with closing(Lines(path, told.encoding)) as lines:
        records: list[_Record] = []
        begin = 0
        for record in islice(_records(lines), skip, None):
            records.append(record)
            if len(records) == max_rows or lines.end - begin >= BATCH_BYTES:
                yield _part(records, told, wanted)
                records, begin = [], lines.end
        if records:
            yield _part(records, told, wanted)


def manner(path: Place, told: Told, /) -> str:
    return f"JSON Lines, {said_encoding(told.encoding)}"


def _records(lines: Lines) -> Iterator[_Record]:
    for line in lines:
        if not line or line.isspace():
            continue
        place = f"{lines.path}: line {lines.number}"
        try:
            # jiter rather than orjson, which turns an integer beyond 64 bits into a double: two ids become one.
            value = jiter.from_json(line.rstrip(), allow_inf_nan=False, cache_mode="keys")
        except ValueError as error:
            reason = str(error).replace(" at line 1 column ", " at character ")
            yield _Record(place, _salvaged(lines.text(line)), f"{place}: is not JSON: {reason}")
            continue
        if isinstance(value, dict):
            yield _Record(place, value, None)
        else:
            yield _Record(place, {}, f"{place}: is not a JSON object")


def _salvaged(text: str) -> dict[str, Any]:
    """What the laxer parser of the standard library makes of the line, with `?` for what is not text; or nothing."""
    try:
        value = json.loads(json.dumps(json.loads(text), ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _kind(value: object) -> int:
    if type(value) is int:
        return _SHORT if -(2**53) <= value <= 2**53 else _LONG if -(2**63) <= value < 2**63 else _OTHER
    return _KINDS.get(type(value), _OTHER)


def _part(records: Sequence[_Record], told: Told, wanted: pa.Schema) -> Part:
    faults = {offset: record.fault for offset, record in enumerate(records) if record.fault}
    # Also of columns that are not wanted now: a row's fault must not depend on who asks.
    typed = {name: _told(records, name, kind, faults) for name, kind in told.types.items()}
    columns = [typed[column.name] if column.name in typed else _column(records, column, faults) for column in wanted]
    return Part(batch(columns, wanted.names, len(records)), faults)


def _told(records: Sequence[_Record], name: str, told: str, faults: dict[int, str]) -> pa.Array:
    """A column of the type that it was told to have."""
    kind = KINDS[told]
    cells: list[Any] = []
    for offset, record in enumerate(records):
        value = record.value.get(name)
        try:
            text = None if value is None else _text(value)
        except ValueError as error:
            text = None
            faults.setdefault(offset, f"{record.place}: {name!r} {error}")
        try:
            cells.append(None if text is None else kind.read(text))
        except ValueError:
            cells.append(None)
            faults.setdefault(offset, f"{record.place}: {misfit(name, told, text or '')}")
    return kind.build(cells)


def _column(records: Sequence[_Record], column: pa.Field, faults: dict[int, str]) -> pa.Array:
    build, read = _BUILDERS.get(column.type, _TEXTS)
    cells: list[Any] = []
    for offset, record in enumerate(records):
        value = record.value.get(column.name)
        try:
            cells.append(None if value is None else read(value))
        except ValueError as error:
            cells.append(None)
            faults.setdefault(offset, f"{record.place}: {column.name!r} {error}")
    return build(cells)


def _boolean(value: object) -> bool:
    if type(value) is bool:
        return value
    raise ValueError(_CHANGED)


def _integer(value: object) -> int:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    raise ValueError(_CHANGED)


def _double(value: object) -> float:
    if type(value) is float and not math.isfinite(value):
        raise ValueError("is beyond the range of a double")
    if type(value) is float or type(value) is int:
        return float(value)
    raise ValueError(_CHANGED)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        raise ValueError("holds a number beyond the range of a double, or is nested too deep") from None


# Types are settled by the pass before, so a value that does not fit stands in a line with a fault, or the file changed.
_CHANGED = "is of another type than when the file was first read; run the same command again"

_TEXTS: tuple[Callable[[list[Any]], pa.Array], Callable[[object], Any]] = (strings, _text)

_BUILDERS = {
    pa.bool_(): (booleans, _boolean),
    pa.int64(): (integers, _integer),
    pa.float64(): (doubles, _double),
}
