"""Input and output in a store: the program against an S3 server on loopback."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from pipeline import remote
from pipeline.errors import AccountRefused, ConfigInvalid, InputUnreadable, PipelineError, StorageFailed
from pipeline.read.fingerprint import fingerprint
from pipeline.read.source import open_source
from pipeline.remote import Remote, place
from tests.api import Api, Asked, Canned, message, serving
from tests.elsewhere import CSV, ids, parquet
from tests.jobs import JobFolder, answer

pytest.importorskip("moto")


class Store:
    """A bucket."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.system = fs.S3FileSystem(endpoint_override=url, allow_bucket_creation=True, allow_bucket_deletion=True)

    def put(self, name: str, content: bytes) -> str:
        with self.system.open_output_stream(f"bucket/{name}", compression=None) as stream:
            stream.write(content)
        return f"s3://bucket/{name}"

    def get(self, name: str) -> bytes:
        with self.system.open_input_stream(f"bucket/{name}", compression=None) as stream:
            content: bytes = stream.read()
        return content

    def names(self) -> list[str]:
        found = self.system.get_file_info(fs.FileSelector("bucket", recursive=True))
        return sorted(info.path.removeprefix("bucket/") for info in found if info.is_file)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """From now on rights are checked, and nobody has any."""
        self._rights_count_after(b"0")
        try:
            yield
        finally:
            self._rights_count_after(b"inf")

    def _rights_count_after(self, requests: bytes) -> None:
        asked = urllib.request.Request(  # noqa: S310 on loopback
            f"{self.url}/moto-api/reset-auth", requests, {"Content-Type": "text/plain"}, method="POST"
        )
        with urllib.request.urlopen(asked, timeout=30):  # noqa: S310
            pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """In a process of its own, which says where it listens."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        url = next(found[0] for line in running.stderr if (found := re.search(r"http://127\.0\.0\.1:[0-9]+", line)))
        drain = threading.Thread(target=running.stderr.read)
        drain.start()
        yield url
        running.terminate()
        drain.join()


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    environment = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "CANARY-id",
        "AWS_SECRET_ACCESS_KEY": "CANARY-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    remote._store.cache_clear()
    made = Store(server)
    made.system.create_dir("bucket")
    yield made
    made.system.delete_dir("bucket")


@pytest.fixture
def api() -> Iterator[Api]:
    def right(asked: Asked) -> Canned:
        return message(answer(asked.text))

    with serving(right) as made:
        yield made


def test_every_format_is_read_from_a_store(store: Store) -> None:
    assert ids(store.put("a b#c?.csv", CSV.encode())) == ["r1", "r2"]
    assert ids(store.put("in.csv.zst", pa.compress(CSV.encode(), codec="zstd", asbytes=True))) == ["r1", "r2"]
    assert ids(store.put("in.jsonl", b'{"id":"1"}\n{"id":"2"}')) == ["1", "2"]
    assert ids(store.put("in.parquet", parquet(25))) == [f"r{row}" for row in range(25)]


def test_a_glob_is_sorted_and_stays_in_its_folder(store: Store, tmp_path: Path) -> None:
    for name in ("d/b", "d/a", "d/deep/c", "d/odd.csv/x", "e/d"):
        store.put(f"{name}.csv", f"id\n{name}\n".encode())
    (tmp_path / "here.csv").write_text("id\nhere\n")
    assert ids("s3://bucket/d/*.csv", str(tmp_path / "here.csv")) == ["d/a", "d/b", "here"]
    assert ids("s3://bucket/**/*.csv") == ["d/a", "d/b", "d/deep/c", "d/odd.csv/x", "e/d"]
    assert ids("s3://bucket/*/[ad].csv") == ["d/a", "e/d"]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["s3://bucket/none.csv"], "no such object, or no such bucket"),
        (["s3://nobody/none.csv"], "no such object, or no such bucket"),
        (["s3://bucket/none*.csv"], "no object matches"),
        (["s3://bucket/in.csv", "s3://bucket/i*.csv"], "the same file is given twice"),
        (["s3://bucket/bad.csv.gz"], "s3://bucket/bad.csv.gz: cannot be read"),
        (["s3://bucket/bad.parquet"], "s3://bucket/bad.parquet: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_url(store: Store, paths: list[str], said: str) -> None:
    store.put("in.csv", CSV.encode())
    store.put("bad.csv.gz", b"plain")
    store.put("bad.parquet", parquet(5)[:-20])
    with pytest.raises(InputUnreadable) as caught:
        ids(*paths)
    assert said in caught.value.message


def test_who_has_no_right_is_told_so(store: Store) -> None:
    store.put("in.csv", CSV.encode())
    with store.refusing():
        with pytest.raises(AccountRefused) as caught:
            ids("s3://bucket/in.csv")
        with pytest.raises(AccountRefused):
            Remote("s3://bucket/out.csv").refuse_missing_store()
    assert "the store refuses" in caught.value.message
    assert "not those of the API" in caught.value.next_step
    assert "CANARY-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "writing", "kind"),
    [
        (OSError("When reading: AWS Error ACCESS_DENIED during HeadObject operation"), False, AccountRefused),
        (OSError("google::cloud::Status(PERMISSION_DENIED: Permanent error)"), True, AccountRefused),
        (OSError("Azure Error: [AuthorizationFailure] 403 This request is not authorized"), False, AccountRefused),
        (OSError("AuthenticationExceptionE: Failed to get token from DefaultAzureCredential."), False, AccountRefused),
        (OSError("Could not create a OAuth2 access token to authenticate the request"), False, AccountRefused),
        (OSError("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7"), False, InputUnreadable),
        (OSError("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation"), True, StorageFailed),
    ],
)  # fmt: skip
def test_what_a_store_says_has_an_exit_code(error: OSError, writing: bool, kind: type[PipelineError]) -> None:
    assert type(remote.refused(Remote("s3://bucket/x.csv"), error, writing=writing)) is kind


class _Unknown:
    """A store whose library raises errors that pyarrow does not know, as Azure's does where there are no credentials."""

    def get_file_info(self, *_: object, **__: object) -> object:
        raise pa.ArrowException("Unknown error: AuthenticationExceptionE: Failed to get token from DefaultAzureCredential.")

    open_input_file = open_input_stream = get_file_info


