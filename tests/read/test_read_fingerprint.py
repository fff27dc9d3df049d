"""A fingerprint says whether, and in what, the input differs from last time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputUnreadable
from pipeline.read.fingerprint import Fingerprint, fingerprint


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "a.csv").write_text("id\n1\n")
    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "b.parquet")
    return tmp_path / "a.csv", tmp_path / "b.parquet"


def test_the_same_files_are_equal_also_by_way_of_json(files: tuple[Path, Path]) -> None:
    before = fingerprint(files)
    stored = Fingerprint.from_json(json.loads(json.dumps(before.as_json())))
    assert stored == before
    assert fingerprint(files).changes(stored) == []


def test_a_change_is_told_in_words(files: tuple[Path, Path]) -> None:
    table, before = files[1], fingerprint(files)
    files[0].write_text("id\n1\n2\n")
    os.utime(table, ns=(0, 0))
    assert fingerprint(files).changes(before) == [
        f"{files[0]} has changed from 5 to 7 bytes",
        f"{table} was written again at 1970-01-01 00:00:00 UTC, with the same size",
    ]


def test_a_footer_tells_of_a_change_that_size_and_time_hide(files: tuple[Path, Path]) -> None:
    table, before = files[1], fingerprint(files)
    found = table.stat()
    pq.write_table(pa.table({"id": [1, 3]}), table)
    os.utime(table, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert table.stat().st_size == found.st_size
    assert fingerprint(files).changes(before) == [f"{table} has changed: same size, another footer"]


def test_files_that_come_go_and_move(files: tuple[Path, Path]) -> None:
    first, second = files
    assert fingerprint([first]).changes(fingerprint([second])) == [f"{first} is new", f"{second} is gone"]
    assert fingerprint([second, first]).changes(fingerprint([first, second])) == ["the files come in another order"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\xff" * 100])
def test_what_only_looks_like_parquet_has_a_fingerprint_too(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.parquet").write_bytes(content)
    assert fingerprint([tmp_path / "in.parquet"]).files[0].size == len(content)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match=r"gone\.csv"):
        fingerprint([tmp_path / "gone.csv"])
