"""What a rehearsal reads: schemas in the prompt's words, and demands in descriptions."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from pipeline.local.invent import invented
from pipeline.local.stated import heeded, schema_for, schemas
from pipeline.schema.load import load
from pipeline.schema.validator import compiled
from pipeline.schema.wire import Native, native

FIRST, SECOND = ({"type": "object", "properties": {name: {"type": "integer"}}} for name in ("a", "b"))
LIMITED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "stars": {"type": "integer", "description": "How many", "minimum": 1, "maximum": 5},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 2, "maxItems": 2},
    },
    "required": ["stars", "tags"],
    "additionalProperties": False,
}


def test_schemas_are_found_among_words_examples_and_broken_braces() -> None:
    text = f'Fill in {{x}}. Answer: {{"a": 1}} under\n{json.dumps(FIRST, indent=2)}\nthen {{ and {json.dumps(SECOND)}.'
    assert list(schemas(text)) == [FIRST, SECOND]


@pytest.mark.parametrize(("turn", "meant"), [(1, FIRST), (2, SECOND), (3, SECOND)])
def test_each_turn_has_the_schema_at_its_place(turn: int, meant: dict[str, Any]) -> None:
    stated = schema_for(f"{json.dumps(FIRST)} {json.dumps(SECOND)}", turn)
    assert stated is not None
    assert json.loads(stated) == meant


def test_a_text_without_a_schema_states_none() -> None:
    assert schema_for('Say {"type": "object"} or so.', 1) is None


def test_what_the_form_of_the_api_moved_into_descriptions_is_heeded() -> None:
    schema = load(json.dumps(LIMITED), "schema.json")
    form = native(schema)
    assert isinstance(form, Native)
    demanded = heeded(json.dumps(form.schema))
    assert demanded is not None
    judge = compiled(schema.document, schema.draft)
    chances = [Random(number) for number in range(50)]  # noqa: S311 nothing is kept secret with it
    assert all(judge.is_valid(invented(demanded, chance)) for chance in chances)
    assert not all(judge.is_valid(invented(json.dumps(form.schema), chance)) for chance in chances)


@pytest.mark.parametrize("description", ["Must also hold: {", 'Must also hold: {"$ref": "#/$defs/x"}', "Must also hold: 5"])
def test_a_demand_that_cannot_be_read_is_left_out(description: str) -> None:
    assert heeded(json.dumps({"type": "integer", "description": description})) is None
