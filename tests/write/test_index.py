"""The index of request keys, against a plain dict, over restarts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.write import index
from pipeline.write.index import Index


class Store:
    """What a journal holds: keys of replies 1, 2, 3, …"""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.read = 0

    def after(self, reply: int) -> Iterator[tuple[bytes, NDArray[np.uint64]]]:
        for start in range(reply, len(self.keys), 5):
            part = self.keys[start : start + 5]
            self.read += len(part)
            yield b"".join(key[:8] for key in part), np.arange(start + 1, start + 1 + len(part), dtype=np.uint64)

    def expected(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = defaultdict(list)
        for reply, key in enumerate(self.keys, start=1):
            found[key].insert(0, reply)
        return found


def key(number: int) -> bytes:
    return (number * 2**58 + number).to_bytes(8, "little") * 2


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "GATHERED", 8)
    monkeypatch.setattr(index, "SEALED", 32)


@given(runs=st.lists(st.lists(st.integers(0, 30), max_size=120), max_size=5))
@settings(max_examples=60, deadline=None)
def test_all_replies_to_a_request_are_found_the_latest_first(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("index") / "keys"
    store = Store()
    for numbers in runs:
        made = Index(folder, "j", store.after)
        for number in numbers:
            store.keys.append(key(number))
            made.add(key(number), len(store.keys))
        again = Index(folder, "j", store.after)
        expected = store.expected()
        for number in range(32):
            assert made.find(key(number)) == expected.get(key(number), [])
            assert again.find(key(number)) == expected.get(key(number), [])


def filled(folder: Path, store: Store, replies: int) -> Index:
    made = Index(folder, "j", store.after)
    for number in range(replies):
        store.keys.append(key(number % 60))
        made.add(store.keys[-1], len(store.keys))
    return made


def test_a_start_reads_only_what_is_not_sealed(tmp_path: Path) -> None:
    store = Store()
    filled(tmp_path / "keys", store, 1000)
    Index(tmp_path / "keys", "j", store.after)
    assert store.read < 2 * index.SEALED


def test_a_file_that_is_missing_or_damaged_is_made_anew(tmp_path: Path) -> None:
    store = Store()
    filled(tmp_path / "keys", store, 400)
    first, second, *_ = sorted((tmp_path / "keys").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    second.write_bytes(b"damaged")
    (tmp_path / "keys" / "half.partial").write_bytes(b"")
    made = Index(tmp_path / "keys", "j", store.after)
    expected = store.expected()
    assert all(made.find(key(number)) == expected[key(number)] for number in range(60))
    assert first.exists()
    assert not (tmp_path / "keys" / "half.partial").exists()


def test_a_reply_that_was_left_out_is_found_after_the_next_start(tmp_path: Path) -> None:
    store = Store()
    made = Index(tmp_path / "keys", "j", store.after)
    for number in range(100):
        store.keys.append(key(number % 60))
        if number != 7:
            made.add(store.keys[-1], len(store.keys))
    assert Index(tmp_path / "keys", "j", store.after).find(key(7)) == store.expected()[key(7)]


def test_files_of_another_journal_are_never_taken(tmp_path: Path) -> None:
    filled(tmp_path / "keys", Store(), 400)
    made = Index(tmp_path / "keys", "another", Store().after)
    assert made.find(key(1)) == []
    assert list((tmp_path / "keys").iterdir()) == []


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    filled(tmp_path / "keys", Store(), 400)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_keys_that_share_their_beginning_are_both_given(tmp_path: Path) -> None:
    made = Index(tmp_path / "keys", "j", Store().after)
    made.add(b"same....one", 1)
    made.add(b"same....two", 2)
    assert made.find(b"same....one") == [2, 1]
