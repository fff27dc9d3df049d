"""Rows whose outcome does not stand any more."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.job.stale import MOST_GONE, Stale
from pipeline.records import FILE_SHIFT, Status


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**62), st.sampled_from(Status))), st.sets(st.integers(0, 50)))
def test_it_holds_what_a_dict_would_hold(rows: list[tuple[int, Status]], gone: set[int]) -> None:
    right = dict(sorted(rows))
    stale = Stale()
    for position, status in right.items():
        stale.put(position, status)
    for at, position in enumerate(list(right)):
        if at in gone:
            del right[position]
            stale.discard(position)
            stale.discard(position)
    for position, _ in rows:
        assert (position in stale) == (position in right)
    assert +stale.counts == Counter(right.values())


def test_rows_that_are_done_take_no_place_for_long() -> None:
    stale = Stale()
    for position in range(10 * MOST_GONE):
        stale.put(position, Status.FAILED)
        stale.discard(position)
    stale.put(1 << FILE_SHIFT, Status.OK)
    assert len(stale._positions) <= MOST_GONE
    assert +stale.counts == Counter({Status.OK: 1})
