"""Which schemas the API takes for structured outputs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.local.structured import Verdict, verdict


def object_of(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
TAKEN: list[Any] = [
    object_of(a=TEXT),
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "x", "title": "T", **object_of(a=TEXT)},
    {"$schema": "https://example.com/not-to-be-fetched", **object_of(a=TEXT)},
    object_of(a={"enum": ["x", 1, None, True]}, b={"const": "y"}, c={"type": ["string", "null"]}),
    object_of(a={"anyOf": [TEXT, {"type": "null"}]}, b={"allOf": [TEXT, {"pattern": "^a+[0-9]{1,3}$"}]}),
    object_of(a={"type": "array", "items": object_of(b=TEXT), "minItems": 1}),
    object_of(a={"type": "string", "format": "date-time", "default": "x", "description": "d"}),
    {**object_of(a={"$ref": "#/$defs/e"}, b={"$ref": "#/$defs/e"}), "$defs": {"e": {"type": "string", "enum": ["x"]}}},
    {**object_of(a={"$ref": "#/$defs/any"}), "$defs": {"any": True}},
    {**object_of(a={"$ref": "#/definitions/e~1f"}), "definitions": {"e/f": TEXT}},
]
REFUSED: list[tuple[Any, str]] = [
    ({"type": "object", "properties": {}}, "'additionalProperties' must be explicitly set to false"),
    ({"properties": {"a": TEXT}}, "'additionalProperties' must be explicitly set to false"),
    (object_of(a={"type": ["object", "null"]}), "'additionalProperties' must be explicitly set to false"),
    (object_of(a={"type": "array", "items": {"type": "object"}}), "'additionalProperties' must be explicitly set to false"),
    ({"type": "object", "additionalProperties": TEXT}, "'additionalProperties' must be explicitly set to false"),
    (object_of(a={"type": "integer", "minimum": 1, "maximum": 2}), "For 'integer' type, properties maximum, minimum are"),
    (object_of(a={"type": "string", "maxLength": 3}), "properties maxLength are not supported"),
    (object_of(a={"oneOf": [TEXT]}), "properties oneOf are not supported"),
    (object_of(a={"type": "array", "items": TEXT, "minItems": 2}), "'minItems' values other than 0 or 1"),
    (object_of(a={"type": "array", "items": TEXT, "uniqueItems": True}), "properties uniqueItems are not supported"),
    (object_of(a={"enum": [{"x": 1}]}), "Enum values must be strings, numbers, booleans or null"),
    (object_of(a={"type": "string", "format": "regex"}), "String format 'regex' is not supported"),
    (object_of(a={"type": "string", "pattern": "a(?=b)"}), "Pattern uses '(?='"),
    ({**object_of(a={"allOf": [{"$ref": "#/$defs/e"}]}), "$defs": {"e": TEXT}}, "'allOf' with '$ref' is not supported"),
    (object_of(a={"$ref": "https://example.com/schema"}), "JSON schema is invalid"),
    (object_of(a={"$ref": "https://json-schema.org/draft/2020-12/schema"}), "External $ref 'https://json-schema.org"),
    (object_of(a={"$ref": "#/$defs/none"}), "JSON schema is invalid"),
    (object_of(a={"$ref": "#"}), "Recursive schemas are not supported ('#')"),
    ({**object_of(a={"$ref": "#/$defs/e"}), "$defs": {"e": object_of(b={"$ref": "#/$defs/e"})}}, "Recursive schemas"),
    ({"type": "objekt"}, "JSON schema is invalid. It must match JSON Schema draft 2020-12"),
    (True, "the schema must be an object"),
]


@pytest.mark.parametrize("schema", TAKEN)
def test_a_schema_within_the_rules_is_taken(schema: Any) -> None:
    assert verdict(json.dumps(schema)).fault is None


@pytest.mark.parametrize(("schema", "fault"), REFUSED, ids=[fault[:50] for _, fault in REFUSED])
def test_a_schema_outside_the_rules_is_refused(schema: Any, fault: str) -> None:
    assert fault in (verdict(json.dumps(schema)).fault or "")


def test_optional_properties_and_unions_are_counted_at_every_depth() -> None:
    inner = {**object_of(x=TEXT, y={"type": ["string", "null"]}), "required": ["x"]}
    outer = {**object_of(a=inner, b={"anyOf": [TEXT, {"type": "null"}]}), "required": []}
    assert verdict(json.dumps(outer)) == Verdict(None, optional=3, unions=2)


def test_references_that_branch_at_every_step_are_followed_in_no_time() -> None:
    """Each definition is used twice by the one before: 2^60 ways, 60 definitions."""
    steps = {f"d{n}": object_of(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"}) for n in range(60)}
    schema = {**object_of(a={"$ref": "#/$defs/d0"}), "$defs": {**steps, "d60": TEXT}}
    assert verdict(json.dumps(schema)).fault is None
