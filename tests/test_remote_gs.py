"""Input and output in Google's store: the program against an emulator on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from pipeline import remote
from pipeline.errors import InputUnreadable
from pipeline.read.source import open_source
from pipeline.remote import Remote
from tests.api import Asked, Canned, message, serving
from tests.jobs import JobFolder, answer

pytest.importorskip("gcp_storage_emulator", reason="no emulator of Google's store: pip install gcp-storage-emulator")

BASE = "gs://anonymous@bucket"
"""Without credentials, as public buckets are read."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """In a process of its own: pyarrow does not let this one answer while it asks."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    emulator = [sys.executable, "-u", "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", f"--port={port}"]
    command = [*emulator, "--in-memory", "--default-bucket=bucket"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert any("All services started" in line for line in running.stderr)
        drain = threading.Thread(target=running.stderr.read)
        drain.start()
        yield f"http://127.0.0.1:{port}"
        running.kill()
        drain.join()


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[fs.FileSystem]:
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", server)
    remote._store.cache_clear()
    yield remote._store("gs", "anonymous@bucket")[0]
    remote._store.cache_clear()


def put(store: fs.FileSystem, name: str, content: bytes) -> str:
    with store.open_output_stream(f"bucket/{name}", compression=None) as stream:
        stream.write(content)
    return f"{BASE}/{name}"


def test_a_job_reads_from_a_bucket_and_publishes_there(store: fs.FileSystem, tmp_path: Path) -> None:
    # Not Parquet: a process of its own tries that first, and this server answers one caller at a time.
    source = put(store, "in.csv", b"id,text\nr0,good\nr1,bad\n")

    def right(asked: Asked) -> Canned:
        return message(answer(asked.text))

    with serving(right) as api:
        job = JobFolder(tmp_path / "job", [], api.url, input={"path": source}, output={"path": f"{BASE}/out/o.parquet"})
        ended = job.run()
        assert ended.code == 0, ended.err
        assert job.run().summary["requests"] == 0
    with store.open_input_file("bucket/out/o.parquet") as file:
        assert pq.read_table(file).column("id").to_pylist() == ["r0", "r1"]


def test_globs_packed_files_and_missing_ones(store: fs.FileSystem) -> None:
    put(store, "d/a.csv", b"id\na\n")
    put(store, "d/b.csv.gz", pa.compress(b"id\nb\n", codec="gzip", asbytes=True))
    read = [key for batch in open_source([f"{BASE}/d/*.csv*"]).batches() for key in batch.table.column("id").to_pylist()]
    assert read == ["a", "b"]
    with pytest.raises(InputUnreadable, match="no such object, or no such bucket"):
        open_source([f"{BASE}/none.csv"])


def test_a_long_table_arrives_whole(store: fs.FileSystem, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (20 << 20))
    Remote(f"{BASE}/big.csv").put(tmp_path / "big")
    assert store.get_file_info("bucket/big.csv").size == 20 << 20
