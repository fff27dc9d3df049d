"""The requests of a parcel, in columns."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.call.slips import KEY_BYTES, Slips
from pipeline.records import Slip

SLIPS = st.builds(
    Slip,
    st.integers(0, 2**63 - 1),
    st.integers(1, 99),
    st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
    st.none() | st.floats(0, 1e6),
)


@settings(deadline=None)
@given(st.lists(SLIPS, max_size=20))
def test_what_was_put_in_comes_out_as_often_as_it_is_asked_for(given_: list[Slip]) -> None:
    slips = Slips()
    for slip in given_:
        slips.add(slip)
    assert len(slips) == len(given_)
    assert list(slips) == list(slips) == given_
    assert slips[1:3] == given_[1:3]
    assert [slips[-at - 1] for at in range(len(slips))] == given_[::-1]
