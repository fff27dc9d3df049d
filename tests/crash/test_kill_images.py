"""A run over images, killed and started again: nothing lost, nothing paid twice but what was out."""

from __future__ import annotations

import json
import signal
import threading
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.api import Asked, Canned, message, serving
from tests.crash.conftest import Size
from tests.jobs import JobFolder
from tests.pictures import encoded, noise, plain

FLIGHT = 8
PATIENCE_S = 300
"""Of a machine that is busy with other things."""
ROWS, DISTINCT = 200, 150


def seen(asked: Asked) -> str:
    (image,) = [block for block in asked.body["messages"][0]["content"] if block["type"] == "image"]
    return sha256(b64decode(image["source"]["data"])).hexdigest()


@pytest.mark.parametrize("where", ["bytes in Parquet", "files by their paths", "a folder"])
def test_a_run_over_images_that_is_killed_pays_for_each_once(
    tmp_path: Path, where: str, size: Size, tell: Callable[[object], None]
) -> None:
    """The same image stands in several rows, one must be made smaller before it is sent."""
    if where != "a folder" and not size.kills:
        pytest.skip("with make soak: each kill is a process to start")
    kills = size.of(2, 20)
    distinct = [encoded(noise(40, 30, seed), "JPEG") for seed in range(DISTINCT - 1)] + [plain("PNG", 3_000, 40)]
    images = [distinct[row % DISTINCT] for row in range(ROWS)]
    random, killed = Random(where), threading.Event()  # noqa: S311 no secret
    stops = sorted(random.sample(range(5, DISTINCT - FLIGHT), kills))
    reached = threading.Event()

    def script(asked: Asked) -> Canned:
        if stops and len(api.asked) >= stops[0]:
            reached.set()
            killed.wait(PATIENCE_S)
        return message(json.dumps({"label": "yes", "length": int(seen(asked)[:8], 16)}))

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", [], api.url, call={"concurrency": FLIGHT})
        scans = job.path / "scans"
        scans.mkdir()
        names = [f"{row:03}.jpg" for row in range(ROWS)]
        for name, image in zip(names, images, strict=True):
            (scans / name).write_bytes(image)
        column = "bytes" if where == "a folder" else "photo"
        job.configure(prompt={"user": "What is it?", "images": [column]}, output={"keep": []})
        if where == "a folder":
            job.configure(input={"path": "scans", "key": "path"})
        else:
            held = names if where == "files by their paths" else images
            pq.write_table(pa.table({"id": names, "photo": held}), job.path / "in.parquet", row_group_size=50)
            job.configure(input={"path": "in.parquet", "root": "scans" if held is names else None})
        while stops:
            reached.clear()
            killed.clear()
            running = job.start("run")
            assert reached.wait(PATIENCE_S)
            running.send_signal(signal.SIGKILL)
            running.communicate()
            stops.pop(0)
            killed.set()
            assert not (job.path / "out" / "out.parquet").exists()
        ended = job.run()
        assert ended.code == 0, ended.err
        paid = Counter(map(seen, api.asked))
        assert job.run().summary["requests"] == 0
    rows = job.rows()
    assert len(rows) == ROWS
    assert {row["_status"] for row in rows} == {"ok"}
    assert len(paid) == DISTINCT == len({row["length"] for row in rows})
    twice = paid.total() - DISTINCT
    tell(f"{kills} kills, {ROWS} rows of {DISTINCT} images: 0 lost, {twice} paid twice of {kills * FLIGHT} that may be")
    assert kills <= twice <= ended.summary["possible_double_charges"] <= kills * FLIGHT
    assert [row["length"] for row in rows[:50]] == [row["length"] for row in rows[DISTINCT:]], "the same image, the same answer"
