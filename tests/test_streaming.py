"""Streamed or whole, a job's table is the same: against the embedded server, which does both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.jobs import JobFolder

pytest.importorskip("starlette")
from tests.local.running import in_thread

OF_THE_MOMENT = {"_message_id", "_request_id", "_latency_s", "_answered_at"}


@pytest.mark.parametrize("way", ["native", "tool"])
def test_the_table_is_the_same(tmp_path: Path, way: str) -> None:
    tables: list[list[dict[str, Any]]] = []
    with in_thread("rehearsal") as url:
        for stream in (False, True):
            job = JobFolder(tmp_path / str(stream), ["good", "bad", "x"], url, model={"format": way, "stream": stream})
            assert job.run().code == 0
            tables.append([{name: row[name] for name in row.keys() - OF_THE_MOMENT} for row in job.rows()])
    assert tables[0] == tables[1]
    assert all(row["_output_tokens"] > 0 for row in tables[0])
