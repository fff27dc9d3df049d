"""The index of request keys, against a plain dict."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.write import index
from pipeline.write.index import Index

KEYS = st.lists(st.integers(0, 30).map(lambda number: number.to_bytes(2, "big") * 8), max_size=200)


@given(loaded=KEYS, added=KEYS)
def test_all_replies_to_a_request_are_found_the_latest_first(loaded: list[bytes], added: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "GATHERED", 8)
        expected: dict[bytes, list[int]] = defaultdict(list)
        chunks = []
        for start in range(0, len(loaded), 7):
            part = loaded[start : start + 7]
            ids = np.arange(start, start + len(part), dtype=np.int64)
            chunks.append((b"".join(key[:8] for key in part), ids))
        made = Index.load(chunks)
        for number, key in enumerate(loaded):
            expected[key].insert(0, number)
        for number, key in enumerate(added, start=len(loaded)):
            made.add(key, number)
            expected[key].insert(0, number)
        for number in range(32):
            key = number.to_bytes(2, "big") * 8
            assert made.find(key) == expected[key]


def test_keys_that_share_their_beginning_are_both_given() -> None:
    made = Index()
    made.add(b"same....one", 1)
    made.add(b"same....two", 2)
    assert made.find(b"same....one") == [2, 1]
