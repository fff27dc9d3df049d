from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.check.repair import MAX_CHARACTERS, repaired


@pytest.mark.parametrize(
    ("span", "value"),
    [
        ("{'a': 'x', 'b': True, 'c': None}", {"a": "x", "b": True, "c": None}),
        ('{"a": "x",}', {"a": "x"}),
        ('{"a": "x" "b": 2}', {"a": "x", "b": 2}),
        ('{a: "x"}', {"a": "x"}),
        ('{"a": "he said "hi" to me", "b": 1}', {"a": 'he said "hi" to me', "b": 1}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ('{"a": "x" // why\n, "b": 2 /* and\nso */}', {"a": "x", "b": 2}),
        ('{"a": "see http://x.y/z", "b": 2,}', {"a": "see http://x.y/z", "b": 2}),
        ('{"a": {"b": 1}, "c": "x"', {"a": {"b": 1}, "c": "x"}),
        ('{"a": 1.50, "b": -5, "c": 1e3,}', {"a": 1.5, "b": -5, "c": 1000.0}),
        ('{"a": "caf\\u00e9 \\"q\\"",}', {"a": 'café "q"'}),
        ('{"a": "C:\\Users\\data",}', {"a": "C:\\Users\\data"}),
        ("{“a”: “b”}", {"a": "b"}),
    ],
)
def test_damage_that_leaves_every_word_is_mended(span: str, value: Any) -> None:
    mended = repaired(span)
    assert mended is not None
    assert json.loads(mended) == value


@pytest.mark.parametrize(
    "span",
    [
        '{"a": "cut in the mid',
        '{"a": 12',
        '{"a": tru',
        '{"a": "',
        '{"a": "b", "c": "',
        '{"a": 1} {"a": 2}',
        '{"a": 1, "a": 2,}',
        '{"a": "C:\\Users\\new",}',
        '{"a": 1,} and more words}',
        '[{"a": 1},]',
        '{"a": \'x\', "b": 0007}',
        '{"a": ' + "9" * 5000 + ",}",
        '{"a": 1e999,}',
        "{'a': '" + "x" * MAX_CHARACTERS + "'}",
        '{"a":' * 5000 + "1" + "}" * 4999,
        '{"a": "' + "(" * 2_001 + '",}',
        '{"a": ["x"; "y"]}',
        '{"a": ""; "b": "x"}',
        '{"a": "said \\"wow\\" ',
        "nothing",
        "}",
    ],
    ids=lambda span: span[:20],
)
def test_what_might_be_another_value_is_not_mended(span: str) -> None:
    assert repaired(span) is None


@pytest.mark.parametrize(
    "span",
    [
        "{'a': " + "/*" * 120_000 + "}",
        "{'a': " + '"' * 200_000 + "}",
        "{'a': '" + "1" * 200_000 + "x'}",
        "{'a': '" + "\\" * 200_000 + "'}",
        "{'a': " + "#" * 200_000 + "}",
        "{'a': " + "(" * 200_000 + "}",
    ],
    ids=lambda span: span[:12],
)
def test_a_hostile_text_does_not_hang(span: str) -> None:
    repaired(span)
