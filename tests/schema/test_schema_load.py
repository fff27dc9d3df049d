from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from pipeline.errors import ConfigInvalid
from pipeline.schema.load import Schema, load
from pipeline.schema.validator import compiled


def loaded(document: Any) -> Schema:
    return load(json.dumps(document), "s.json")


def rooted(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigInvalid) as caught:
        load(text, "s.json")
    assert str(caught.value).startswith("s.json: ")
    return caught.value.faults


def faults(document: Any) -> tuple[str, ...]:
    return faults_of(json.dumps(document))


def test_properties_are_in_the_order_of_writing() -> None:
    assert loaded(rooted(z=True, a={"type": "string"}, m=True)).properties == ("z", "a", "m")


def test_two_spellings_of_a_schema_have_one_text_and_one_digest() -> None:
    one = load('{"type": "object", "properties": {"a": {"type": "string"}}}', "one.json")
    other = load('\ufeff{"properties":{"a":{"type":"string"}},\n "type":"object"}', "other.json")
    assert one.text == other.text == '{"properties":{"a":{"type":"string"}},"type":"object"}'
    assert one.digest == other.digest
    assert len(one.digest) == 32


def test_a_changed_schema_has_another_digest() -> None:
    assert loaded(rooted(a=True)).digest != loaded(rooted(a=False)).digest


def test_the_document_keeps_the_order_of_keys() -> None:
    assert list(load('{"type":"object","properties":{"b":{},"a":{}},"$comment":"x"}', "s").document) == [
        "type",
        "properties",
        "$comment",
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('{"type": ', "line 1 column 10: not JSON"),
        ('{"type": "object",}', "not JSON"),
        ('{"minimum": NaN}', "NaN is not JSON"),
        ("[]", "the root: a schema is a JSON object"),
        ("true", "the root: a schema is a JSON object"),
        ('{"title": "\\ud800"}', "half of a surrogate pair"),
        ('{"title": "\ud800"}', "half of a surrogate pair"),
        ("[" * 100_000, "nested deeper than 128 levels"),
        ('{"not":' * 200 + "{}" + "}" * 200, "nested deeper than 128 levels"),
        ('{"maximum": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_a_text_that_is_no_schema_is_refused(text: str, word: str) -> None:
    assert any(word in fault for fault in faults_of(text))


def test_keys_written_twice_are_refused_with_their_place() -> None:
    text = '{"type":"object","properties":{"a":{"type":"string","type":"integer"},"b":{}},"type":"object"}'
    assert set(faults_of(text)) == {
        "/properties/a: key 'type' is written more than once; keep one",
        "the root: key 'type' is written more than once; keep one",
    }


def test_all_faults_of_the_meta_schema_come_at_once_with_pointers() -> None:
    found = faults(
        {
            "type": "objct",
            "properties": {"a/b": {"type": "strng"}, "c": {"type": "string", "required": True}, "d": {"minLength": -1}, "e": 5},
        }
    )
    assert {fault.split(": ")[0] for fault in found} == {
        "/type",
        "/properties/e",
        "/properties/a~1b/type",
        "/properties/c/required",
        "/properties/d/minLength",
    }
    told = "\n".join(found)
    assert "did you mean object?" in told
    assert "did you mean string?" in told


def test_a_deep_schema_that_is_wrong_at_its_bottom_is_told_so() -> None:
    node: Any = {"type": "strng"}
    for _ in range(60):
        node = rooted(a=node)
    (fault,) = faults(node)
    assert fault.startswith("/properties/a/properties/a")
    assert "did you mean string?" in fault


@pytest.mark.parametrize("name", ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft-07/schema"])
def test_draft_07_is_taken_where_it_is_named(name: str) -> None:
    schema = loaded(
        {
            "$schema": name,
            "type": "object",
            "properties": {"a": {"$ref": "#/definitions/a", "type": "integer"}},
            "definitions": {"a": {"type": "string"}},
        }
    )
    assert schema.draft == "draft-07"
    assert compiled(schema.document, schema.draft).is_valid({"a": "the type beside $ref does not count in draft-07"})


def test_another_draft_is_refused() -> None:
    (fault,) = faults({"$schema": "http://json-schema.org/draft-04/schema#", **rooted(a=True)})
    assert "draft-04" in fault
    assert "2020-12" in fault


def test_the_list_form_of_items_is_named_as_the_old_draft_that_it_is() -> None:
    assert faults(rooted(a={"items": [{}]})) == (
        "/properties/a/items: items as a list is draft-07; in 2020-12 it is prefixItems",
    )


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"type": "array", "items": {"type": "string"}}, '"type": "object"'),
        ({"type": "string"}, '"type": "object"'),
        ({"type": "object"}, "at least one property"),
        ({"type": "object", "properties": {}}, "at least one property"),
        ({**rooted(a=True), "additionalProperties": {"type": "string"}}, "cannot be columns"),
        ({**rooted(a=True), "patternProperties": {"^x": {}}}, "cannot be columns"),
        ({**rooted(a=True), "oneOf": [{"properties": {"b": {}}}, {}]}, "'b' is declared only under a condition"),
        (
            {**rooted(a=True), "if": {}, "then": {"allOf": [{"properties": {"b": {}}}]}},
            "'b' is declared only under a condition",
        ),
    ],
)
def test_a_root_that_gives_no_columns_is_refused_with_the_mend(document: Any, word: str) -> None:
    (fault,) = faults(document)
    assert word in fault


