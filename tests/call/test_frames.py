"""Frames come out as they went in, in whatever pieces the bytes arrive; what is no frame is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.call.caller import Access, Broken, Response
from pipeline.call.frames import JOINED, LENGTHS, MOST_PAYLOAD, Ask, Begin, Call, Frame, Here, NoFrame, Told, Unframing, framed

NUMBERS = st.integers(0, 2**53)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
RESPONSES = st.builds(
    Response, st.integers(100, 599), st.dictionaries(TEXTS, TEXTS), st.binary(), st.floats(0, 1e6, allow_nan=False)
)
BROKEN = st.builds(Broken, st.booleans(), TEXTS, st.floats(0, 1e6, allow_nan=False), unsendable=st.booleans())
ACCESS = st.builds(Access, TEXTS, st.booleans(), st.floats(0.1, 1e6), NUMBERS, st.booleans(), NUMBERS, TEXTS)
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Begin, ACCESS),
    st.builds(Ask, NUMBERS, st.binary()),
    st.builds(Told, NUMBERS, RESPONSES | BROKEN),
    st.just(Call()),
    st.just(Here()),
)


@given(st.lists(FRAMES, max_size=8), st.integers(1, 50))
def test_frames_come_out_as_they_went_in_however_they_are_cut(frames: list[Frame], size: int) -> None:
    whole = b"".join(piece for frame in frames for piece in framed(frame))
    unframing = Unframing()
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert [frame for piece in pieces for frame in unframing.fed(piece)] == frames


def test_a_large_payload_is_not_copied_behind_its_head() -> None:
    body = bytes(JOINED + 1)
    head, payload = framed(Ask(1, body))
    assert payload is body
    unframing = Unframing()
    assert list(unframing.fed(head)) == []
    assert list(unframing.fed(payload)) == [Ask(1, body)]


def test_an_error_with_half_a_character_still_travels() -> None:
    told = Told(1, Broken(True, "half \ud83d", 0.1))
    assert list(Unframing().fed(b"".join(framed(told)))) == [Told(1, Broken(True, "half ?", 0.1))]


@pytest.mark.parametrize(
    "content",
    [
        b"Traceback (most recent call last):",
        LENGTHS.pack(2, MOST_PAYLOAD + 1),
        LENGTHS.pack(2, 0) + b"{}",
        LENGTHS.pack(2, 0) + b"[]",
        LENGTHS.pack(2, 0) + b"{]",
        LENGTHS.pack(12, 0) + b'{"is":"else"}'[:12],
        LENGTHS.pack(13, 0) + b'{"is":"else"}',
        LENGTHS.pack(12, 0) + b'{"is":"ask"}',
        LENGTHS.pack(14, 0) + b'{"is":"begin"}',
    ],
)
def test_what_is_no_frame_is_refused(content: bytes) -> None:
    with pytest.raises(NoFrame):
        list(Unframing().fed(content))
