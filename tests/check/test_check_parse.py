from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.check.parse import DUPLICATE_KEY, LONE_SURROGATE, MAX_CHARACTERS, Parsed, Unreadable, parse

_texts = st.text(st.characters(exclude_categories=["Cs"]))
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)


@given(_values, st.booleans(), st.sampled_from([None, 2]))
def test_whatever_json_says_is_read_back_exactly(value: Any, escaped: bool, indent: int | None) -> None:
    read = parse(json.dumps(value, ensure_ascii=escaped, indent=indent))
    assert isinstance(read, Parsed)
    assert json.dumps(read.value) == json.dumps(value)
    assert read.repairs == ()


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    read = parse(text)
    if isinstance(read, Parsed):
        json.dumps(read.value, ensure_ascii=False, allow_nan=False).encode()


COMMA = (  # the words are the standard library's
    "Illegal trailing comma before end of object (line 1, column 8)"
    if sys.version_info >= (3, 13)
    else "Expecting property name enclosed in double quotes (line 1, column 9)"
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value (line 1, column 1)"),
        ("{'a': 1}", "Expecting property name enclosed in double quotes (line 1, column 2)"),
        ('{"a": 1,}', COMMA),
        ('{"a": 1} {"b": 2}', "Extra data (line 1, column 10)"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1e999}', "a number too large for a double"),
        ('{"a": ' + "9" * 400 + ".0}", "a number too large for a double"),
        ('{"a": ' + "9" * 5000 + "}", "a number with too many digits"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('{"a":' * 100_000, "nested deeper than 64 levels"),
        ("[" * 65 + "]" * 65, "nested deeper than 64 levels"),
        ('{"a":' * 65 + "1" + "}" * 65, "nested deeper than 64 levels"),
        ('"' + "x" * MAX_CHARACTERS + '"', "1,048,578 characters, more than the 1,048,576 that are read"),
        ("\ufeff{}", "Unexpected UTF-8 BOM (decode using utf-8-sig) (line 1, column 1)"),
        ('{"a": "line\nbreak"}', "Invalid control character at (line 1, column 12)"),
        ("{} \ud800", "Extra data (line 1, column 4)"),
    ],
)
def test_what_is_not_strictly_json_is_refused_with_its_place(text: str, why: str) -> None:
    assert parse(text) == Unreadable(why)


def test_sixty_four_levels_are_read() -> None:
    assert isinstance(parse("[" * 64 + "]" * 64), Parsed)
    assert isinstance(parse('{"a":' * 64 + "1" + "}" * 64), Parsed)


def test_an_integer_of_any_size_keeps_its_digits() -> None:
    assert parse('{"a": 123456789012345678901234567890}') == Parsed({"a": 123456789012345678901234567890})


def test_of_a_key_written_twice_the_last_value_counts_and_that_is_said() -> None:
    assert parse('{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}') == Parsed({"a": 3, "b": {"c": 2}}, (DUPLICATE_KEY,))


@pytest.mark.parametrize("text", ['{"a": ["x\\ud800y"]}', '{"a": ["x\ud800y"]}'])
def test_half_a_surrogate_pair_becomes_the_replacement_character_and_that_is_said(text: str) -> None:
    assert parse(text) == Parsed({"a": ["x\ufffdy"]}, (LONE_SURROGATE,))


def test_half_a_surrogate_pair_in_a_key_is_replaced_too() -> None:
    assert parse('{"\\udfff": 1, "\ud800": 2}') == Parsed({"\ufffd": 2}, (LONE_SURROGATE, DUPLICATE_KEY))


def test_a_whole_surrogate_pair_is_its_character() -> None:
    assert parse('{"a": "\\ud83d\\ude00"}') == Parsed({"a": "\U0001f600"})
    assert parse('{"a": "\\ud83d\\ude00", "a": "\\ud83d\\ude00"}') == Parsed({"a": "\U0001f600"}, (DUPLICATE_KEY,))


def test_nul_is_kept() -> None:
    assert parse('{"a": "x\\u0000y"}') == Parsed({"a": "x\0y"})