def test_the_root_may_be_a_reference_and_an_allof() -> None:
    schema = loaded(
        {
            "$ref": "#/$defs/Review",
            "$defs": {
                "Review": {"type": "object", "properties": {"label": True}, "allOf": [{"$ref": "#/$defs/Base"}]},
                "Base": {"properties": {"note": True}},
            },
        }
    )
    assert schema.properties == ("label", "note")


@pytest.mark.parametrize(
    ("ref", "word"),
    [
        ("http://127.0.0.1:1/x.json", "points to the network, and nothing is fetched"),
        ("https://example.com/x.json#/a", "points to the network"),
        ("HTTP://example.com/x.json", "points to the network"),
        ("//example.com/x.json", "points to the network"),
        ("urn:example:x", "is no path below the schema's folder"),
        ("other.json", "a file beside the schema cannot be read here"),
        ("file:///etc/passwd", "is no path below the schema's folder"),
        ("/etc/passwd", "is no path below the schema's folder"),
        ("../other.json", "points out of the schema's folder"),
        ("a/../../other.json", "points out of the schema's folder"),
        ("%2e%2e/other.json", "points out of the schema's folder"),
        ("#/$defs/nmae", "did you mean '#/$defs/name'?"),
        ("#nowhere", "points nowhere"),
        ("#/properties/a/enum/0", "points nowhere"),
        ("#/$defs/nam%C3%A9", "did you mean '#/$defs/name'?"),
    ],
)
def test_a_reference_out_of_the_file_or_to_nowhere_is_refused_by_name(ref: str, word: str) -> None:
    document = {
        "$id": "https://example.com/this.json",
        **rooted(a={"enum": ["x"]}, b={"$ref": ref}),
        "$defs": {"name": {"type": "string"}},
    }
    (fault,) = faults(document)
    assert fault.startswith("/properties/b: ")
    assert word in fault


@pytest.mark.parametrize(
    "ref",
    [
        *("#/$defs/a~1b%25", "#spot", "#/components/schemas/Name", "#/properties/other"),
        *("s.json#/properties/other", "./s.json#spot", "https://example.com/own.json#/properties/other"),
    ],
)
def test_a_reference_inside_the_file_is_followed(ref: str) -> None:
    schema = loaded(
        {
            "$id": "https://example.com/own.json",
            **rooted(x={"$ref": ref}, other={"enum": ["yes"]}),
            "$defs": {"a/b%": {"enum": ["yes"]}, "c": {"$anchor": "spot", "enum": ["yes"]}},
            "components": {"schemas": {"Name": {"enum": ["yes"]}}},
        }
    )
    assert schema.enums()["x"] == ("yes",)


def test_what_only_a_reference_makes_a_schema_is_checked_too() -> None:
    (fault,) = faults({**rooted(x={"$ref": "#/components/Name"}), "components": {"Name": {"type": "strng"}}})
    assert fault.startswith("/components/Name/type: ")


@pytest.mark.parametrize(
    "definitions",
    [
        {"a": {"$ref": "#/$defs/a"}},
        {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}},
    ],
)
def test_a_schema_that_is_itself_without_end_is_refused(definitions: Any) -> None:
    (fault,) = faults({**rooted(x={"$ref": "#/$defs/a"}), "$defs": definitions})
    assert "refers to itself" in fault


def test_a_tree_may_refer_to_itself() -> None:
    node = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}
    assert loaded({**rooted(tree={"$ref": "#/$defs/node"}), "$defs": {"node": node}}).properties == ("tree",)


