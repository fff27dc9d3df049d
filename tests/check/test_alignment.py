from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.check.alignment import says_the_same


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "x"}, '{"a": "x"}'),
        ({"a": "x"}, "{a: 'x',}"),
        ({"a": "x"}, "{“a”: ‘x’}"),
        ({"a": "two words"}, '{"a": two words"}'),
        ({"a": "two words", "b": 1}, '{"a": "two words, "b": 1'),
        ({"a": 'say "hi", he said'}, '{"a": "say "hi", he said"}'),
        ({"a": "line\nbreak"}, '{"a": "line\nbreak"}'),
        ({"a": "é\n\t\"\\/😀'"}, r'{"a": "\u00e9\n\t\"\\\/\ud83d\ude00\'"}'),
        ({"a": r"\d+"}, r'{"a": "\d+"}'),
        ({"a": "http://x # y /* z"}, '{"a": "http://x # y /* z", /* why */ } // so'),
        ({"a": [1, -2, 3.5, 1e3, True, False, None]}, "{'a': [1, -2, +3.5, 1e3, True, FALSE, None]}  # done"),
        ({"a": "", "b": []}, '{"a": "", "b": []}'),
        ({}, "{}"),
        ({"a": ["x"], "b": 1}, '{"a": ["x", "b": 1}'),
        ({"a": {"b": [1]}}, '{"a": {"b": [1'),
    ],
)
def test_a_value_that_the_text_spells_is_the_same(value: Any, text: str) -> None:
    assert says_the_same(value, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "x"}, '{"a": "x", ...}'),
        ({"a": "x"}, '{"a": "x"; }'),
        ({"a": "x"}, '{"a": "x" and more}'),
        ({"a": 99}, '{"a": 99%}'),
        ({"a": 7}, '{"a": 007}'),
        ({"a": 3}, '{"a": 3,000}'),
        ({"a": 3}, '{"a": "3"}'),
        ({"a": 3}, '{"a": 3.5}'),
        ({"a": None}, '{"a": NaN}'),
        ({"a": True}, '{"a": 1}'),
        ({"a": 1}, '{"a": true}'),
        ({"a": "undefined"}, '{"a": undefined}'),
        ({"a": "12"}, '{"a": 12}'),
        ({"a": ["O", "Brien"]}, "{'a': ['O'Brien']}"),
        ({"a": 'wow" he said'}, '{"a": ""wow" he said"}'),
        ({"a": "cut"}, '{"a": "cut here"}'),
        ({"a": "one, two"}, '{"a": one, two}'),
        ({"a": "x", "b": 1}, '{"b": 1, "a": "x"}'),
        ({"a": "x"}, '{"a": "y", "a": "x"}'),
        ({"a": "x", "b": 1}, '{"a": "x"}'),
        ({"a": "snake_case"}, r'{"a": "snake\_case"}'),
        ({"a": "C:\\Users\new"}, r'{"a": "C:\Users\new"}'),
        ({"a": 1}, '{"a": 1 /* never closed'),
        ({"a": "X"}, '{"a": "x"}'),
        ({"a": [1, 2]}, '{"a": [1,,2]}'),
        ({"a": [1]}, '{"a": [,1]}'),
        ({"a": [1, 2]}, '{"a": [1:2]}'),
        ({"a": []}, '{"a": [}'),
        ({"a": [["x", ["y"]]], "b": 1}, '{"a": [["x", ["y"]], "b": 1}'),
        ({"a": []}, '{"a": [{}'),
        ({"a": ["x"]}, '{"a": {"x"}'),
        ({"a": {"b": 1, "c": 2}}, '{"a": {"b": 1}, "c": 2}'),
        ({"a": "b", "c": 1}, '{"a", "b", "c": 1}'),
        ({"a": "tru"}, '{"a": tru}'),
        ({"a": "\\u00A"}, '{"a": "\\u00A"}'),
        ({"a": 1}, '{"a": 1}}'),
        ({"a": "x"}, '{"a": "x’'),
    ],
)
def test_a_value_that_says_more_or_less_or_other_is_not(value: Any, text: str) -> None:
    assert not says_the_same(value, text)


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_values = st.dictionaries(
    _texts,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@settings(deadline=None)
@given(_values, st.booleans(), st.sampled_from([None, 1]))
def test_json_says_what_it_says(value: Any, escaped: bool, indent: int | None) -> None:
    assert says_the_same(value, json.dumps(value, ensure_ascii=escaped, indent=indent))


@settings(deadline=None)
@given(_values, st.data())
def test_a_value_that_lost_something_is_found_out(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=False)
    if value:
        lost = data.draw(st.sampled_from(sorted(value)))
        assert not says_the_same({name: held for name, held in value.items() if name != lost}, text)
