"""A schema as Arrow columns, and answers as their values.

Types come from the schema and never from the data: inferred ones change from batch to batch (`null`, `struct<>`).
Total over what load admits. What Arrow cannot hold by name (maps, open objects, alternatives of several types,
recursion) is a column of JSON text, marked in the field's metadata. Null and absent are one: null.
The one library found, schema2pyarrow 1.2, makes a null column of `anyOf` and an int64 of ["string", "integer"];
`pa.array` alone turns 1.5 into 1, drops unknown keys of a struct and spells a string into a list of letters (both tried
2026-11-22, pyarrow 26).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipeline.records import JSON
from pipeline.schema.bundle import excerpt
from pipeline.schema.load import Schema
from pipeline.schema.tree import Node, Tree, kind_of, step

KIND = b"pipeline"
JSON_TEXT = b"json"
"""Metadata `pipeline: json` marks a field, at any depth, whose strings are JSON text."""
JSON_SCHEMA = b"json_schema"
"""Metadata of each column: the JSON Schema of its property, as the text of a document of its own."""

_MAX_FIELDS = 5_000
_MAX_AROUND = 400
"""Beyond these a column is JSON text: shared definitions can double the fields at every level."""
_SCALARS = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
_EXACT = {"string": str, "integer": int, "number": float, "boolean": bool}
_BY_TYPE = {of: _EXACT[kind] for kind, of in _SCALARS.items()}
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class _Recursive(Exception):
    """The schema at the pointer stands inside itself; an empty pointer: the column as a whole is too much."""

    def __init__(self, pointer: str) -> None:
        super().__init__(pointer)
        self.pointer = pointer


class _Unfit(Exception):
    """A value that the type cannot carry exactly."""

    def __init__(self, why: str, pointer: str = "") -> None:
        super().__init__(f"{pointer}: {why}" if pointer else why)
        self.why, self.pointer = why, pointer


def fields(schema: Schema, prefix: str = "") -> tuple[pa.Field, ...]:
    """One nullable field for each top-level property, in their order. `prefix` goes before the names."""
    found = []
    for name, (pointer, node) in schema.tree.columns().items():
        try:
            of = _Types(schema.tree).of(pointer, node, frozenset({""}))
        except _Recursive:
            of = None
        described = {JSON_SCHEMA: _described(schema, pointer, node)}
        found.append(_field(prefix + name, of, described))
    return tuple(found)


def column(values: Sequence[JSON], field: pa.Field) -> tuple[pa.Array, dict[int, str]]:
    """The values as an array of the field's type, and index → reason for each that it cannot carry.

    Such a value is null in the array; the others are there, equal to what went in (3.0 under integer is 3).
    None stays null without a reason. An absent key of a struct is null too.
    """
    if field.metadata is None or field.metadata.get(KIND) != JSON_TEXT:
        exact = _BY_TYPE.get(field.type)
        if exact is not None and set(map(type, values)) <= {exact, type(None)}:
            import pyarrow.compute as pc  # 40 ms of CPU, which a run without anything to publish does without

            try:
                array = pa.array(values, field.type)
                if exact is not float or pc.all(pc.is_finite(array)).as_py() is not False:
                    return array, {}
            except (OverflowError, UnicodeEncodeError, pa.ArrowException):
                pass  # one of them does not fit: which one is found below
    fitting: list[object] = []
    reasons: dict[int, str] = {}
    for index, value in enumerate(values):
        try:
            fitting.append(_fit(value, field))
        except _Unfit as unfit:
            fitting.append(None)
            reasons[index] = str(unfit)
    return pa.array(fitting, field.type), reasons


def _field(name: str, of: pa.DataType | None, metadata: Mapping[bytes, bytes] | None = None) -> pa.Field:
    """A field of that type, or of JSON text where it is None."""
    marks = {**(metadata or {}), **({KIND: JSON_TEXT} if of is None else {})}
    return pa.field(name, pa.string() if of is None else of, nullable=True, metadata=marks or None)


class _Types:
    """The types of one column."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._made = 0

    def of(self, pointer: str, node: Node, inside: frozenset[str]) -> pa.DataType | None:
        """The type that every valid value but null fits; None where there is none. `inside`: the schemas around.

        Raises _Recursive where one of those stands here again.
        """
        self._made += 1
        kinds = self.tree.kinds(pointer, node) - {"null"}
        if "number" in kinds:
            kinds -= {"integer"}
        if len(kinds) != 1:
            return None
        (kind,) = kinds
        if kind in _SCALARS:
            return _SCALARS[kind]
        parts = self.tree.shapes(pointer, node, kind)
        again = next((at for at in parts if at in inside), None)
        if again is not None or self._made > _MAX_FIELDS or len(inside) > _MAX_AROUND:
            raise _Recursive(again or "")
        try:
            return (self._list if kind == "array" else self._struct)(parts, inside | parts.keys())
        except _Recursive as found:
            if found.pointer in parts:
                return None
            raise

    def _list(self, parts: Mapping[str, dict[str, JSON]], inside: frozenset[str]) -> pa.DataType:
        for at, part in parts.items():
            items = part.get("items")
            if isinstance(items, (dict, bool)) and not part.get("prefixItems"):
                return pa.list_(_field("element", self.of(step(at, "items"), items, inside)))
        return pa.list_(_field("element", None))

    def _struct(self, parts: Mapping[str, dict[str, JSON]], inside: frozenset[str]) -> pa.DataType | None:
        for at, part in parts.items():
            held = part.get("properties")
            closed = part.get("additionalProperties") is False and not part.get("patternProperties")
            if not closed or not isinstance(held, dict):
                continue
            below = step(at, "properties")
            found = [
                _field(name, self.of(step(below, name), child, inside))
                for name, child in held.items()
                if isinstance(child, (dict, bool)) and child is not False
            ]
            return pa.struct(found) if found else None  # Parquet has no empty struct
        return None