@pytest.mark.parametrize(
    ("node", "word"),
    [
        ({"pattern": "(?=a)b"}, "look-around or a back-reference"),
        ({"pattern": "(a)\\1"}, "look-around or a back-reference"),
        ({"pattern": "["}, "is not a regular expression"),
        ({"patternProperties": {"(?!x)": {}}}, "look-around"),
        ({"enum": []}, "enum is empty"),
        ({"type": "string", "enum": ["a", None]}, "enum has null, which type \"string\" forbids; add 'null' to type"),
        ({"type": "integer", "const": 1.5}, 'const has 1.5, which type "integer" forbids'),
        ({"minimum": 3, "maximum": 2}, "minimum 3 and maximum 2 leave no value"),
        ({"exclusiveMinimum": 2, "maximum": 2}, "leave no value"),
        (
            {"type": "object", "required": ["q"], "additionalProperties": False},
            "'q', which additionalProperties: false forbids",
        ),
        ({"type": "object", "required": ["q"], "properties": {"q": False}}, "'q', whose schema is false"),
        ({"enum": ["abc", "abcd"], "maxLength": 2}, 'none of ["abc", "abcd"] is valid under the keywords beside it'),
        ({"type": "string", "format": "date", "const": "soon"}, 'none of ["soon"] is valid'),
        ({"allOf": [{"$ref": "#/$defs/short"}], "enum": ["abc"]}, 'none of ["abc"] is valid'),
        (
            {"type": "object", "required": ["q"], "properties": {"q": {"allOf": [{"type": "string"}, {"type": "integer"}]}}},
            "'q', whose types leave no value",
        ),
        (
            {"type": "object", "required": ["q"], "properties": {"q": {"$ref": "#/$defs/short", "type": "null"}}},
            "'q', whose types leave no value",
        ),
        ({"contains": {}, "minContains": 3, "maxContains": 2}, "leave no value"),
        ({"$dynamicRef": "#x"}, "$dynamicRef is not available yet"),
        ({"$id": "inner.json"}, "$id inside a schema"),
    ],
)
def test_what_could_never_be_checked_or_satisfied_is_said_with_its_pointer(node: Any, word: str) -> None:
    (fault,) = faults({**rooted(x=node), "$defs": {"short": {"type": "string", "maxLength": 2}}})
    assert fault.startswith("/properties/x: ")
    assert word in fault


@pytest.mark.parametrize(
    "node",
    [
        {"enum": ["ab", "abc"], "maxLength": 2},
        {"type": "object", "properties": {"q": {"allOf": [{"type": "string"}, {"type": "integer"}]}}},
        {"type": "number", "enum": [1, 2.5]},
        {"type": "integer", "const": 3.0},
        {"minimum": 2, "maximum": 2},
        {"pattern": "^(a+)+$"},
    ],
)
def test_what_only_looks_unsatisfiable_is_admitted(node: Any) -> None:
    assert loaded(rooted(x=node)).properties == ("x",)


def test_enums_are_the_labels_of_top_level_string_enumerations() -> None:
    schema = loaded(
        {
            **rooted(
                plain={"enum": ["a", "b"]},
                nullable={"type": ["string", "null"], "enum": ["a", None]},
                either={"anyOf": [{"$ref": "#/$defs/labels"}, {"type": "null"}]},
                number={"enum": [1, 2]},
                mixed={"enum": ["a", 1]},
                text={"type": "string"},
                deep=rooted(inner={"enum": ["a"]}),
            ),
            "$defs": {"labels": {"type": "string", "enum": ["x", "y"]}},
        }
    )
    assert schema.enums() == {"plain": ("a", "b"), "nullable": ("a",), "either": ("x", "y")}


def test_a_format_is_asserted_and_a_number_stays_in_linear_time() -> None:
    schema = loaded(rooted(day={"type": "string", "format": "date"}, word={"type": "string", "pattern": "^(a+)+$"}))
    validator = compiled(schema.document, schema.draft)
    assert validator.is_valid({"day": "2026-11-23"})
    assert not validator.is_valid({"day": "23 November"})
    assert not validator.is_valid({"word": "a" * 100_000 + "!"})


@pytest.mark.parametrize(
    "document",
    [
        {**rooted(a=True), "$ref": "%s/x.json"},
        rooted(a={"$ref": "%s/x.json#/y"}),
        {**rooted(a={"$ref": "x.json"}), "$id": "%s/"},
        {**rooted(a={"$dynamicRef": "%s/x.json#y"})},
        {**rooted(a=True), "$schema": "%s/meta.json"},
    ],
)
def test_no_schema_makes_a_connection(document: Any, listener: tuple[str, list[object]]) -> None:
    address, hits = listener
    pointed = json.loads(json.dumps(document).replace("%s", address))
    assert faults(pointed)
    with contextlib.suppress(ValueError):
        compiled(pointed, "2020-12").is_valid({"a": 1})
    assert hits == []


def test_what_a_validator_is_given_by_name_makes_no_connection_either(listener: tuple[str, list[object]]) -> None:
    address, hits = listener
    known: dict[str, Any] = {"urn:known": {"$ref": f"{address}/x.json"}}
    with contextlib.suppress(ValueError):
        compiled({"$ref": "urn:known"}, "2020-12", known=known).is_valid(1)
    assert hits == []
