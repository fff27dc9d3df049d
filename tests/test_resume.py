"""A run that was killed goes on where it was: what is done is not even read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import prepared
from tests.api import Api, message, serving
from tests.jobs import JobFolder

ROWS = 30_000


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(lambda asked: message(prepared.ANSWER)) as made:
        yield made


@pytest.fixture
def job(tmp_path: Path, api: Api) -> JobFolder:
    """All but its last 10 rows are answered."""
    folder = tmp_path / "job"
    prepared.killed(prepared.corpus(folder, ROWS, api.url), left=10)
    made = JobFolder.__new__(JobFolder)
    made.path, made.config = folder, json.loads((folder / "job.yaml").read_text())
    return made


def test_only_what_is_missing_is_asked(job: JobFolder, api: Api) -> None:
    ended = job.run()
    assert (ended.code, ended.summary["ok"], ended.summary["requests"]) == (0, ROWS, 10)
    assert sorted(api.texts()) == sorted(f"Review number {each}: it does what it says." for each in range(ROWS - 10, ROWS))
    assert pq.read_table(job.path / "out.parquet").num_rows == ROWS
    assert job.run().summary["requests"] == 0
