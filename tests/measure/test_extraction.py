"""Text, lists and objects against gold."""

from __future__ import annotations

import pytest

from pipeline.measure.extraction import extraction, normalised
from pipeline.records import JSON


@pytest.mark.parametrize(
    ("one", "other", "exact", "alike"),
    [
        ("Café  Münz", "cafe\u0301 mu\u0308nz\n", 0, 1),
        ("Straße", "STRASSE", 0, 1),
        ("a", "b", 0, 0),
        (1, 1.0, 1, 1),
        (True, 1, 0, 0),
        (["A", 1], ["a", 1], 0, 1),
        (["a", "b"], ["b", "a"], 0, 0),
        ({"x": "A", "y": None}, {"x": "a"}, 0, 1),
        ({"x": 1, "y": None}, {"x": 1}, 1, 1),
        ({"x": 1}, {"x": 1, "y": 2}, 0, 0),
    ],
)
def test_what_is_the_same(one: JSON, other: JSON, exact: int, alike: int) -> None:
    found = extraction([one], [other])
    assert (found.exact.hits, found.normalised.hits) == (exact, alike)


def test_casefolding_is_composed_again() -> None:
    assert normalised("\u01f0") == normalised("j\u030c") == "\u01f0"


def test_a_row_without_answer_is_no_match() -> None:
    found = extraction(["a", "b"], ["a", None])
    assert (found.coverage.value, found.exact.value) == (0.5, 0.5)


def test_fields_are_judged_where_gold_has_them() -> None:
    found = extraction(
        [{"name": "A", "sum": 1}, {"name": "B", "sum": None}, {"name": "C"}], [{"name": "a", "sum": 2}, None, {"name": "C"}]
    )
    name, total = found.fields["name"], found.fields["sum"]
    assert (name.rows, name.exact.hits, name.normalised.hits, name.coverage.hits) == (3, 1, 2, 2)
    assert (total.rows, total.exact.hits) == (1, 0)


def test_lists_of_scalars_have_a_precision_and_a_recall() -> None:
    found = extraction([["a", "b"], ["c"], ["d", "e"]], [["B", "x"], ["c"], None]).elements
    assert found is not None
    assert (found.precision.hits, found.precision.of, found.recall.hits, found.recall.of) == (2, 3, 2, 5)


def test_lists_of_objects_have_none() -> None:
    assert extraction([[{"a": 1}]], [[{"a": 1}]]).elements is None
    assert extraction(["a"], ["a"]).elements is None
