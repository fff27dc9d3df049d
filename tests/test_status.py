"""`pipeline status`, by the console script: of a run that goes on, and of one that has ended."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.write.lock import locked
from pipeline.write.rundir import RunFolder
from tests.api import Asked, Canned, message, serving
from tests.jobs import JobFolder, answer


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


@pytest.fixture
def job(tmp_path: Path) -> Iterator[JobFolder]:
    with serving(right) as api:
        made = JobFolder(tmp_path / "job", [f"good {number}" for number in range(9)], api.url)
        assert made.run().code == 0
        yield made


def aged(job: JobFolder, ages_s: list[float]) -> None:
    """The replies came so many seconds ago; the last of the rows have not ended."""
    with closing(sqlite3.connect(job.path / "runs" / "job" / "journal.db")) as database, database:
        for number, age_s in enumerate(ages_s, 1):
            database.execute("UPDATE reply SET at = ? WHERE id = ?", (time.time() - age_s, number))
        database.execute("DELETE FROM outcome WHERE position >= 6")


def test_a_run_that_ended_tells_what_it_took(job: JobFolder) -> None:
    told = job.do("status").out
    assert "rows     9 of 9 ended (100.0%)" in told
    assert "last     9 requests in " in told
    assert told.endswith("reason   every row has an answer\n")
    found = json.loads(job.do("status", "--json").out)
    assert (found["live"], found["rows"], found["ended"], found["rows_per_second"]) == (None, 9, {"ok": 9}, None)
    assert (found["reason"], found["last"]["requests"]) == ("every row has an answer", 9)


def test_a_run_that_goes_on_tells_rate_time_left_and_its_log(job: JobFolder) -> None:
    folder = RunFolder(job.path / "runs", "job")
    with locked(folder.lock, "it", "job", wait=False, say=print):
        aged(job, [-0.5 - 2 * number for number in range(9)])  # after the lock was taken
        found, told = json.loads(job.do("status", "--json").out), job.do("status").out
    assert found["rows_per_second"] == pytest.approx(0.5, abs=0.01)
    assert 0 < found["left_s"]["low"] < 6
    assert "rate     0.5 rows/s, " in told
    assert " s left\n" in told
    assert "began, 9 rows" in told
    assert "writing out/out.parquet" in told
    assert '"event"' not in told


def test_a_rate_of_the_past_is_none(job: JobFolder) -> None:
    folder = RunFolder(job.path / "runs", "job")
    with locked(folder.lock, "it", "job", wait=False, say=print):
        aged(job, [3_600.0 + number for number in range(9)])
        assert json.loads(job.do("status", "--json").out)["rows_per_second"] is None
