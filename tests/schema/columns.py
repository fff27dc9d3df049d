"""Published columns as a reader sees them."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from pipeline.schema.arrow import JSON_TEXT, KIND

TEXT = "JSON text"


def spelled(field: pa.Field) -> Any:
    """The type, with JSON text marked wherever it stands."""
    if field.metadata is not None and field.metadata.get(KIND) == JSON_TEXT:
        assert field.type == pa.string()
        return TEXT
    if pa.types.is_list(field.type):
        return [spelled(field.type.value_field)]
    if pa.types.is_struct(field.type):
        return {child.name: spelled(child) for child in field.type}
    return str(field.type)


def read_back(value: Any, field: pa.Field) -> Any:
    """What a reader of the table makes of a cell."""
    if value is None:
        return None
    if field.metadata is not None and field.metadata.get(KIND) == JSON_TEXT:
        return json.loads(value)
    if pa.types.is_list(field.type):
        return [read_back(child, field.type.value_field) for child in value]
    if pa.types.is_struct(field.type):
        return {child.name: read_back(value[child.name], child) for child in field.type}
    return value


def without_nulls(value: Any) -> Any:
    """Null and absent are one in a struct."""
    if isinstance(value, dict):
        return {name: without_nulls(child) for name, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1, 3 is 3.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(child, other[name]) for name, child in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
