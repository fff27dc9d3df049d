"""Schemas that are hard to carry, made by hand: with values, what the API gets, and the column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.schema.columns import TEXT


@dataclass(frozen=True)
class Hard:
    name: str
    node: Any
    """The schema of one property; it may refer to DEFINITIONS."""
    valid: Sequence[Any]
    invalid: Sequence[Any]
    column: Any
    """The Arrow type, as `spelled` says it."""
    sent: Any = None
    """The API form, where the node itself is not it; a text is a part of the reason why there is none."""
    moved: Sequence[str] = ()
    """What the API form cannot say, as pointer below the property and keyword."""
    uncarried: Sequence[Any] = ()
    """Valid values that no column of this type holds exactly: their rows have a status instead."""

    def __str__(self) -> str:
        return self.name


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def text(*held: str) -> str:
    """The description of what moved."""
    return f"Must also hold: {', '.join(held)}"


MONEY = closed(amount={"type": "number"}, currency={"enum": ["EUR", "USD"]})
TREE = closed(name={"type": "string"}, below={"type": "array", "items": {"$ref": "#/$defs/tree"}})
DEFINITIONS: dict[str, Any] = {
    "label": {"enum": ["good", "bad"]},
    "maybe": {"anyOf": [{"$ref": "#/$defs/label"}, {"type": "null"}]},
    "money": MONEY,
    "tree": TREE,
    "Größe": {"type": "integer"},
}

CARRIED = [
    Hard("nullable type list", {"type": ["string", "null"]}, ["a", "", None], [1, []], "string"),
    Hard(
        "nullable enum",
        {"type": ["string", "null"], "enum": ["a", None]},
        ["a", None],
        ["b", 0],
        "string",
        {"enum": ["a", None]},
    ),
    Hard(
        "nullable object",
        {"type": ["object", "null"], "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
        [{"a": 1}, None],
        [[], {"a": "1"}],
        {"a": "int64"},
    ),
    Hard(
        "nullable by oneOf, forms apart",
        {"oneOf": [{"$ref": "#/$defs/money"}, {"type": "null"}]},
        [{"amount": 1, "currency": "EUR"}, None],
        [{"amount": 1}, 0],
        {"amount": "double", "currency": "string"},
        {"anyOf": [{"$ref": "#/$defs/money"}, {"type": "null"}]},
    ),
    Hard(
        "oneOf, forms that overlap",
        {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 10}]},
        [3, 10.5],
        [10, 3.5, "3"],
        "double",
        {
            "anyOf": [{"type": "integer"}, {"type": "number", "description": text('{"minimum": 10}')}],
            "description": "Exactly one of these forms may fit.",
        },
        ["/oneOf/1: minimum", ": oneOf"],
    ),
    Hard(
        "anyOf of several types",
        {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "boolean"}]},
        [1, "1", True, 10**30, "a\0b"],
        [None, 1.5, []],
        TEXT,
    ),
    Hard(
        "integer within bounds",
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        [0, -(2**63), 2**63 - 1, 3.0],
        [2**63, 1.5, "1", True],
        "int64",
        {"type": "integer", "description": text('{"minimum": -9223372036854775808}', '{"maximum": 9223372036854775807}')},
        [": minimum", ": maximum"],
    ),
    Hard("integer of any size", {"type": "integer"}, [0, 1.0], [1.5], "int64", uncarried=[2**63, 10**30, 1e300]),
    Hard(
        "number",
        {"type": "number"},
        [0.1, -0.0, 5e-324, 1.7976931348623157e308, 3, 2**60],
        [True, "0.1", None],
        "double",
        uncarried=[2**53 + 1, 10**400],
    ),
    Hard(
        "multipleOf and exclusive bounds",
        {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 0},
        [0.5, 2],
        [0, 0.3],
        "double",
        {"type": "number", "description": text('{"multipleOf": 0.5}', '{"exclusiveMinimum": 0}')},
        [": multipleOf", ": exclusiveMinimum"],
    ),
    Hard("boolean", {"type": "boolean"}, [True, False], [0, 1, "true", None], "bool"),
    Hard("const text", {"const": "fixed"}, ["fixed"], ["Fixed", None], "string"),
    Hard("const number", {"const": 1}, [1, 1.0], [True, "1"], "int64"),
    Hard("enum of several types", {"enum": ["a", 1, True, None]}, ["a", 1, True, None], ["1", 0, False], TEXT),
    Hard("enum of numbers", {"type": "number", "enum": [1, 2.5]}, [1, 2.5, 1.0], [2, True], "double"),
    Hard(
        "length",
        {"type": "string", "minLength": 1, "maxLength": 3},
        ["a", "äöü", "😀😀😀"],
        ["", "abcd"],
        "string",
        {"type": "string", "description": text('{"minLength": 1}', '{"maxLength": 3}')},
        [": minLength", ": maxLength"],
    ),
    Hard(
        "pattern that the API takes",
        {"type": "string", "pattern": "^[A-Z]{2}-\\d{1,3}$"},
        ["DE-17"],
        ["DE-1234", "x DE-1"],
        "string",
    ),
    Hard(
        "pattern that is searched",
        {"type": "string", "pattern": "\\d"},
        ["a1b", "1"],
        ["ab"],
        "string",
        {"type": "string", "description": text('{"pattern": "\\\\d"}')},
        [": pattern"],
    ),
    Hard(
        "pattern with word borders",
        {"type": "string", "pattern": "\\bok\\b"},
        ["is ok.", "ok"],
        ["okay"],
        "string",
        {"type": "string", "description": text('{"pattern": "\\\\bok\\\\b"}')},
        [": pattern"],
    ),
    Hard(
        "format date", {"type": "string", "format": "date"}, ["2026-02-28", "0001-01-01"], ["2026-02-30", "yesterday"], "string"
    ),
    Hard(
        "format date-time",
        {"type": "string", "format": "date-time"},
        ["2026-11-25T22:00:00Z", "2026-11-25T22:00:00.5+01:00"],
        ["2026-11-25"],
        "string",
    ),
    Hard(
        "format that the API does not take",
        {"type": "string", "format": "iri"},
        ["https://exämple.org/"],
        ["not an iri"],
        "string",
        {"type": "string", "description": text('{"format": "iri"}')},
        [": format"],
    ),
    Hard(
        "text of every kind",
        {"type": "string"},
        ["", "a\0b", "\u2028", "=1+1", '"quoted", and\nbroken', "😀", "e\u0301", "\ufeff", "\x7f"],
        [None, 1],
        "string",
    ),
    Hard(
        "bounds of a list",
        {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 3, "uniqueItems": True},
        [["a", "b"], ["a", "b", "c"]],
        [["a"], ["a", "a"], ["a", "b", "c", "d"], "ab"],
        ["string"],
        {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": text('{"maxItems": 3}', '{"uniqueItems": true}', '{"minItems": 2}'),
        },
        [": maxItems", ": uniqueItems", ": minItems"],
    ),
    Hard(
        "list of nullable",
        {"type": "array", "items": {"type": ["integer", "null"]}},
        [[], [1, None, 2]],
        [[1.5], None],
        ["int64"],
    ),
    Hard(
        "list of lists of objects",
        {"type": "array", "items": {"type": "array", "items": {"$ref": "#/$defs/money"}}},
        [[], [[]], [[{"amount": 0.5, "currency": "USD"}], []]],
        [[[{"amount": 0.5}]]],
        [[{"amount": "double", "currency": "string"}]],
    ),
    Hard(
        "contains",
        {"type": "array", "items": {"type": "integer"}, "contains": {"const": 7}, "minContains": 2},
        [[7, 7], [1, 7, 7]],
        [[7], []],
        ["int64"],
        {
            "type": "array",
            "items": {"type": "integer"},
            "description": text('{"contains": {"const": 7}}', '{"minContains": 2}'),
        },
        [": contains", ": minContains"],
    ),
    Hard(
        "nested objects with what may be absent",
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": closed(c={"type": "boolean"}, d={"$ref": "#/$defs/maybe"})},
            "additionalProperties": False,
        },
        [{}, {"a": "x"}, {"b": {"c": True, "d": None}}, {"b": {"c": False, "d": "good"}}],
        [{"b": {}}, {"z": 1}],
        {"a": "string", "b": {"c": "bool", "d": "string"}},
    ),
    Hard(
        "object that leaves other properties open",
        {"type": "object", "properties": {"a": {"type": "string"}}},
        [{"a": "x"}, {}],
        [{"a": 1}, []],
        TEXT,
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        [": additionalProperties (the API form admits declared properties only)"],
    ),
    Hard(
        "reference with words beside it",
        {"$ref": "#/$defs/label", "description": "The tone."},
        ["good"],
        ["Good", "fine"],
        "string",
        {"enum": ["good", "bad"], "description": "The tone."},
    ),
    Hard("reference through a reference", {"$ref": "#/$defs/maybe"}, ["bad", None], ["fine"], "string"),
    Hard("reference that is no plain URI", {"$ref": "#/$defs/Gr%C3%B6%C3%9Fe"}, [7], ["7"], "int64"),
    Hard(
        "allOf",
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}, "b": {"enum": ["x", "y"]}}, "required": ["a"]},
                {"properties": {"a": {"maxLength": 2}, "b": {"enum": ["y", "z"]}}},
            ],
            "unevaluatedProperties": False,
        },
        [{"a": "ab"}, {"a": "", "b": "y"}],
        [{"b": "y"}, {"a": "abc"}, {"a": "a", "b": "x"}, {"a": "a", "c": 1}],
        TEXT,
        {
            "properties": {"a": {"type": "string", "description": text('{"maxLength": 2}')}, "b": {"enum": ["y"]}},
            "required": ["a"],
            "additionalProperties": False,
            "type": "object",
        },
        ["/allOf/1/properties/a: maxLength"],
    ),
    Hard(
        "what one property asks of another",
        {
            **closed(kind={"enum": ["card", "cash"]}, number={"type": ["string", "null"]}),
            "if": {"properties": {"kind": {"const": "card"}}},
            "then": {"properties": {"number": {"type": "string"}}},
        },
        [{"kind": "cash", "number": None}, {"kind": "card", "number": "1"}],
        [{"kind": "card", "number": None}],
        {"kind": "string", "number": "string"},
        {
            **closed(kind={"enum": ["card", "cash"]}, number={"type": ["string", "null"]}),
            "description": text(
                '{"if": {"properties": {"kind": {"const": "card"}}}', '{"then": {"properties": {"number": {"type": "string"}}}}'
            ).replace("}}}, ", "}}}}, "),
        },
        [": if", ": then"],
    ),
    Hard(
        "not",
        {"type": "string", "not": {"enum": ["n/a", ""]}},
        ["x"],
        ["n/a", ""],
        "string",
        {"type": "string", "description": text('{"not": {"enum": ["n/a", ""]}}')},
        [": not"],
    ),
    Hard(
        "the type beside the alternatives",
        {"type": "string", "anyOf": [{"format": "date"}, {"const": "unknown"}]},
        ["2026-01-31", "unknown"],
        ["2026-31-01", 1],
        "string",
        {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "const": "unknown"}]},
    ),
    Hard(
        "names that are keywords",
        closed(**{"$ref": {"type": "string"}, "type": {"type": "integer"}, "a/b~c": {"type": "null"}}),
        [{"$ref": "x", "type": 1, "a/b~c": None}],
        [{"$ref": 1, "type": 1, "a/b~c": None}],
        {"$ref": "string", "type": "int64", "a/b~c": TEXT},
    ),
]
REFUSED = [
    Hard("anything", True, [None, 0, "x", [1, {"a": None}], {"n": 10**30}, 1.5e300], [], TEXT, "a value of any type"),
    Hard(
        "map",
        {"type": "object", "additionalProperties": {"type": "integer"}},
        [{}, {"a": 1, "ö": 2**70}],
        [{"a": "1"}],
        TEXT,
        "properties of any name",
    ),
    Hard(
        "map by pattern",
        {"type": "object", "patternProperties": {"^x_": {"type": "integer"}}, "additionalProperties": False},
        [{}, {"x_a": 1}],
        [{"y": 1}],
        TEXT,
        "patternProperties",
    ),
    Hard(
        "declared and more",
        {**closed(a={"type": "string"}), "additionalProperties": {"type": "integer"}},
        [{"a": "x"}, {"a": "x", "b": 1}],
        [{"a": "x", "b": "1"}],
        TEXT,
        "properties of any name",
    ),
    Hard(
        "expressly open",
        {**closed(a={"type": "string"}), "additionalProperties": True},
        [{"a": "x", "more": [1]}],
        [{}],
        TEXT,
        "properties of any name",
    ),
    Hard(
        "labels that differ only in case",
        {"enum": ["Yes", "yes", "no"]},
        ["Yes", "yes"],
        ["YES"],
        "string",
        "differ only in case",
    ),
    Hard(
        "tree",
        {"$ref": "#/$defs/tree"},
        [{"name": "a", "below": [{"name": "b", "below": []}]}],
        [{"name": "a"}],
        TEXT,
        "recursive",
    ),
    Hard(
        "a place for each item",
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
        [[], ["a", 1]],
        [[1], ["a", 1, 2]],
        [TEXT],
        "a schema for each place",
    ),
    Hard(
        "const object",
        {"const": {"a": [1, 2]}},
        [{"a": [1, 2]}, {"a": [1.0, 2]}],
        [{"a": [2, 1]}],
        TEXT,
        "an object or an array",
    ),
    Hard("list of anything", {"type": "array"}, [[], [1, "a", None, {"b": True}]], [{}], [TEXT], "items of any type"),
    Hard(
        "properties only under a condition",
        {
            **closed(a={"type": "string"}),
            "additionalProperties": True,
            "if": {"properties": {"a": {"const": "x"}}},
            "then": {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        },
        [{"a": "y"}, {"a": "x", "b": "z"}],
        [{"a": "x"}],
        TEXT,
        "properties of any name",
    ),
    Hard(
        "required and not declared",
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        [{"b": 1}, {"a": "x", "b": None}],
        [{"a": "x"}],
        TEXT,
        "'b' is required but not declared",
    ),
    Hard("empty object", {"type": "object", "maxProperties": 0}, [{}], [{"a": 1}], TEXT, "properties of any name"),
    Hard(
        "more absent than the API takes",
        {"type": "object", "properties": {f"p{n}": {"type": "integer"} for n in range(25)}, "additionalProperties": False},
        [{}, {"p0": 1, "p24": 2}],
        [{"p25": 1}],
        {f"p{n}": "int64" for n in range(25)},
        "25 properties are optional",
    ),
    Hard(
        "more unions than the API takes",
        closed(**{f"p{n}": {"type": ["integer", "null"]} for n in range(17)}),
        [{f"p{n}": n or None for n in range(17)}],
        [{}],
        {f"p{n}": "int64" for n in range(17)},
        "17 places take more than one type",
    ),
]
HARD = [*CARRIED, *REFUSED]
