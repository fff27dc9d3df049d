from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.schema.arrow import JSON_SCHEMA, column, fields
from pipeline.schema.load import load
from tests.schema.columns import TEXT, spelled


def one_field(node: Any, **root: Any) -> pa.Field:
    document = {"type": "object", "properties": {"x": node}, **root}
    (field,) = fields(load(json.dumps(document), "s.json"))
    return field


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


NODE = closed(name={"type": "string"}, children={"type": "array", "items": {"$ref": "#/$defs/node"}})


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"enum": ["a", "b"]}, "string"),
        ({"enum": ["a", None]}, "string"),
        ({"const": "a"}, "string"),
        ({"type": "integer"}, "int64"),
        ({"enum": [1, 2]}, "int64"),
        ({"type": "number"}, "double"),
        ({"type": "number", "enum": [1, 2]}, "double"),
        ({"enum": [1, 2.5]}, "double"),
        ({"type": ["integer", "number"]}, "double"),
        ({"type": "boolean"}, "bool"),
        ({"type": ["string", "null"]}, "string"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int64"),
        ({"oneOf": [{"$ref": "#/$defs/word"}, {"type": "null"}]}, "string"),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, "int64"),
        ({"type": "array", "items": {"type": "integer"}}, ["int64"]),
        ({"type": "array", "items": {"type": ["string", "null"]}}, ["string"]),
        ({"type": "array"}, [TEXT]),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, [TEXT]),
        ({"type": "array", "items": {"type": ["string", "integer"]}}, [TEXT]),
        (closed(a={"type": "string"}, b={"type": "array", "items": closed(c=True)}), {"a": "string", "b": [{"c": TEXT}]}),
        ({"anyOf": [{"$ref": "#/$defs/pair"}, {"type": "null"}]}, {"a": "int64"}),
        ({"allOf": [{"$ref": "#/$defs/pair"}]}, {"a": "int64"}),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, TEXT),
        ({"type": "object", "additionalProperties": {"type": "string"}}, TEXT),
        ({**closed(a=True), "patternProperties": {"^b": {}}}, TEXT),
        (closed(), TEXT),
        ({"anyOf": [closed(a={"type": "string"}), closed(b={"type": "string"})]}, TEXT),
        ({"type": ["string", "integer"]}, TEXT),
        (True, TEXT),
        (False, TEXT),
        ({}, TEXT),
        ({"type": "null"}, TEXT),
        ({"$ref": "#/$defs/node"}, TEXT),
        ({"type": "array", "items": {"$ref": "#/$defs/node"}}, [TEXT]),
        ({"$ref": "#"}, TEXT),
        (closed(root={"$ref": "#"}), TEXT),
    ],
)
def test_the_type_comes_from_the_schema(node: Any, expected: Any) -> None:
    definitions = {"word": {"type": "string"}, "pair": closed(a={"type": "integer"}), "node": NODE}
    field = one_field(node, **{"$defs": definitions})
    assert spelled(field) == expected
    assert field.nullable


