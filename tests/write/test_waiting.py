"""Which requests wait for the reply of a batch."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.write.waiting import PREFIX_BYTES, Waiting

KEYS = st.integers(0, 9).map(lambda number: number.to_bytes(PREFIX_BYTES) + bytes(8))


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(KEYS, st.integers(0, 2**62)), max_size=20), max_size=12))
def test_every_row_that_asks_so_is_found_and_no_other(parcels: list[list[tuple[bytes, int]]]) -> None:
    waiting = Waiting()
    for parcel in parcels:
        waiting.add((key for key, _ in parcel), (position for _, position in parcel), len(parcel))
    added = [request for parcel in parcels for request in parcel]
    for number in range(10):
        key = number.to_bytes(PREFIX_BYTES) + bytes(8)
        assert sorted(waiting.positions(key)) == sorted(position for asked, position in added if asked == key)


def test_a_thousand_parcels_are_few_arrays() -> None:
    waiting = Waiting()
    for number in range(1000):
        waiting.add([number.to_bytes(PREFIX_BYTES)], [number], 1)
    assert len(waiting._levels) <= 11
    assert sum(level.nbytes for level in waiting._levels) == 16 * 1000