def _fit(value: JSON, field: pa.Field) -> object:
    """What pyarrow turns into exactly this value. Raises _Unfit."""
    if value is None:
        return None
    of = field.type
    if field.metadata is not None and field.metadata.get(KIND) == JSON_TEXT:
        return _text(_dumped(value))
    if pa.types.is_list(of) and isinstance(value, list):
        return [_inside(child, of.value_field, index) for index, child in enumerate(value)]
    if pa.types.is_struct(of) and isinstance(value, dict):
        unknown = [name for name in value if of.get_field_index(name) < 0]
        if unknown:
            raise _Unfit(f"the column has no place for {unknown[0]!r}")
        return {name: _inside(child, of.field(name), name) for name, child in value.items()}
    match value:
        case bool() if of == pa.bool_():
            return value
        case str() if of == pa.string():
            return _text(value)
        case int() | float() if of == pa.int64() and not isinstance(value, bool):
            if isinstance(value, float) and not value.is_integer():
                raise _Unfit("a number with a fraction, where the column holds integers")
            if not _LOWEST <= value <= _HIGHEST:
                raise _Unfit("an integer beyond 64 bits, which the column cannot hold")
            return int(value)
        case int() | float() if of == pa.float64() and not isinstance(value, bool):
            return _double(value)
        case _:
            raise _Unfit(f"a value of type {kind_of(value)}, where the column holds {of}")


def _inside(value: JSON, field: pa.Field, name: str | int) -> object:
    try:
        return _fit(value, field)
    except _Unfit as unfit:
        raise _Unfit(unfit.why, step("", name) + unfit.pointer) from None


def _double(value: float) -> float:
    try:
        double = float(value)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double) or double != value:
        raise _Unfit("a number that a double cannot hold exactly")
    return double


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Unfit("half of a surrogate pair, which is no text") from None
    return value


def _dumped(value: JSON) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise _Unfit(f"not to be written as JSON: {error}") from None


def _described(schema: Schema, pointer: str, node: Node) -> bytes:
    """The property's schema as JSON text, whole by itself: with what it refers to, and with its draft if that is old."""
    alone = excerpt(schema.document, pointer, node, draft07=schema.draft == "draft-07")
    if isinstance(alone, dict) and schema.draft == "draft-07":
        alone = {"$schema": "http://json-schema.org/draft-07/schema#", **alone}
    return json.dumps(alone, ensure_ascii=False, separators=(",", ":")).encode()
