"""A Parquet file that lies about its size, or ends who reads it, does not take the run down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputUnreadable
from pipeline.read.trial import tried

SUITE = Path(__file__).parents[3] / "shared" / "suites" / "parquet-testing"


def varint(value: int, length: int = 0) -> bytes:
    """Of Thrift's compact protocol, zigzag, stretched to a length."""
    value, out = value << 1, bytearray()
    while value >= 0x80 or len(out) + 1 < length:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def liar(path: Path, megabytes: int) -> Path:
    """A small file with one long cell, whose footer says that it is short."""
    table = pa.table({"id": ["1", "2"], "text": pa.array(["x" * (megabytes << 20), "y"], pa.large_string())})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)
    group = pq.read_metadata(path).row_group(0)
    whole = path.read_bytes()
    begin = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    footer = whole[begin:]
    for size in (group.total_byte_size, group.column(1).total_uncompressed_size):
        footer = footer.replace(varint(size), varint(100, len(varint(size))))
    path.write_bytes(whole[:begin] + footer)
    assert pq.read_metadata(path).row_group(0).total_byte_size == 100
    return path


def test_a_file_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = liar(tmp_path / "in.parquet", 300)
    assert path.stat().st_size < 100_000
    with pytest.raises(InputUnreadable) as caught:
        tried([path], most_bytes=256 << 20)
    assert caught.value.message.startswith(f"{path}: cannot be read: ")
    assert "smaller row groups and pages" in caught.value.message
    tried([path], most_bytes=1 << 30)  # what it says of itself is no fault where there is room


def test_what_can_be_read_is_and_only_as_far_as_the_run_reads(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"\xff")
    pq.write_table(pa.table({"id": list(range(1000))}), tmp_path / "in.parquet", row_group_size=100, write_page_checksum=True)
    tried([tmp_path / "in.csv", tmp_path / "in.parquet"])
    whole = bytearray((tmp_path / "in.parquet").read_bytes())
    at = pq.read_metadata(tmp_path / "in.parquet").row_group(9).column(0).data_page_offset
    whole[at + 30 : at + 60] = b"\xff" * 30
    (tmp_path / "in.parquet").write_bytes(whole)
    tried([tmp_path / "in.parquet"], limit=500)
    with pytest.raises(InputUnreadable, match=r"in\.parquet: cannot be read"):
        tried([tmp_path / "in.parquet"])


def test_a_file_that_ends_its_reader_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run

    def dying(command: list[str], **options: object) -> object:
        """As if pyarrow had been killed amid the second file."""
        script = f"import os; print('{tmp_path}/a.parquet'); print('{tmp_path}/b.parquet', flush=True); os.abort()"
        return run([sys.executable, "-c", script], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", dying)
    with pytest.raises(InputUnreadable, match=r"b\.parquet: reading it ended the process that read it \(SIGABRT\)"):
        tried([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def test_the_child_gets_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-CANARY")
    given: list[dict[str, str]] = []

    def seeing(command: list[str], *, env: dict[str, str], **options: object) -> subprocess.CompletedProcess[str]:
        given.append(env)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", seeing)
    tried([tmp_path / "a.parquet"])
    assert "CANARY" not in str(given)
