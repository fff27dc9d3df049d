"""A `$ref` to a file beside the schema: taken into the document, or refused with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.errors import ConfigInvalid
from pipeline.schema.arrow import JSON_SCHEMA, fields
from pipeline.schema.load import Schema, load
from pipeline.schema.tool import tool
from pipeline.schema.validator import compiled
from pipeline.schema.wire import Native, native

MONEY = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/schemas/money.json",
    "type": "object",
    "properties": {"amount": {"type": "number"}, "currency": {"$ref": "#/$defs/Currency"}},
    "required": ["amount", "currency"],
    "additionalProperties": False,
    "$defs": {"Currency": {"enum": ["EUR", "USD"]}, "Unused": {"type": "string"}},
}


def rooted(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def loaded(document: Any, files: Mapping[str, Any], read: list[str] | None = None) -> Schema:
    """The schema, from files that are held in memory. `read` gets the names of those that were asked for."""

    def beside(path: str) -> str:
        if read is not None:
            read.append(path)
        if path not in files:
            raise ConfigInvalid(f"{path} cannot be read: No such file or directory")
        held = files[path]
        return held if isinstance(held, str) else json.dumps(held)

    return load(json.dumps(document), "schemas/s.json", beside)


def faults(document: Any, files: Mapping[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigInvalid) as caught:
        loaded(document, files)
    return caught.value.faults


def test_a_file_beside_is_taken_into_the_definitions() -> None:
    schema = loaded(rooted(price={"$ref": "money.json", "description": "Net."}), {"money.json": MONEY})
    assert schema.document == {
        **rooted(price={"$ref": "#/$defs/money", "description": "Net."}),
        "$defs": {
            "money": {
                **rooted(amount={"type": "number"}, currency={"$ref": "#/$defs/Currency"}),
            },
            "Currency": {"enum": ["EUR", "USD"]},
        },
    }
    assert compiled(schema.document, schema.draft).is_valid({"price": {"amount": 1, "currency": "EUR"}})
    assert not compiled(schema.document, schema.draft).is_valid({"price": {"amount": 1, "currency": "GBP"}})


def test_model_tool_form_and_table_get_a_schema_that_is_whole_by_itself() -> None:
    schema = loaded(rooted(price={"$ref": "money.json#/$defs/Currency"}), {"money.json": MONEY})
    whole = {**rooted(price={"$ref": "#/$defs/Currency"}), "$defs": {"Currency": {"enum": ["EUR", "USD"]}}}
    form = native(schema)
    assert isinstance(form, Native)
    assert form.schema == tool(schema) == whole
    (field,) = fields(schema)
    assert str(field.type) == "string"
    assert json.loads(field.metadata[JSON_SCHEMA]) == {"$ref": "#/$defs/Currency", "$defs": whole["$defs"]}


@pytest.mark.parametrize(
    ("ref", "names"),
    [
        ("common/money.json#/$defs/Currency", ["Currency"]),
        ("./common/../common//money.json#/$defs/Currency", ["Currency"]),
        ("common%2Fmoney.json#/%24defs/Currency", ["Currency"]),
        ("common/by-anchor.json#here", ["spot"]),
        ("common/onward.json", ["Currency", "onward"]),
        ("common/back.json", ["back"]),
        ("bag.json#/Currency", ["Currency"]),
    ],
)
def test_refs_are_followed_from_the_folder_of_the_file_that_holds_them(ref: str, names: list[str]) -> None:
    files = {
        "common/money.json": MONEY,
        "common/by-anchor.json": {"$defs": {"spot": {"$anchor": "here", "enum": ["EUR", "USD"]}}},
        "common/onward.json": {"$ref": "../common/money.json#/$defs/Currency"},
        "common/back.json": {"$ref": "../s.json#/properties/home"},
        "bag.json": {"Currency": {"enum": ["EUR", "USD"]}, "Money": {"type": "strng"}},
    }
    schema = loaded(rooted(x={"$ref": ref}, home={"enum": ["EUR", "USD"]}), files)
    held = schema.document["$defs"]
    assert isinstance(held, dict)
    assert sorted(held) == names
    judge = compiled(schema.document, schema.draft)
    assert judge.is_valid({"x": "EUR", "home": "EUR"})
    assert not judge.is_valid({"x": "GBP", "home": "EUR"})


def test_definitions_of_one_name_from_several_files_stay_apart() -> None:
    files = {"a.json": {"$defs": {"L": {"const": "a"}}}, "b.json": {"$defs": {"L": {"const": "b"}}}}
    document = {
        **rooted(a={"$ref": "a.json#/$defs/L"}, b={"$ref": "b.json#/$defs/L"}, own={"$ref": "#/$defs/L"}),
        "$defs": {"L": {"const": "own"}},
    }
    judge = compiled(loaded(document, files).document, "2020-12")
    assert judge.is_valid({"a": "a", "b": "b", "own": "own"})
    assert not judge.is_valid({"a": "b", "b": "b", "own": "own"})


def test_files_may_refer_to_each_other_in_a_circle() -> None:
    files = {
        "a.json": {"type": "object", "properties": {"b": {"$ref": "b.json"}}, "additionalProperties": False},
        "b.json": {"type": "array", "items": {"$ref": "a.json"}},
    }
    schema = loaded(rooted(a={"$ref": "a.json"}), files)
    judge = compiled(schema.document, schema.draft)
    assert judge.is_valid({"a": {"b": [{"b": []}]}})
    assert not judge.is_valid({"a": {"b": [{"b": [1]}]}})


def test_in_draft_07_they_go_into_its_definitions() -> None:
    named = {"$schema": "http://json-schema.org/draft-07/schema#"}
    files = {"pair.json": {**named, "definitions": {"P": {"items": [{"type": "integer"}], "additionalItems": False}}}}
    schema = loaded({**named, **rooted(x={"$ref": "pair.json#/definitions/P"})}, files)
    assert schema.document["definitions"] == {"P": {"items": [{"type": "integer"}], "additionalItems": False}}
    assert not compiled(schema.document, schema.draft).is_valid({"x": [1, 2]})


def test_what_only_looks_like_a_reference_is_left_alone() -> None:
    read: list[str] = []
    document = rooted(**{"$ref": {"type": "string"}}, x={"const": {"$ref": "a.json"}}, y={"default": {"$ref": "b.json"}})
    assert loaded(document, {}, read).document == document
    assert read == []


def test_each_file_is_read_once() -> None:
    read: list[str] = []
    loaded(rooted(a={"$ref": "money.json"}, b={"$ref": "money.json#/$defs/Currency"}), {"money.json": MONEY}, read)
    assert read == ["money.json"]


@pytest.mark.parametrize(
    "changed",
    [
        {**MONEY, "required": ["amount"]},
        {**MONEY, "$defs": {**MONEY["$defs"], "Currency": {"enum": ["EUR", "USD", "GBP"]}}},  # type: ignore[dict-item]
        {**MONEY, "$defs": {**MONEY["$defs"], "Unused": {"type": "integer"}}},  # type: ignore[dict-item]
    ],
)
def test_a_changed_file_beside_changes_the_digest(changed: Any) -> None:
    document = rooted(price={"$ref": "money.json"})
    before = loaded(document, {"money.json": MONEY}).digest
    assert loaded(document, {"money.json": changed}).digest != before


def test_another_spelling_of_a_file_beside_does_not() -> None:
    document = rooted(price={"$ref": "money.json"})
    other = json.dumps(dict(reversed(MONEY.items())), indent=3)
    assert loaded(document, {"money.json": MONEY}).digest == loaded(document, {"money.json": other}).digest


def test_all_faults_of_all_files_come_at_once_each_with_its_file_and_pointer() -> None:
    files = {
        "a.json": {"$defs": {"A": {"type": "strng"}, "Other": {"minLength": -1}}},
        "text.json": "{",
        "list.json": [],
        "old.json": {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {}},
        "sub/far.json": {"properties": {"x": {"$ref": "../../etc/passwd"}, "y": {"$ref": "#/$defs/none"}}},
    }
    document = rooted(
        a={"$ref": "a.json#/$defs/A"},
        b={"$ref": "text.json"},
        c={"$ref": "none.json"},
        d={"$ref": "list.json"},
        e={"$ref": "old.json"},
        f={"$ref": "sub/far.json"},
        g={"type": "intger"},
        h={"$ref": "a.json#/$defs/B"},
    )
    told = faults(document, files)
    for place, word in [
        ("a.json: /$defs/A/type", "did you mean string?"),
        ("a.json: /$defs/Other/minLength", "-1"),
        ("text.json: line 1 column 2", "not JSON"),
        ("/properties/c: $ref 'none.json'", "No such file"),
        ("list.json: the root", "a schema is a JSON object"),
        ("old.json: /$schema", "another draft"),
        ("sub/far.json: /properties/x: $ref '../../etc/passwd'", "points out of the schema's folder"),
        ("sub/far.json: /properties/y: $ref '#/$defs/none'", "points nowhere in sub/far.json"),
        ("/properties/g/type", "did you mean integer?"),
        ("/properties/h: $ref 'a.json#/$defs/B'", "points nowhere in a.json"),
    ]:
        assert [fault for fault in told if fault.startswith(place) and word in fault], (place, told)
    assert len(told) == 10


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ({"pattern": "(?=a)b"}, "a.json: the root: pattern '(?=a)b' uses look-around"),
        ({"$defs": {"x": {"enum": []}}, "$ref": "#/$defs/x"}, "a.json: /$defs/x: enum is empty"),
        ({"$ref": "a.json"}, "a.json: the root → a.json: the root: refers to itself"),
    ],
)
def test_what_could_never_be_satisfied_is_told_of_its_own_file(file: Any, fault: str) -> None:
    (told,) = faults(rooted(x={"$ref": "a.json"}), {"a.json": file})
    assert told.startswith(fault)
