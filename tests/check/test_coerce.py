from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.check.answer import Repair
from pipeline.records import Answer
from tests.check.replies import answered, judged, rejected


def holding(schema: Any, **definitions: Any) -> dict[str, Any]:
    """A schema whose answer is one value, `v`."""
    return {
        "type": "object",
        "properties": {"v": schema},
        "required": ["v"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def mended(value: Any, schema: Any, repair: Repair = "wrappers", **definitions: Any) -> tuple[Any, tuple[str, ...]]:
    found, repairs = answered(json.dumps({"v": value}), repair, holding(schema, **definitions))
    return found["v"], repairs


def is_refused(value: Any, schema: Any, repair: Repair = "full", **definitions: Any) -> bool:
    return not isinstance(judged(json.dumps({"v": value}), repair, holding(schema, **definitions)), Answer)


INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
BOOLEAN = {"type": "boolean"}
LABEL = {"enum": ["positive", "very negative", "US", "us", 7, 2.5, True, None]}
DAY = {"type": "string", "format": "date"}
LINE = {"type": "object", "properties": {"n": INTEGER}, "required": ["n"], "additionalProperties": False}

AT_WRAPPERS: list[tuple[Any, Any, Any, str]] = [
    ("Positive", LABEL, "positive", "enum_case"),
    ("POSITIVE\n", LABEL, "positive", "enum_case"),
    (" positive", LABEL, "positive", "trimmed"),
    ("very\u00a0 negative", LABEL, "very negative", "trimmed"),
    (" US", LABEL, "US", "trimmed"),
    ("CAFE\u0301", {"enum": ["café"]}, "café", "enum_case"),
    ("STRASSE", {"enum": ["Straße"]}, "Straße", "enum_case"),
    ("Yes", {"const": "yes"}, "yes", "enum_case"),
    ("7", LABEL, 7, "number_from_string"),
    ("2.5", LABEL, 2.5, "number_from_string"),
    ("true", LABEL, True, "boolean_from_string"),
    ("null", LABEL, None, "null_from_string"),
    (4, {"enum": ["4", "5"]}, "4", "string_from_number"),
    (True, {"enum": ["true", "false"]}, "true", "string_from_number"),
    ("12", INTEGER, 12, "number_from_string"),
    ("-12 ", INTEGER, -12, "number_from_string"),
    ("12.0", INTEGER, 12, "number_from_string"),
    ("1234567890123456789", INTEGER, 1234567890123456789, "number_from_string"),
    ("12.50", NUMBER, 12.5, "number_from_string"),
    ("1e3", INTEGER, 1000, "number_from_string"),
    ("1e3", NUMBER, 1000.0, "number_from_string"),
    ("12", {"type": ["integer", "null"]}, 12, "number_from_string"),
    ("null", {"type": ["integer", "null"]}, None, "null_from_string"),
    ("true", BOOLEAN, True, "boolean_from_string"),
    ("False", BOOLEAN, False, "boolean_from_string"),
    ('["a", "b"]', {"type": "array"}, ["a", "b"], "array_from_string"),
    ('{"n": 1}', LINE, {"n": 1}, "object_from_string"),
    (" 2026-11-25 ", DAY, "2026-11-25", "trimmed"),
    ("AB-1\n", {"type": "string", "pattern": "^[A-Z]+-[0-9]+$"}, "AB-1", "trimmed"),
    ("3", {"anyOf": [INTEGER, {"type": "null"}]}, 3, "number_from_string"),
    ("3", {"oneOf": [INTEGER, BOOLEAN]}, 3, "number_from_string"),
    ("3.5", {"anyOf": [INTEGER, NUMBER]}, 3.5, "number_from_string"),
    ("Positive", {"anyOf": [{"enum": ["positive"]}, {"type": "null"}]}, "positive", "enum_case"),
    ("3", {"allOf": [INTEGER, {"anyOf": [INTEGER, BOOLEAN]}]}, 3, "number_from_string"),
]
AT_FULL: list[tuple[Any, Any, Any, str]] = [
    ("25 November 2026", DAY, "2026-11-25", "date_form"),
    ("2026/11/25", DAY, "2026-11-25", "date_form"),
    (
        "2026-11-25 10:30:00+0100",
        {"type": "string", "format": "date-time"},
        "2026-11-25T10:30:00+01:00",
        "date_form",
    ),
    (5, {"type": "array", "items": INTEGER}, [5], "wrapped_in_array"),
    ({"n": 1}, {"type": ["array", "null"], "items": LINE}, [{"n": 1}], "wrapped_in_array"),
    ("positive", {"type": "array", "items": {"enum": ["positive"]}}, ["positive"], "wrapped_in_array"),
]


@pytest.mark.parametrize(("value", "schema", "meant", "name"), AT_WRAPPERS)
@pytest.mark.parametrize("repair", ["wrappers", "full"])
def test_a_form_that_loses_nothing_is_mended_and_named(value: Any, schema: Any, meant: Any, name: str, repair: Repair) -> None:
    found, repairs = mended(value, schema, repair)
    assert (found, type(found)) == (meant, type(meant))
    assert repairs == (f"{name} /v",)


@pytest.mark.parametrize(("value", "schema", "meant", "name"), AT_FULL)
def test_what_has_to_be_written_anew_is_so_in_full_only(value: Any, schema: Any, meant: Any, name: str) -> None:
    assert mended(value, schema, "full") == (meant, (f"{name} /v",))
    assert is_refused(value, schema, "wrappers")


@pytest.mark.parametrize(("value", "schema", "meant", "name"), AT_WRAPPERS + AT_FULL)
def test_with_repair_off_no_value_is_touched(value: Any, schema: Any, meant: Any, name: str) -> None:
    assert is_refused(value, schema, "off")


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("Us", LABEL),  # US or us
        ("very_negative", LABEL),
        ("negative", LABEL),
        ("7.5", LABEL),
        (["positive"], LABEL),
        ("012", INTEGER),
        ("+12", INTEGER),
        ("1,200", INTEGER),
        ("12.5", INTEGER),
        ("12%", INTEGER),
        ("١٢", INTEGER),
        ("", INTEGER),
        ("1e999", NUMBER),
        ("9" * 5000, NUMBER),
        ("0.1234567890123456789", NUMBER),
        ("NaN", NUMBER),
        (12.5, INTEGER),
        (True, INTEGER),
        (None, INTEGER),
        (1, BOOLEAN),
        ("yes", BOOLEAN),
        ("", {"type": ["integer", "null"]}),
        ("n/a", {"type": ["integer", "null"]}),
        (5, {"type": "string"}),
        (" x", {"type": "string", "maxLength": 1}),
        ('["a", "a"', {"type": "array"}),
        ('{"n": 1, "n": 2}', LINE),
        ('{"n": 1}', {"type": "array"}),
        ("03/04/2026", DAY),
        ("2026-11-25T00:00:00Z", DAY),
        ("red, green", {"type": "array", "items": {"type": "string"}}),
        ("red", {"type": "array", "items": {"type": "string"}}),
        ("positive, positive", {"type": "array", "items": {"enum": ["positive"]}}),
        (None, {"type": "array", "items": {"type": "null"}}),
        (5, {"type": "array", "items": INTEGER, "minItems": 2}),
        (5, {"type": "array"}),
        (5, {"type": ["array", "string"], "items": INTEGER}),
        ("3", {"oneOf": [INTEGER, NUMBER]}),
        ("3", {"anyOf": [INTEGER, {"const": "3 "}]}),  # the number or the string
        ([1], LINE),
    ],
)
def test_what_might_mean_something_else_stays_as_it_is(value: Any, schema: Any) -> None:
    assert is_refused(value, schema)


