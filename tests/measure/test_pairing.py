"""Tables brought together by key."""

from __future__ import annotations

from pipeline.measure.pairing import joined, keyed


def test_what_has_no_partner_is_counted() -> None:
    gold = keyed(["a", "b", "x"], [{"g": 1}, {"g": 2}, {"g": 3}])
    table = keyed(["b", "a", "c", None], [{"t": 1}, {"t": 2}, {"t": 3}, {"t": 4}])
    found = joined(gold, table)
    assert (found.keys, found.missing, found.unlabelled, table.keyless) == (("a", "b"), ("x",), 1, 1)


def test_rows_that_repeat_count_once_and_those_that_contradict_not_at_all() -> None:
    found = keyed(["a", "a", "b", "b", "b", "c"], [{"g": 1}, {"g": 1}, {"g": 1}, {"g": 2}, {"g": 1}, {"g": float("nan")}])
    assert (list(found.rows), found.repeated, found.conflicting, found.total) == (["a", "c"], 2, ("b",), 6)


def test_a_key_that_conflicts_is_neither_missing_nor_unlabelled() -> None:
    gold, table = keyed(["a", "a"], [{"g": 1}, {"g": 2}]), keyed(["a", "b"], [{"t": 1}, {"t": 1}])
    assert (joined(gold, table).missing, joined(gold, table).unlabelled) == ((), 1)
    assert (joined(table, gold).missing, joined(table, gold).unlabelled) == (("b",), 0)
