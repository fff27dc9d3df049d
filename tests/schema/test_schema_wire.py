"""Hard schemas, hand-made: each is carried with what moved named, or refused with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.schema.load import load
from pipeline.schema.pattern import is_simple
from pipeline.schema.validator import compiled
from pipeline.schema.wire import Native, Unfit, native


def form(document: Any) -> Native | Unfit:
    return native(load(json.dumps(document), "s.json"))


def rooted(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def carried(node: Any, **root: Any) -> tuple[Any, tuple[str, ...]]:
    """The API form of one property, and what moved."""
    found = form({**rooted(x=node), **root})
    assert isinstance(found, Native)
    properties = found.schema["properties"]
    assert isinstance(properties, dict)
    return properties["x"], found.moved


def refusal(node: Any, **root: Any) -> str:
    found = form({**rooted(x=node), **root})
    assert isinstance(found, Unfit)
    return found.reason


AS_IT_IS: list[Any] = [
    {"type": "string"},
    {"type": ["string", "null"]},
    {"type": "string", "enum": ["positive", "negative"], "description": "The label."},
    {"enum": ["a", 1, True, None]},
    {"const": "fixed"},
    {"type": "boolean", "default": False},
    {"type": "string", "format": "date-time"},
    {"type": "string", "pattern": "^[A-Z]{2}\\d+$"},
    {"type": "array", "items": {"type": "number"}, "minItems": 1},
    {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    {"type": "object", "properties": {"b": {"type": "null"}}, "additionalProperties": False},
]


@pytest.mark.parametrize("node", AS_IT_IS)
def test_what_the_api_takes_stays_as_it_is(node: Any) -> None:
    assert carried(node) == (node, ())


@pytest.mark.parametrize(
    ("node", "left", "keyword"),
    [
        ({"type": "integer", "minimum": 1}, {"type": "integer"}, "minimum"),
        ({"type": "number", "exclusiveMaximum": 1}, {"type": "number"}, "exclusiveMaximum"),
        ({"type": "number", "multipleOf": 0.5}, {"type": "number"}, "multipleOf"),
        ({"type": "string", "maxLength": 9}, {"type": "string"}, "maxLength"),
        ({"type": "string", "format": "iri"}, {"type": "string"}, "format"),
        ({"type": "string", "pattern": "\\bword\\b"}, {"type": "string"}, "pattern"),
        ({"type": "string", "pattern": "abc"}, {"type": "string"}, "pattern"),
        ({"type": "string", "not": {"const": "x"}}, {"type": "string"}, "not"),
        (
            {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            {"type": "array", "items": {"type": "string"}},
            "maxItems",
        ),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 2},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "minItems",
        ),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            {"type": "array", "items": {"type": "string"}},
            "uniqueItems",
        ),
        ({**rooted(a={"type": "string"}), "minProperties": 1}, rooted(a={"type": "string"}), "minProperties"),
        (
            {**rooted(a={"type": "string"}), "dependentRequired": {"a": ["b"]}},
            rooted(a={"type": "string"}),
            "dependentRequired",
        ),
        ({**rooted(a={"type": "string"}), "if": {"required": ["a"]}}, rooted(a={"type": "string"}), "if"),
        ({"type": "string", "anyOf": [{"maxLength": 3}], "enum": ["a"]}, {"type": "string", "enum": ["a"]}, "anyOf"),
    ],
)
def test_what_the_api_does_not_take_moves_into_the_description(node: Any, left: Any, keyword: str) -> None:
    found, moved = carried({**node, "description": "Mine."})
    description = found.pop("description")
    assert found == left
    assert moved == (f"/properties/x: {keyword}",)
    assert description.startswith("Mine.\n\nMust also hold: ")
    assert json.dumps({keyword: node[keyword]}) in description


def test_an_object_without_additional_properties_is_closed_and_that_is_said() -> None:
    found, moved = carried({"type": "object", "properties": {"a": {"type": "string"}}})
    assert found == {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    assert moved == ("/properties/x: additionalProperties (the API form admits declared properties only)",)


def test_an_object_closed_by_unevaluated_properties_is_closed() -> None:
    node = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert carried({**node, "unevaluatedProperties": False}) == ({**node, "additionalProperties": False}, ())


def test_a_oneof_whose_forms_share_no_value_is_an_anyof() -> None:
    assert carried({"oneOf": [{"type": "string"}, {"type": "null"}]}) == (
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        (),
    )


@pytest.mark.parametrize("other", [{"type": "integer"}, {"enum": [1, "a"]}, {"$ref": "#/$defs/n"}])
def test_of_any_other_oneof_the_model_and_the_user_are_told_that_one_form_may_fit(other: Any) -> None:
    node = {"description": "Mine.", "oneOf": [{"type": "number", "minimum": 0}, other]}
    found, moved = carried(node, **{"$defs": {"n": {"type": "number"}}})
    assert found["description"] == "Mine.\n\nExactly one of these forms may fit."
    assert moved == ("/properties/x/oneOf/0: minimum", "/properties/x: oneOf")


def test_an_integer_beside_a_number_is_no_union() -> None:
    assert carried({"type": ["integer", "number"]}) == ({"type": "number"}, ())


def test_what_is_told_to_the_model_is_whole_by_itself() -> None:
    node = {"type": "string", "not": {"$ref": "#/$defs/taboo"}}
    found, _ = carried(node, **{"$defs": {"taboo": {"const": "x"}}})
    assert found["description"] == 'Must also hold: {"not": {"$ref": "#/$defs/taboo"}, "$defs": {"taboo": {"const": "x"}}}'


def test_a_format_that_judges_nothing_is_still_a_word_for_the_model() -> None:
    assert carried({"type": "integer", "format": "int32"}) == (
        {"type": "integer", "description": 'Must also hold: {"format": "int32"}'},
        (),
    )


@pytest.mark.parametrize("name", ["a b", "100%", "Größe", 'quo"te', "tilde~slash/"])
def test_a_reference_is_written_as_a_uri(name: str) -> None:
    pointer = name.replace("~", "~0").replace("/", "~1")
    found = form({**rooted(x={"$ref": f"#/$defs/{pointer.replace('%', '%25')}"}), "$defs": {name: {"enum": ["a"]}}})
    assert isinstance(found, Native)
    judge = compiled(found.schema, "2020-12")
    assert judge.is_valid({"x": "a"})
    assert not judge.is_valid({"x": "b"})


def test_the_type_beside_alternatives_goes_into_each() -> None:
    found, moved = carried({"type": "string", "anyOf": [{"format": "date"}, {"format": "time"}, {"type": "integer"}]})
    assert found == {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "time"}]}
    assert moved == ()


def test_definitions_stay_and_only_those_that_are_used() -> None:
    address = rooted(city={"type": "string"})
    found = form({**rooted(x={"$ref": "#/$defs/Address"}), "$defs": {"Address": address, "Unused": {}}})
    assert isinstance(found, Native)
    assert found.schema == {**rooted(x={"$ref": "#/$defs/Address"}), "$defs": {"Address": address}}


def test_definitions_under_the_old_name_stay_under_it() -> None:
    found = form({**rooted(x={"$ref": "#/definitions/L"}), "definitions": {"L": {"enum": ["a"]}}})
    assert isinstance(found, Native)
    assert found.schema["definitions"] == {"L": {"enum": ["a"]}}


def test_what_stands_beside_a_reference_is_not_lost() -> None:
    found, _ = carried({"$ref": "#/$defs/L", "description": "The tone."}, **{"$defs": {"L": {"enum": ["a"], "title": "L"}}})
    assert found == {"description": "The tone.", "enum": ["a"], "title": "L"}


def test_in_draft_07_what_stands_beside_a_reference_does_not_count() -> None:
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **rooted(x={"$ref": "#/definitions/L", "type": "integer"}),
        "definitions": {"L": {"type": "string"}},
    }
    found = form(document)
    assert isinstance(found, Native)
    assert found.schema["definitions"] == {"L": {"type": "string"}}


def test_a_reference_to_another_property_is_written_out() -> None:
    found = form(rooted(x={"$ref": "#/properties/y"}, y={"type": "integer"}))
    assert isinstance(found, Native)
    assert found.schema["properties"] == {"x": {"type": "integer"}, "y": {"type": "integer"}}


def test_allof_is_merged_into_one_object() -> None:
    found, moved = carried(
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"a": {"maxLength": 3}, "b": {"enum": ["x", "y"]}}},
                {"properties": {"b": {"enum": ["y", "z"]}}},
            ]
        }
    )
    assert found["properties"] == {
        "a": {"type": "string", "description": 'Must also hold: {"maxLength": 3}'},
        "b": {"enum": ["y"]},
    }
    assert found["required"] == ["a"]
    assert "/properties/x/allOf/1/properties/a: maxLength" in moved


def test_the_root_may_be_a_reference() -> None:
    found = form({"$ref": "#/$defs/R", "$defs": {"R": rooted(a={"type": "string"})}})
    assert isinstance(found, Native)
    assert found.schema == rooted(a={"type": "string"})


def test_the_order_of_properties_and_keywords_is_the_users() -> None:
    found = form(
        {"additionalProperties": False, "properties": {"z": {"type": "string"}, "a": {"type": "string"}}, "type": "object"}
    )
    assert isinstance(found, Native)
    assert json.dumps(found.schema) == (
        '{"additionalProperties": false, "properties": {"z": {"type": "string"}, "a": {"type": "string"}}, "type": "object"}'
    )


def test_a_property_that_can_never_be_there_is_left_out() -> None:
    document = rooted(a={"type": "string"}, b=False)
    document["required"] = ["a"]
    found = form(document)
    assert isinstance(found, Native)
    assert found.schema["properties"] == {"a": {"type": "string"}}


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "additionalProperties": False}
HALF = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("node", "word"),
    [
        (True, "/properties/x: a value of any type"),
        ({"description": "whatever"}, "a value of any type"),
        ({"type": "array"}, "items of any type"),
        ({"type": "array", "items": True}, "items of any type"),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, "a schema for each place"),
        ({"type": "array", "items": False}, "no item can be valid"),
        ({"type": "object"}, "properties of any name"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "properties of any name"),
        ({**HALF, "additionalProperties": {"type": "integer"}}, "properties of any name"),
        ({**HALF, "additionalProperties": True}, "properties of any name"),
        ({**HALF, "unevaluatedProperties": {"type": "integer"}}, "properties of any name"),
        ({**HALF, "patternProperties": {"^x": {}}}, "patternProperties"),
        ({**HALF, "required": ["b"]}, "'b' is required but not declared"),
        (
            {**HALF, "anyOf": [{"properties": {"b": {"type": "string"}}}]},
            "/properties/x/anyOf/0: properties declared only under",
        ),
        (
            {**HALF, "unevaluatedProperties": False, "if": {}, "then": {"properties": {"b": {}}}},
            "declared only under a condition",
        ),
        ({"enum": ["Yes", "yes"]}, "differ only in case"),
        ({"anyOf": [{"const": "Yes"}, {"const": "YES"}]}, "differ only in case"),
        ({"anyOf": [{"$ref": "#/$defs/yes"}, {"anyOf": [{"enum": ["YES"]}, {"type": "null"}]}]}, "differ only in case"),
        ({"enum": [{"a": 1}]}, "an object or an array"),
        ({"const": []}, "an object or an array"),
        ({"$ref": "#/$defs/node"}, "recursive"),
        ({"$ref": "#"}, "recursive"),
        ({"type": "array", "items": {"$ref": "#/properties/x"}}, "recursive"),
        ({"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}, "recursive"),
        ({"allOf": [{"enum": ["a"]}, {"enum": ["b"]}]}, "no value can be valid here"),
    ],
)
def test_what_the_form_would_change_is_refused_with_its_place(node: Any, word: str) -> None:
    assert word in refusal(node, **{"$defs": {"node": NODE, "yes": {"const": "yes"}}})


def test_too_many_optional_properties_are_refused_with_the_number() -> None:
    document = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(25)}, "additionalProperties": False}
    found = form(document)
    assert isinstance(found, Unfit)
    assert "25 properties are optional, the API takes 24" in found.reason
    document["required"] = ["p0"]
    assert isinstance(form(document), Native)


@pytest.mark.parametrize("node", [{"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}])
def test_too_many_unions_are_refused_with_the_number(node: Any) -> None:
    found = form(rooted(**{f"p{n}": node for n in range(17)}))
    assert isinstance(found, Unfit)
    assert "17 places" in found.reason
    assert isinstance(form(rooted(**{f"p{n}": node for n in range(16)})), Native)


def test_definitions_that_double_at_every_level_end_in_a_refusal() -> None:
    levels = {
        f"d{n}": rooted(a={"$ref": f"#/$defs/d{n + 1}", "title": "a"}, b={"$ref": f"#/$defs/d{n + 1}", "title": "b"})
        for n in range(40)
    }
    assert "too large" in refusal({"$ref": "#/$defs/d0"}, **{"$defs": {**levels, "d40": {"type": "string"}}})


def test_alternatives_that_double_at_every_level_take_no_longer() -> None:
    levels = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(60)}
    assert "60 places" in refusal({"$ref": "#/$defs/d0"}, **{"$defs": {**levels, "d60": {"enum": ["a", "b"]}}})


def test_a_chain_of_definitions_longer_than_an_answer_is_deep_is_refused() -> None:
    chain = {f"d{n}": rooted(a={"$ref": f"#/$defs/d{n + 1}"}) for n in range(500)}
    assert "too large" in refusal({"$ref": "#/$defs/d0"}, **{"$defs": {**chain, "d500": {"type": "string"}}})


def test_the_users_document_is_not_changed() -> None:
    document = rooted(x={"type": "string", "maxLength": 3}, y={"$ref": "#/$defs/L"})
    document["$defs"] = {"L": {"enum": ["a"]}}
    schema = load(json.dumps(document), "s.json")
    native(schema)
    assert schema.document == document


@pytest.mark.parametrize(
    ("pattern", "simple"),
    [
        ("^a$", True),
        ("^[a-zA-Z_]\\w*$", True),
        ("^(?:ab|cd)+\\.\\d{1,3}$", True),
        ("^(a|b){2}$", True),
        ("^[^\\]]*$", True),
        ("^$", True),
        ("a", False),
        ("^a", False),
        ("^a|b$", False),
        ("^\\bword$", False),
        ("^a{1,1000}$", False),
        ("^a{2,}$", False),
        ("^a+?$", False),
        ("^+$", False),
        ("^(a$", False),
        ("^a)$", False),
        ("^(?i:a)$", False),
        ("^\\p{L}$", False),
        ("^é$", False),
        ("^a\\$", False),
        ("^a^b$", False),
        ("^[a-$", False),
    ],
)
def test_only_patterns_that_mean_the_same_to_the_api_are_simple(pattern: str, simple: bool) -> None:
    assert is_simple(pattern) is simple