def test_a_mend_is_made_wherever_the_schema_leads_and_nowhere_else() -> None:
    tree = {
        "type": "object",
        "properties": {
            "n": {"$ref": "#/$defs/count"},
            "note": {"type": "string"},
            "of": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
        },
        "additionalProperties": False,
    }
    value = {"n": "1", "note": "7", "of": [None, {"n": "2", "of": [{"n": 3, "note": " true "}]}, {"of": [{"n": "4"}]}]}
    meant = {"n": 1, "note": "7", "of": [None, {"n": 2, "of": [{"n": 3, "note": " true "}]}, {"of": [{"n": 4}]}]}
    found, repairs = mended(value, {"$ref": "#/$defs/tree"}, tree=tree, count=INTEGER)
    assert found == meant
    assert sorted(repairs) == [f"number_from_string /v/{place}" for place in ("n", "of/1/n", "of/2/of/0/n")]


def test_of_alternatives_the_one_that_can_be_mended_whole_is_meant() -> None:
    kinds = {
        "anyOf": [
            {"properties": {"kind": {"const": "a"}, "n": INTEGER}, "required": ["kind", "n"]},
            {"properties": {"kind": {"const": "b"}, "n": BOOLEAN}, "required": ["kind", "n"]},
        ]
    }
    assert mended({"kind": "B ", "n": "true"}, kinds)[0] == {"kind": "b", "n": True}
    assert mended({"kind": "a", "n": "3"}, kinds)[0] == {"kind": "a", "n": 3}
    assert is_refused({"kind": "c", "n": "3"}, kinds)


def test_a_mend_may_bring_up_the_next() -> None:
    assert mended("5", {"type": "array", "items": INTEGER}, "full") == ([5], ("wrapped_in_array /v", "number_from_string /v/0"))
    assert mended('{"n": "5"}', LINE) == ({"n": 5}, ("object_from_string /v", "number_from_string /v/n"))
    conditional = {
        "properties": {"kind": {"enum": ["a", "b"]}},
        "if": {"properties": {"kind": {"const": "a"}}},
        "then": {"properties": {"n": INTEGER}},
        "else": {"required": ["m"]},
    }
    assert mended({"kind": "A", "n": "1"}, conditional)[0] == {"kind": "a", "n": 1}


