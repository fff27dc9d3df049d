from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.schema.load import Schema, load
from pipeline.schema.tool import tool, tool_fault
from pipeline.schema.validator import compiled


def loaded(document: Any) -> Schema:
    return load(json.dumps(document), "s.json")


def rooted(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


OLD = {"$schema": "http://json-schema.org/draft-07/schema#"}


def test_a_tool_gets_the_schema_as_it_is_without_its_draft_and_name() -> None:
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/s.json"}
    assert tool(loaded({**document, **rooted(x={"type": "integer", "minimum": 1})})) == rooted(
        x={"type": "integer", "minimum": 1}
    )


def test_the_users_document_is_not_changed() -> None:
    document = {**OLD, **rooted(x={"items": [{"$ref": "#/definitions/L"}]}), "definitions": {"L": {"enum": ["a"]}}}
    schema = loaded(document)
    tool(schema)
    assert schema.document == document


@pytest.mark.parametrize(
    ("document", "sent"),
    [
        (
            {"$ref": "#/$defs/R", "$defs": {"R": rooted(a={"$ref": "#/$defs/L"}), "L": {"enum": ["x"]}}},
            {**rooted(a={"$ref": "#/$defs/L"}), "$defs": {"L": {"enum": ["x"]}}},
        ),
        (
            {"description": "Mine.", **rooted(a=True, b=True), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {
                **rooted(a=True, b=True),
                "description": 'Mine.\n\nMust also hold: {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}',
            },
        ),
        (
            {
                "allOf": [
                    {"title": "One", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"properties": {"a": {"maxLength": 3}, "b": {"type": "integer"}}, "minProperties": 1},
                ],
            },
            {
                "description": 'Must also hold: {"minProperties": 1, "properties": {"a": {"maxLength": 3}}}',
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
                "required": ["a"],
            },
        ),
    ],
)
def test_the_top_of_a_tool_is_one_object_and_what_it_cannot_say_is_told(document: Any, sent: Any) -> None:
    assert tool(loaded(document)) == sent


@pytest.mark.parametrize(
    ("node", "valid", "invalid"),
    [
        ({"items": [{"type": "integer"}], "additionalItems": False}, [1], [1, 2]),
        ({"items": [{"type": "integer"}], "additionalItems": {"type": "string"}}, [1, "a"], [1, 2]),
        ({"items": {"type": "integer"}, "additionalItems": False}, [1, 2], ["a"]),
        ({"additionalItems": False, "maxItems": 1}, ["a"], ["a", "b"]),
        ({"dependencies": {"a": ["b"]}}, {"a": 1, "b": 2}, {"a": 1}),
        ({"dependencies": {"a": {"maxProperties": 1}}}, {"a": 1}, {"a": 1, "b": 2}),
        ({"$ref": "#/definitions/text", "maxLength": 1}, "longer", 1),
        ({"items": [{"$ref": "#/properties/other/items/0"}]}, ["a"], [1]),
        ({"$ref": "#/definitions/tree"}, {"below": [{"below": []}]}, {"below": [{"below": 1}]}),
    ],
)
def test_a_schema_of_draft_07_means_the_same_in_2020_12(node: Any, valid: Any, invalid: Any) -> None:
    definitions = {
        "text": {"type": "string"},
        "tree": {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#/definitions/tree"}}}},
    }
    schema = loaded(
        {
            **OLD,
            "type": "object",
            "properties": {"x": node, "other": {"items": [{"type": "string"}]}},
            "definitions": definitions,
        }
    )
    sent = tool(schema)
    Draft202012Validator.check_schema(sent)
    for judge in (compiled(schema.document, "draft-07"), compiled(sent, "2020-12")):
        assert judge.is_valid({"x": valid})
        assert not judge.is_valid({"x": invalid})


def test_property_names_that_no_tool_may_have_are_named() -> None:
    assert tool_fault(loaded(rooted(**{"a_b-c.9": True, "x" * 64: rooted(**{"any name": True})}))) is None
    fault = tool_fault(loaded(rooted(**{"Größe": True, "ok": True, "x" * 65: True})))
    assert fault is not None
    assert fault.endswith(f"and 'Größe', '{'x' * 65}' is none")