def test_what_pyarrow_does_not_know_is_an_error_of_the_store_and_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_store", lambda *_: (_Unknown(), "box"))
    at = Remote("abfs://box@account.dfs.core.windows.net/in.csv")
    asked = (at.stat, at.open, lambda: at.stream(None), lambda: list(Remote(f"{at.url}*").matching()))
    for ask in asked:
        with pytest.raises(OSError, match="AuthenticationException"):
            ask()
    with pytest.raises(AccountRefused):
        at.refuse_missing_store()
    with pytest.raises(AccountRefused):
        open_source([at.url])


@pytest.mark.parametrize("url", ["s3://", "s3://bucket", "s3://bucket/", "ftp://host/in.csv", "s3://key:secret@bucket/in.csv"])
def test_a_url_that_names_no_object_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        place(url)
    assert "secret" not in caught.value.message


def test_a_changed_object_has_another_fingerprint(store: Store) -> None:
    store.put("in.csv", CSV.encode())
    store.put("in.parquet", parquet(20))
    places = [place("s3://bucket/in.csv"), place("s3://bucket/in.parquet")]
    before = fingerprint(places)
    assert not fingerprint(places).changes(before)
    store.put("in.csv", CSV.encode() + b"r3,c\n")
    store.put("in.parquet", parquet(21))
    assert len(fingerprint(places).changes(before)) == 2


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_job_reads_from_a_store_and_publishes_there(store: Store, tmp_path: Path, api: Api, ending: str) -> None:
    job = JobFolder(
        tmp_path / "job", [], api.url, input={"path": "s3://bucket/in.parquet"}, output={"path": f"s3://bucket/out/o.{ending}"}
    )
    store.put("in.parquet", parquet(30))
    ended = job.run()
    assert ended.code == 0, ended.err
    assert store.names() == ["in.parquet", f"out/o.{ending}"]
    published = store.get(f"out/o.{ending}")
    if ending == "parquet":
        assert pq.read_table(io.BytesIO(published)).column("id").to_pylist() == [f"r{row}" for row in range(30)]
    if ending == "csv":
        assert [row["id"] for row in csv.DictReader(io.StringIO(published.decode()))] == [f"r{row}" for row in range(30)]
    again = job.run()
    assert (again.code, again.summary["requests"]) == (0, 0)
    assert store.get(f"out/o.{ending}") == published
    assert not [path for path in (job.path / "runs").rglob("*") if path.is_file() and b"CANARY-secret" in path.read_bytes()]


def test_an_input_that_changes_while_it_is_read_ends_the_run(store: Store, tmp_path: Path) -> None:
    def changing(asked: Asked) -> Canned:
        store.put("in.csv", CSV.encode() + b"r3,good\n")
        return message(answer(asked.text))

    store.put("in.csv", CSV.encode())
    with serving(changing) as api:
        job = JobFolder(tmp_path / "job", [], api.url, input={"path": "s3://bucket/in.csv"})
        ended = job.run()
    assert ended.code == 65
    assert "the input changed while it was read: s3://bucket/in.csv" in ended.err


def test_a_bucket_that_is_not_there_is_told_before_anything_is_bought(store: Store, tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", ["good"], api.url, output={"path": "s3://nobody/out.csv"})
    ended = job.run()
    assert ended.code == 74
    assert "there is no bucket or container 'nobody'" in ended.err
    assert not api.asked


def test_a_table_that_cannot_be_put_in_place_leaves_the_old_one(store: Store, tmp_path: Path, api: Api) -> None:
    store.put("out.csv", b"old")
    job = JobFolder(tmp_path / "job", ["good"], api.url, output={"path": "s3://bucket/out.csv"})
    copy = fs.copy_files

    def refusing(*arguments: object, **options: object) -> None:
        with store.refusing():
            copy(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fs, "copy_files", refusing)
        ended = job.run()
    assert ended.code == 77
    assert "the store refuses" in ended.err
    assert store.get("out.csv") == b"old"
    again = job.run()
    assert (again.code, again.summary["requests"]) == (0, 0)
    assert store.get("out.csv").startswith(b"id,text,")
    assert len(api.asked) == 1


def test_a_table_of_several_parts_arrives_whole(store: Store, tmp_path: Path) -> None:
    store.put("out.bin", b"old")
    (tmp_path / "big").write_bytes(b"x" * (20 << 20))
    Remote("s3://bucket/out.bin").put(tmp_path / "big")
    assert len(store.get("out.bin")) == 20 << 20
    assert store.names() == ["out.bin"]