def test_a_mended_value_obeys_the_whole_schema_or_is_none() -> None:
    verdict = rejected('{"v": "9"}', "full", holding({"type": "integer", "maximum": 5}))
    assert verdict.error.startswith('not valid under the schema: /v: the value is not of type "integer"')
    assert is_refused(["1", "1"], {"type": "array", "items": INTEGER, "contains": {"const": 2}})


def test_a_whole_answer_in_a_string_is_taken_out() -> None:
    assert answered(json.dumps(json.dumps({"v": "3"})), schema=holding(INTEGER)) == (
        {"v": 3},
        ("object_from_string", "number_from_string /v"),
    )


def test_wrapping_and_value_are_mended_together_and_named_in_order() -> None:
    assert answered('```json\n{"v": "3",}\n```', "full", holding(INTEGER)) == (
        {"v": 3},
        ("stripped_fence", "json_repair", "number_from_string /v"),
    )


def test_a_float_without_a_fraction_is_an_integer_as_it_stands() -> None:
    assert mended(3.0, INTEGER) == (3, ())


def test_pointers_are_escaped() -> None:
    schema = {"type": "object", "properties": {"a/b~c": INTEGER}}
    assert answered('{"a/b~c": "1"}', schema=schema)[1] == ("number_from_string /a~1b~0c",)


RICH = holding(
    {
        "type": "object",
        "properties": {
            "label": {"enum": ["one", "Two", "THREE"]},
            "n": {"type": ["integer", "null"]},
            "x": {"anyOf": [NUMBER, BOOLEAN]},
            "day": DAY,
            "note": {"type": "string"},
            "scores": {"type": "array", "items": NUMBER},
            "inner": LINE,
        },
        "additionalProperties": False,
    }
)
_notes = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["12", "true", "null", " One", "{}"])
_finite = st.floats(-1e300, 1e300) | st.integers(-(10**6), 10**6)
_integers = st.integers(-(2**63), 2**63 - 1)  # those that a column carries
VALID = st.fixed_dictionaries(
    {},
    optional={
        "label": st.sampled_from(["one", "Two", "THREE"]),
        "n": st.none() | _integers,
        "x": _finite | st.booleans(),
        "day": st.dates().map(lambda day: day.isoformat()),
        "note": _notes,
        "scores": st.lists(_finite, max_size=3),
        "inner": st.fixed_dictionaries({"n": _integers}),
    },
)


def spoiled(value: dict[str, Any], choose: st.DataObject) -> dict[str, Any]:
    """The same answer, with the forms of some values changed so that the schema refuses them."""
    changed: dict[str, Any] = {}
    for name, held in value.items():
        ways: list[Any] = [held]
        match held:
            case bool():
                ways += [str(held), str(held).lower(), str(held).upper()]
            case int() | float():
                ways += [json.dumps(held), f" {json.dumps(held)}"]
            case None:
                ways += ["null"]
            case str() if name == "label":
                ways += [held.upper(), held.lower(), held.title(), f" {held}\n"]
            case str() if name == "day":
                ways += [f"{held} "]
            case dict() | list():
                ways += [json.dumps(held)]
        changed[name] = choose.draw(st.sampled_from(ways))
    return changed


@settings(max_examples=100, deadline=None)
@given(VALID, st.sampled_from(["off", "wrappers", "full"]))
def test_a_valid_value_is_never_touched(value: dict[str, Any], repair: Repair) -> None:
    assert answered(json.dumps({"v": value}), repair, RICH) == ({"v": value}, ())


@settings(max_examples=100, deadline=None)
@given(VALID, st.data(), st.sampled_from(["wrappers", "full"]))
def test_a_spoiled_value_comes_back_as_it_was_and_then_stays(
    value: dict[str, Any], data: st.DataObject, repair: Repair
) -> None:
    wrong = spoiled(value, data)
    found, repairs = answered(json.dumps({"v": wrong}), repair, RICH)
    assert json.dumps(found["v"]) == json.dumps(value)
    assert len(repairs) == sum(json.dumps(wrong[name]) != json.dumps(value[name]) for name in value)
    assert answered(json.dumps(found), repair, RICH) == (found, ())


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | _finite | _notes,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["label", "n", "x", "day", "inner"]), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(RICH["properties"]["v"]["properties"])), _ANYTHING))
def test_whatever_comes_out_is_valid_and_stays_as_it_is(value: dict[str, Any]) -> None:
    verdict = judged(json.dumps({"v": value}), "full", RICH)
    if isinstance(verdict, Answer):
        assert answered(json.dumps(verdict.value), "off", RICH) == (verdict.value, ())