def test_definitions_that_double_at_every_level_end_in_json_text() -> None:
    levels = {f"d{n}": closed(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"}) for n in range(40)}
    field = one_field({"$ref": "#/$defs/d0"}, **{"$defs": {**levels, "d40": {"type": "string"}}})
    assert spelled(field) == TEXT


def test_a_chain_of_definitions_without_end_in_sight_is_json_text() -> None:
    chain = {f"d{n}": closed(a={"$ref": f"#/$defs/d{n + 1}"}) for n in range(500)}
    assert spelled(one_field({"$ref": "#/$defs/d0"}, **{"$defs": {**chain, "d500": {"type": "string"}}})) == TEXT


def test_names_are_those_of_the_properties_with_the_prefix_before_them() -> None:
    schema = load('{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"string"}}}', "s.json")
    assert [field.name for field in fields(schema, "claude_")] == ["claude_b", "claude_a"]


def test_a_field_carries_the_schema_of_its_column() -> None:
    node = {"type": "integer", "minimum": 3, "description": "Größe"}
    assert json.loads(one_field(node).metadata[JSON_SCHEMA]) == node
    referring = json.loads(one_field({"$ref": "#/$defs/w"}, **{"$defs": {"w": node}}).metadata[JSON_SCHEMA])
    assert referring == {"$ref": "#/$defs/w", "$defs": {"w": node}}


HUGE = 10**400


@pytest.mark.parametrize(
    ("node", "values", "expected", "word"),
    [
        ({"type": "integer"}, [1, 2**63, 2], [1, None, 2], "beyond 64 bits"),
        ({"type": "integer"}, [-(2**63), -(2**63) - 1], [-(2**63), None], "beyond 64 bits"),
        ({"type": "integer"}, [1, HUGE], [1, None], "beyond 64 bits"),
        ({"type": "integer"}, [1e300, 7], [None, 7], "beyond 64 bits"),
        ({"type": "integer"}, [1.5, 7], [None, 7], "fraction"),
        ({"type": "integer"}, [True, 7], [None, 7], "boolean"),
        ({"type": "integer"}, ["7", 7], [None, 7], "string"),
        ({"type": "number"}, [HUGE, 0.5], [None, 0.5], "exactly"),
        ({"type": "number"}, [2**53 + 1, 0.5], [None, 0.5], "exactly"),
        ({"type": "number"}, [True, 0.5], [None, 0.5], "boolean"),
        ({"type": "number"}, [float("nan"), 1], [None, 1.0], "exactly"),
        ({"type": "number"}, [float("nan"), 0.5, None], [None, 0.5, None], "exactly"),
        ({"type": "number"}, [0.5, float("-inf")], [0.5, None], "exactly"),
        ({"type": "boolean"}, [1, True], [None, True], "integer"),
        ({"type": "boolean"}, [0.0, False], [None, False], "integer"),
        ({"type": "string"}, ["\ud800", "ok"], [None, "ok"], "surrogate"),
        ({"type": "string"}, [5, "ok"], [None, "ok"], "integer"),
        ({"type": "array", "items": {"type": "string"}}, ["abc", ["a"]], [None, ["a"]], "string"),
        ({"type": "array", "items": {"type": "integer"}}, [[1, 1.5], [1]], [None, [1]], "/1: a number with a fraction"),
        ({"type": "array", "items": {"type": "string"}}, [{"a": 1}, []], [None, []], "object"),
        (closed(a={"type": "string"}), [{"a": "x", "z": 1}, {"a": "y"}], [None, {"a": "y"}], "no place for 'z'"),
        (closed(a={"type": "string"}), [["a"], {"a": "y"}], [None, {"a": "y"}], "array"),
        (closed(a={"type": "string"}), [[["a", "b"]], {}], [None, {"a": None}], "array"),
        (closed(a={"type": "array", "items": {"type": "integer"}}), [{"a": [2**70]}], [None], "/a/0: an integer beyond"),
        (True, [{"k": "\ud800"}, 5], [None, "5"], "surrogate"),
        (True, [float("inf"), 5], [None, "5"], "not to be written as JSON"),
    ],
)
def test_a_value_that_the_type_cannot_carry_is_null_with_a_reason_and_the_others_stay(
    node: Any, values: list[Any], expected: list[Any], word: str
) -> None:
    array, reasons = column(values, one_field(node))
    assert array.to_pylist() == expected
    assert len(reasons) == 1
    ((index, reason),) = reasons.items()
    assert expected[index] is None
    assert word in reason


@pytest.mark.parametrize(
    ("node", "values"),
    [
        ({"type": "integer"}, [3, -(2**63), 2**63 - 1, None]),
        ({"type": "number"}, [0.1, -0.0, 1e308, 5e-324, None]),
        ({"type": "string"}, ["", "a\0b", "\U0001f600", "Größe", None]),
        ({"type": "boolean"}, [True, False, None]),
        ({"type": "array", "items": {"type": "string"}}, [[], ["a", None], None]),
        (closed(a={"type": "string"}, b=closed(c={"type": "integer"})), [{"a": None, "b": {"c": 1}}, None]),
    ],
)
def test_what_fits_comes_back_equal_from_parquet(node: Any, values: list[Any]) -> None:
    field = one_field(node)
    array, reasons = column(values, field)
    assert reasons == {}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays([array], schema=pa.schema([field])), sink)
    table = pq.read_table(pa.BufferReader(sink.getvalue()))
    assert table["x"].to_pylist() == values
    assert table.schema.field("x").metadata[JSON_SCHEMA] == field.metadata[JSON_SCHEMA]
    assert spelled(table.schema.field("x")) == spelled(field)


def test_numbers_that_only_differ_in_spelling_are_carried() -> None:
    assert column([3.0, 3, -0.0], one_field({"type": "integer"}))[0].to_pylist() == [3, 3, 0]
    array, reasons = column([3, 0.5, 2**60], one_field({"type": "number"}))
    assert array.to_pylist() == [3.0, 0.5, 2.0**60]
    assert reasons == {}


def test_json_text_keeps_order_numbers_and_letters() -> None:
    array, reasons = column([{"b": 10**30, "a": "é"}, [1.0, None], "x", None], one_field(True))
    assert array.to_pylist() == ['{"b":1000000000000000000000000000000,"a":"é"}', "[1.0,null]", '"x"', None]
    assert reasons == {}


def test_an_empty_column_has_its_type() -> None:
    array, reasons = column([], one_field({"type": "array", "items": {"type": "integer"}}))
    assert (array.type, len(array), reasons) == (pa.list_(pa.field("element", pa.int64())), 0, {})
