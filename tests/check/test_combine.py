"""Answers to the pieces of a text, made one by declared rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.check.answer import Judge
from pipeline.check.combine import RULES, ByRules, faults
from pipeline.records import Answer, Rejection, Status
from pipeline.schema.load import Schema, load
from pipeline.settings import Reducer

KINDS: dict[str, Any] = {
    "label": {"enum": ["a", "b", None]},
    "text": {"type": "string"},
    "short": {"type": ["string", "null"], "maxLength": 6},
    "count": {"type": "integer"},
    "share": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    "flag": {"type": "boolean"},
    "items": {"type": "array", "items": {"type": "string"}},
    "few": {"type": "array", "maxItems": 2},
    "wide": {},
}


def schema(**properties: Any) -> Schema:
    return load(json.dumps({"type": "object", "properties": properties}), "s.json")


def combined(rule: str, *values: Any, name: str = "wide") -> Any:
    """Values of one property; "absent" for a piece that does not have it."""
    by = ByRules({name: rule}, Judge(schema(**{name: KINDS[name]}), "off"))
    made = by([{} if value == "absent" else {name: value} for value in values])
    return made.value.get(name, "absent") if isinstance(made, Answer) else made


@pytest.mark.parametrize(
    ("rule", "values", "one"),
    [
        ("majority", ["a", "b", "b"], "b"),
        ("majority", ["b", "a", "a", "b"], "b"),
        ("majority", [{"x": 1, "y": 2}, {"y": 2, "x": 1}, 3], {"x": 1, "y": 2}),
        ("majority", [None, None, "a"], "a"),
        ("majority", [1, True, True], True),
        ("max", [1, 3.5, None, "absent", 2], 3.5),
        ("min", [4, 3, 9], 3),
        ("max", [10**30, 1], 10**30),
        ("mean", [1, 2, 4.5], 2.5),
        ("any", [False, True, False], True),
        ("any", [False, None], False),
        ("all", [True, None, True], True),
        ("all", [True, False], False),
        ("concat", ["a", "b", "a"], "a\n\nb\n\na"),
        ("concat", [["a"], [], ["b", "a"]], ["a", "b", "a"]),
        ("union", [["a", "b"], ["c", "a"], ["a"]], ["a", "b", "c"]),
        ("union", [[{"x": 1}], [{"x": 1}, {"x": 2}]], [{"x": 1}, {"x": 2}]),
        ("first", [None, "absent", "b", "a"], "b"),
        *((rule, [None, "absent", None], None) for rule in RULES),
        *((rule, ["absent", "absent"], "absent") for rule in RULES),
    ],
)
def test_each_rule(rule: str, values: list[Any], one: Any) -> None:
    found = combined(rule, *values)
    assert (found, type(found)) == (one, type(one))


@given(values=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1))
def test_one_value_alone_is_itself_and_order_decides_only_ties(values: list[str]) -> None:
    assert combined("majority", values[0]) == values[0]
    most = combined("majority", *values)
    assert values.count(most) == max(map(values.count, values))
    assert most == next(value for value in values if values.count(value) == values.count(most))


def test_what_comes_out_is_held_to_the_schema() -> None:
    found = combined("concat", "abc", "def", name="short")
    assert isinstance(found, Rejection)
    assert (found.status, found.complaint) == (Status.INVALID_OUTPUT, None)
    assert found.error.startswith("its pieces have answers, and the one made of them by prompt.long.combine is not valid")
    assert "/short" in found.error
    assert isinstance(combined("union", [1, 2], [3], name="few"), Rejection)
    assert isinstance(combined("mean", 10**400, 1, name="wide"), Rejection)


def test_rules_are_checked_against_the_schema() -> None:
    of = schema(**KINDS)
    fitting = {
        "label": {"majority", "first"},
        "text": {"majority", "first", "concat"},
        "short": {"majority", "first", "concat"},
        "count": {"majority", "first", "max", "min"},
        "share": {"majority", "first", "max", "min", "mean"},
        "flag": {"majority", "first", "any", "all"},
        "items": {"majority", "first", "concat", "union"},
        "few": {"majority", "first", "concat", "union"},
        "wide": {"majority", "first"},
    }
    every = dict.fromkeys(KINDS, "first")
    assert faults(every, of) == []
    for name, takes in fitting.items():
        for rule in RULES:
            told = faults({**every, name: rule}, of)
            assert (told == []) == (rule in takes), (name, rule, told)
    assert faults({**every, "count": "any"}, of) == [
        "count: any is for true and false, and its values are of type integer; it takes majority, max, min, first"
    ]
    missing = {name: rule for name, rule in every.items() if name != "flag"}
    assert faults(missing, of) == ["flag: no rule says how its values become one; it takes majority, any, all, first"]
    assert faults({**every, "more": "max"}, of) == ["more: the answer has no such property"]


def test_the_config_knows_every_rule() -> None:
    assert list(Reducer.__args__) == list(RULES)  # type: ignore[attr-defined]
