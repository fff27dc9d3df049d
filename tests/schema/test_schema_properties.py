"""What holds for every schema: it is carried or refused by name, and no valid value is lost or changed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, event, given, settings

from pipeline.schema.arrow import column, fields
from pipeline.schema.conjunction import FORMATS
from pipeline.schema.load import Schema
from pipeline.schema.validator import compiled
from pipeline.schema.wire import MAX_OPTIONAL, MAX_UNIONS, Native, Unfit, native
from tests.schema.columns import read_back, same, without_nulls
from tests.schema.schema_strategies import loaded, values
from tests.schema.schema_suite import reference

_quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TAKEN = {
    *("type", "enum", "const", "anyOf", "$ref", "$defs", "definitions", "default", "required", "description", "title"),
    *("format", "minItems", "pattern", "properties", "additionalProperties", "items"),
}
"""Keywords of API.md 4, less allOf, which this form never needs."""


def offences(node: Any, seen: list[str]) -> None:
    """What the API would answer 400 to, as API.md 4 and 10.13 say."""
    seen.extend(f"keyword {keyword}" for keyword in node.keys() - TAKEN)
    if not node.keys() & {"type", "enum", "const", "anyOf", "$ref"}:
        seen.append("no type")
    if node.get("type") == "object" or "properties" in node:
        if node.get("additionalProperties") is not False:
            seen.append("open object")
        seen.extend(f"{name} required, not declared" for name in node.get("required", []) if name not in node["properties"])
    if node.get("minItems", 0) > 1:
        seen.append("minItems")
    if node.get("format", "date") not in FORMATS:
        seen.append("format")
    below = [*node.get("properties", {}).values(), *node.get("anyOf", []), *node.get("$defs", {}).values()]
    for child in below + ([node["items"]] if "items" in node else []):
        offences(child, seen)


@_quick
@given(loaded())
def test_the_api_form_is_one_that_the_api_takes_or_refused_with_a_reason(pair: tuple[Schema, dict[str, Any]]) -> None:
    form = native(pair[0])
    if isinstance(form, Unfit):
        event("unfit")
        assert form.reason
        return
    event("native")
    found: list[str] = []
    offences(form.schema, found)
    assert found == []
    text = json.dumps(form.schema)
    assert text.count('"anyOf"') <= MAX_UNIONS + MAX_OPTIONAL


@_quick
@given(loaded())
def test_a_valid_answer_of_declared_properties_can_be_written_in_the_api_form(pair: tuple[Schema, dict[str, Any]]) -> None:
    schema, answer = pair
    form = native(schema)
    if isinstance(form, Native):
        assert compiled(form.schema, "2020-12").is_valid(answer)


@_quick
@given(loaded(), values)
def test_where_nothing_moved_the_api_form_admits_what_the_schema_admits(
    pair: tuple[Schema, dict[str, Any]], other: Any
) -> None:
    schema, answer = pair
    form = native(schema)
    if isinstance(form, Native) and not form.moved:
        sent, kept = compiled(form.schema, "2020-12"), compiled(schema.document, "2020-12")
        for name in schema.properties:
            changed = {**answer, name: other}
            assert sent.is_valid(changed) == kept.is_valid(changed)


@_quick
@given(loaded(), values)
def test_the_two_validators_agree_on_what_people_write(pair: tuple[Schema, dict[str, Any]], other: Any) -> None:
    schema, answer = pair
    if '"pattern"' in schema.text:
        return  # the regular expressions of `re` are others: their digits are those of all scripts
    ours, theirs = compiled(schema.document, "2020-12"), reference(schema.document, "2020-12")
    for name in schema.properties:
        for judged in (answer, {**answer, name: other}, {k: v for k, v in answer.items() if k != name}):
            assert ours.is_valid(judged) == theirs.is_valid(judged)


@_quick
@given(loaded())
def test_a_valid_value_reads_back_equal_from_its_column_or_has_a_reason(pair: tuple[Schema, dict[str, Any]]) -> None:
    schema, answer = pair
    for name, field in zip(schema.properties, fields(schema), strict=True):
        array, reasons = column([None, answer[name], None], field)
        assert array.type == field.type
        assert array[0].as_py() is None
        if reasons:
            event("reason")
            assert list(reasons) == [1]
            assert array[1].as_py() is None
        else:
            assert same(without_nulls(read_back(array[1].as_py(), field)), without_nulls(answer[name]))


@_quick
@given(loaded(), values)
def test_a_value_of_any_shape_is_carried_exactly_or_refused_with_a_reason(
    pair: tuple[Schema, dict[str, Any]], value: Any
) -> None:
    for field in fields(pair[0]):
        array, reasons = column([value], field)
        if not reasons:
            assert same(without_nulls(read_back(array[0].as_py(), field)), without_nulls(value))
