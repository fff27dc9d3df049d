"""Batches in plain values: what fits, what requests are called, which batch may be ours, what a line of results says."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.call.parcel import (
    BETWEEN,
    CLOSING,
    OPENING,
    SKEW_S,
    Line,
    Remote,
    Room,
    candidates,
    custom_id,
    enclosed,
    line,
    named,
    past,
)
from pipeline.records import JSON, Parcel

PARCEL = Parcel(1, "0123abcd", 3, 100, after=1000.0)


@given(st.integers(0, 2**63 - 1), st.integers(1, 99), st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1))
def test_a_name_is_within_the_pattern_and_says_whose_it_is(position: int, ask: int, key: bytes, number: int) -> None:
    nonce = f"{number:08x}"
    made = custom_id(position, ask, key, nonce)
    assert re.fullmatch("^[a-zA-Z0-9_-]{1,64}$", made)
    assert named(made) == (position, ask, key.hex()[:24], nonce)


@pytest.mark.parametrize("name", ["", "doc-1", "r1-1-0", "r1-1-" + "0" * 24, "R1-1-" + "0" * 24 + "-01234567"])
def test_a_name_of_somebody_else_is_none_of_ours(name: str) -> None:
    assert named(name) is None


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 6), st.integers(40, 120))
def test_a_parcel_never_holds_more_than_it_may(sizes: list[int], most_requests: int, most_bytes: int) -> None:
    parcels: list[list[bytes]] = []
    room = Room(most_requests, most_bytes)
    for size in sizes:
        request = b"x" * size
        if not parcels or not room.admits(request):
            parcels.append([])
            room = Room(most_requests, most_bytes)
        room.take(request)
        parcels[-1].append(request)
        body = OPENING + BETWEEN.join(parcels[-1]) + CLOSING
        assert room.size == len(body)
        assert room.requests <= most_requests
        assert len(body) <= most_bytes or room.requests == 1
    assert [len(request) for parcel in parcels for request in parcel] == sizes


def test_a_request_carries_no_field_that_a_batch_refuses() -> None:
    made = json.loads(enclosed("r0-1", {"model": "m", "stream": True, "speed": "standard"}))
    assert made == {"custom_id": "r0-1", "params": {"model": "m"}}


def remote(batch_id: str, created_at: float, requests: int = 3, status: str = "in_progress") -> Remote:
    return Remote(batch_id, status, created_at, requests, {}, False)


def test_candidates_are_young_of_the_same_size_and_not_known() -> None:
    listed = [remote("a", 1001), remote("b", 1001, 4), remote("c", 1000 - SKEW_S - 1), remote("d", 1002), remote("e", 999)]
    assert [one.batch_id for one in candidates(listed, PARCEL, {"d"})] == ["a", "e"]
    assert past(listed, PARCEL)
    assert not past(listed[:2], PARCEL)


def test_a_batch_is_read_from_what_the_server_tells() -> None:
    counts: dict[str, int] = {"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    told: dict[str, JSON] = {
        "id": "b",
        "processing_status": "in_progress",
        "created_at": "2026-11-01T00:00:00Z",
        "request_counts": {**counts},
    }
    made = Remote.of(told)
    assert made == Remote("b", "in_progress", 1793491200.0, 3, counts, False)
    assert Remote.of({**told, "created_at": "soon"}) is None
    assert Remote.of({"id": "b"}) is None
    assert Remote.of(None) is None


def test_a_message_is_passed_on_byte_by_byte() -> None:
    message = '{"id": "m", "big": 123456789012345678901234567890, "x": 1.10}'
    raw = f'{{"custom_id":"r1","result":{{"type":"succeeded","message":{message}}}}}\n'.encode()
    assert line(raw) == Line("r1", "succeeded", message.encode())


def test_members_in_another_order_are_read_all_the_same() -> None:
    raw = b'{"result":{"message":{"big":123456789012345678901234567890},"type":"succeeded"},"custom_id":"r1"}'
    assert line(raw) == Line("r1", "succeeded", b'{"big":123456789012345678901234567890}')


def test_what_brought_no_message_says_why() -> None:
    assert line(b'{"custom_id":"r1","result":{"type":"expired"}}\n') == Line("r1", "expired", b"")
    errored = line(b'{"custom_id":"r1","result":{"type":"errored","error":{"type":"error"}}}')
    assert errored == Line("r1", "errored", b'{"type":"error"}')


@pytest.mark.parametrize("cut", range(1, 70, 7))
def test_a_line_that_is_cut_is_none(cut: int) -> None:
    raw = b'{"custom_id":"r1","result":{"type":"succeeded","message":{"id":"m","t":"}}}"}}}'
    assert line(raw) == Line("r1", "succeeded", b'{"id":"m","t":"}}}"}')
    assert line(raw[:-cut]) is None
