"""`run.engine: ray` on a real cluster of two nodes: a run with it is a run without.

What dies there is in crash/test_ray_killed.py.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest

from tests.api import Api, serving
from tests.engine.cluster import Nodes
from tests.jobs import KEY, Ended, JobFolder
from tests.test_run_workers import TEXTS, Hold, scripted

if find_spec("ray") is None:
    pytest.skip("the extra [ray] is not installed", allow_module_level=True)

AT_ONCE = 48
LATEST_S = 120.0
TIMES = {"seconds", "rows_per_second", "started_at", "ended_at"}


def done(job: JobFolder, command: str, *arguments: str) -> Ended:
    """In a process of its own: Ray takes over the one that it is in."""
    process = job.start(command, *arguments)
    out, err = process.communicate(timeout=LATEST_S)
    return Ended(process.returncode, out, err)


def ran(path: Path, **run: object) -> tuple[Ended, pa.Table, Api]:
    with serving(scripted(Hold(0))) as api:
        job = JobFolder(path, TEXTS, api.url, call={"concurrency": AT_ONCE, "attempts": 3}, run=run)
        ended = done(job, "run", "--json")
        return ended, job.table().drop(["_latency_s", "_answered_at"]), api


def holding(folder: Path, secret: str) -> list[Path]:
    """Files below a folder that hold these words."""
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_the_table_is_that_of_one_process_and_the_key_is_nowhere(cluster: Nodes, tmp_path: Path) -> None:
    ended, table, api = ran(tmp_path / "ray", engine="ray", ray=cluster.address, workers=2)
    alone, expected, _ = ran(tmp_path / "alone")
    assert table.equals(expected)
    assert {**ended.summary, **dict.fromkeys(TIMES)} == {**alone.summary, **dict.fromkeys(TIMES)}
    assert (ended.code, alone.code) == (1, 1), "some rows have no answer, and are meant to have none"
    said = [line for line in ended.err.splitlines() if line not in alone.err]
    assert any(line.endswith("2 nodes with 4 CPUs, up to 2 workers") for line in said)
    assert not any("ray" in line.lower().replace("ray 2.", "") for line in said if "CPUs" not in line), ended.err
    assert {asked.headers["authorization"] for asked in api.asked} == {f"Bearer {KEY}"}
    assert list(cluster.folder.rglob("worker-*.err")), "Ray's logs are where they are looked for"
    assert holding(cluster.folder, KEY) == []
    assert holding(tmp_path, KEY) == []
    assert holding(cluster.folder, "good thing 7") == [], "documents are in no log of Ray"
    assert KEY not in ended.out + ended.err


def test_pictures_of_megabytes_pass_through_and_nothing_of_them_stays(cluster: Nodes, tmp_path: Path) -> None:
    texts = [f"good {number} {'x' * (1 << 20)}" for number in range(24)]
    with serving(scripted(Hold(0))) as api:
        job = JobFolder(
            tmp_path / "job", texts, api.url, call={"concurrency": 8}, run={"engine": "ray", "ray": cluster.address}
        )
        ended = done(job, "run", "--json")
    assert ended.code == 0, ended.err
    until = time.monotonic() + 60  # the stores hear with a delay that a driver has ended
    while (stays := cluster.stored()) and time.monotonic() < until:
        time.sleep(0.5)
    assert stays == 0


def test_check_tells_of_the_cluster_and_of_one_that_is_not_there(cluster: Nodes, tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job", ["good"], "http://127.0.0.1:9", run={"engine": "ray", "ray": cluster.address})
    told = done(job, "check")
    assert "cluster    Ray 2" in told.out
    assert told.code == 0
    nowhere = done(job, "run", "--set", "run.ray=127.0.0.1:9")
    assert nowhere.code == 69
    assert "there is no Ray cluster at 127.0.0.1:9" in nowhere.err
