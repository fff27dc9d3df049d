"""What rehearsal invents: valid under whatever schema, and the same for the same chance."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.local import scalars
from pipeline.local.errors import Unmakeable
from pipeline.local.invent import invented
from pipeline.local.pattern import matching
from pipeline.local.validity import validator


def chance(number: int) -> Random:
    return Random(number)  # noqa: S311 nothing is kept secret with it


CHECKER = jsonschema.Draft202012Validator.FORMAT_CHECKER
TEXT = {"type": "string"}
TREE: dict[str, Any] = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"name": TEXT, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["name", "children"],
        }
    },
    "$ref": "#/$defs/node",
}
SCHEMAS: list[Any] = [
    {},
    True,
    {"type": "object", "properties": {"a": TEXT, "b": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
    {"type": "object", "required": ["x", "y"], "minProperties": 5, "maxProperties": 6},
    {"patternProperties": {"^n_[a-z]+$": {"type": "number"}}, "additionalProperties": False, "minProperties": 2},
    {"type": "object", "propertyNames": {"pattern": "^[A-Z]{3}$"}, "minProperties": 2},
    {"properties": {"a": TEXT, "b": TEXT}, "required": ["a"], "dependentRequired": {"a": ["b"]}},
    {"properties": {"a": TEXT}, "required": ["a"], "dependentSchemas": {"a": {"required": ["c"]}}},
    {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "prefixItems": [TEXT, {"type": "boolean"}], "items": False, "minItems": 2},
    {"type": "array", "contains": {"const": 7}, "minContains": 2, "items": {"type": "integer"}, "maxItems": 4},
    {"type": "array", "minItems": 20, "maxItems": 20, "items": {"type": "null"}},
    {"type": "integer", "minimum": 3, "maximum": 4},
    {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    {"type": "integer", "minimum": -10, "maximum": -5, "multipleOf": 3},
    {"type": "integer", "multipleOf": 2.5, "minimum": 1},
    {"type": "integer", "maximum": -1000},
    {"type": "integer", "minimum": 1e15},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    {"type": "number", "multipleOf": 0.25, "minimum": 5, "maximum": 5.8},
    {"type": "number", "maximum": -0.5},
    {"type": "string", "minLength": 40, "maxLength": 40},
    {"type": "string", "maxLength": 2},
    {"type": "string", "pattern": "^(INV|REF)-[0-9]{4,6}(/[a-z]+)?$"},
    {"type": "string", "pattern": r"^\d{3}\.\w+[^a-z\s]$", "maxLength": 12},
    {"type": "string", "pattern": "^[A-Z]", "minLength": 9},
    {"type": "string", "pattern": r"^(?:a|b)(?<year>\d{4})\x41B\u00e9\p{L}$"},
    {"type": ["string", "null"]},
    {"type": ["integer", "null"], "minimum": 5},
    {"enum": [None, "a", 1, {"x": []}]},
    {"const": {"deep": [1, 2]}},
    {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer", "minimum": 9}]},
    {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 1000}]},
    {"allOf": [{"type": ["integer", "string"]}, {"minimum": 5}, {"type": "number"}, {"maximum": 6}]},
    {"allOf": [{"properties": {"a": {"minLength": 3}}}, {"properties": {"a": TEXT}, "required": ["a"]}]},
    {"type": "string", "not": {"minLength": 4}},
    {"properties": {"k": {"enum": ["a", "b"]}}, "required": ["k"], "if": {"properties": {"k": {"const": "a"}}},
     "then": {"required": ["x"], "properties": {"x": {"type": "integer"}}}, "else": {"required": ["y"]}},
    {"$defs": {"a": {"$anchor": "here", "type": "integer"}}, "$ref": "#here"},
    {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"enum": [1]}}, "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]},
    TREE,
    {"$ref": "#/$defs/l", "$defs": {"l": {"anyOf": [{"type": "null"}, {"items": {"$ref": "#/$defs/l"}, "minItems": 1}]}}},
    {"properties": {"a": {"$ref": "#/prefix/1"}}, "required": ["a"], "prefix": [0, {"const": 5}]},
    {"oneOf": [False, {"type": "integer"}]},
    {"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]},
    {"allOf": [{"items": {"type": "integer"}, "uniqueItems": False}, {"items": {"minimum": 7}, "uniqueItems": True}]},
    {"allOf": [{"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"anyOf": [{"minimum": 3}, {"const": None}]}]},
    {"type": "array", "allOf": [{"minItems": 5}, {"minItems": 2}]},
    {"type": "array", "minItems": 1, "allOf": [{"maxItems": 9}, {"maxItems": 1}]},
    {"allOf": [{"allOf": [{"type": "string"}]}, {"allOf": [{"minLength": 2}, True]}]},
    {"properties": {"ab": {"type": "integer"}}, "patternProperties": {"^a": {"minimum": 4}}, "required": ["ab"]},
    {"type": "string", "pattern": r"^[\]\-a-]\t?$"},
    *({"type": "string", "format": name} for name in (
        "date", "time", "date-time", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid", "regex", "json-pointer")),
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=[json.dumps(schema)[:60] for schema in SCHEMAS])
def test_an_invented_value_is_valid_for_the_reference_validator_too(schema: Any) -> None:
    judge = jsonschema.Draft202012Validator(schema, format_checker=CHECKER)
    text = json.dumps(schema)
    uses_unicode_property = "\\\\p{" in text  # the reference reads patterns with `re`, which has none
    for number in range(5):
        value = invented(text, chance(number))
        if not uses_unicode_property:
            judge.validate(value)
        assert invented(text, chance(number)) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
        {"type": "integer", "exclusiveMinimum": -4, "maximum": -2, "multipleOf": 2},
        {"type": "integer", "multipleOf": 1.5, "minimum": 1, "maximum": 7},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
        {"type": "number", "minimum": 1.004, "maximum": 1.006},
    ],
)
def test_a_number_is_within_its_bounds_at_the_first_try(schema: dict[str, Any]) -> None:
    judge = jsonschema.Draft202012Validator(schema)
    make = scalars.integer if schema["type"] == "integer" else scalars.number
    for number in range(30):
        judge.validate(make(schema, chance(number)))


def test_values_vary_with_chance() -> None:
    schema = json.dumps({"type": "object", "properties": {"a": {"enum": ["x", "y", "z"]}}, "required": ["a"]})
    found = [invented(schema, chance(number))["a"] for number in range(60)]
    assert all(found.count(value) > 8 for value in "xyz")


def test_required_properties_come_first_as_the_api_orders_them() -> None:
    schema = json.dumps({"properties": {"o": TEXT, "b": TEXT, "a": TEXT}, "required": ["a", "b"]})
    orders = {tuple(invented(schema, chance(number))) for number in range(20)}
    assert orders == {("b", "a"), ("b", "a", "o")}


def test_a_nullable_property_is_sometimes_null_and_mostly_not() -> None:
    found = [invented('{"type": ["string", "null"]}', chance(number)) for number in range(100)]
    assert 3 < found.count(None) < 40


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "integer", "multipleOf": 10, "minimum": 1, "maximum": 9},
        {"type": "string", "pattern": "^(?>a)$"},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 3},
        {"type": "object", "required": ["a"], "properties": {"a": False}},
        {"type": "object", "minProperties": 1, "additionalProperties": False},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
        },
        {"type": "string", "not": {}},
        {"anyOf": [False, False]},
        {"$ref": "https://json-schema.org/draft/2020-12/schema", "required": ["x"], "type": "object"},
    ],
)
def test_a_schema_without_a_value_is_told_from_one_with(schema: Any) -> None:
    with pytest.raises(Unmakeable):
        invented(json.dumps(schema), chance(0))


def test_the_public_suite_is_covered_but_for_two_schemas(checkout: Path) -> None:
    """Every schema of the JSON Schema Test Suite that has a valid instance gets one; the two that do not are told so."""
    suite = checkout.parent / "shared/suites/JSON-Schema-Test-Suite/tests/draft2020-12"
    if not suite.is_dir():
        pytest.skip("the JSON Schema Test Suite is not beside the checkout")
    missed = []
    for file in sorted([*suite.glob("*.json"), *suite.glob("optional/format/*.json")]):
        for case in json.loads(file.read_text()):
            schema = json.dumps(case["schema"])
            judge = validator(schema)
            if isinstance(judge, str) or not any(judge.is_valid(test["data"]) for test in case["tests"]):
                continue
            try:
                assert judge.is_valid(invented(schema, chance(1)))
            except Unmakeable:
                missed.append(case["description"])
    assert missed == ["collect annotations inside a 'not', even if collection is disabled", "unevaluatedItems with oneOf"]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a)", "unbalanced parenthesis"),
        ("(a", "unbalanced parenthesis"),
        ("(?>a)", "this kind of group is not covered"),
        (r"(a)\1", r"\1 is not covered"),
        ("a\\", "ends with a backslash"),
        (r"\uZZZZ", "'ZZZZ' is no code point"),
        (r"\p{Script=Han}", r"\p{Script=Han} is not covered"),
        ("[]", "an empty class"),
        ("a{2000}", "more than 1000 repetitions"),
    ],
)
def test_a_pattern_that_is_not_covered_says_why(pattern: str, reason: str) -> None:
    with pytest.raises(Unmakeable) as caught:
        matching(pattern, chance(0))
    assert reason in str(caught.value)


@pytest.mark.parametrize("pattern", [r"^\bword\b$", "^(?=a)a(?!b)$", r"^[\x41-\x43]\n?$", r"^\P{L}\.$", "^(?<!x)y$"])
def test_anchors_and_look_around_write_nothing(pattern: str) -> None:
    text = matching(pattern, chance(0))
    assert validator(json.dumps({"pattern": pattern})).is_valid(text)  # type: ignore[union-attr]


ATOMS = st.sampled_from(["a", "[b-f]", r"\d", ".", "[^x]", r"\w", "(g|h)", "(?:ij)", r"\.", "[A-Z0-9_]", "(k(l|m)+)"])
REPEATS = st.sampled_from(["", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])


@given(st.lists(st.tuples(ATOMS, REPEATS), max_size=6), st.integers())
def test_what_is_written_for_a_pattern_matches_it(parts: list[tuple[str, str]], seed: int) -> None:
    pattern = f"^{''.join(atom + repeat for atom, repeat in parts)}$"
    assert re.search(pattern, matching(pattern, chance(seed)))


LEAVES = st.sampled_from(
    [TEXT, {"type": "integer", "minimum": 3}, {"enum": ["x", "y"]}, {"type": "boolean"}, {"type": ["number", "null"]}]
)
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 2)),
        st.builds(
            lambda properties, required: {
                "type": "object",
                "properties": properties,
                "required": [name for name in properties if name in required],
                "additionalProperties": False,
            },
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.sets(st.sampled_from("abc")),
        ),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=12,
)


@given(NESTED, st.integers())
def test_nested_schemas_of_any_make_get_a_valid_value(schema: Any, seed: int) -> None:
    assume(isinstance(schema, dict))
    jsonschema.Draft202012Validator(schema).validate(invented(json.dumps(schema), chance(seed)))
