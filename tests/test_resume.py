"""A run that was killed goes on where it was: what is done is not even read again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import Terminated
from pipeline.job.execution import Execution
from pipeline.records import Constant, Prompt, Text, Turn
from pipeline.write.glance import SETTLED
from pipeline.write.journal import Journal
from tests import prepared
from tests.api import Api, Asked, Canned, message, serving
from tests.jobs import JobFolder, answer

ROWS = 3_000


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


def test_what_was_being_tried_again_before_that_place_is_taken_up(job: JobFolder, api: Api) -> None:
    """A run with --retry was killed with the request out."""
    with Journal(job.path / "runs/large/journal.db") as journal:
        prompt = Prompt(5, "5", Constant("s"), (Turn("user", (Text("t"),)),), 1, "new")
        asyncio.run(journal.sent(prompt, b"k" * 16))
    ended = job.run()
    assert (ended.code, ended.summary["requests"]) == (0, 11)
    assert "Review number 5: it does what it says." in api.texts()


def test_another_input_is_looked_through_from_its_first_row(job: JobFolder) -> None:
    table = pq.read_table(job.path / "rows.parquet")
    pq.write_table(table.slice(ROWS - 20), job.path / "rows.parquet")
    ended = job.run()
    assert (ended.code, ended.summary["rows"], ended.summary["requests"]) == (0, 20, 20)


def test_a_file_that_changed_during_a_run_and_came_back_is_not_trusted(job: JobFolder, api: Api) -> None:
    """Answers that were bought meanwhile are about other rows: each row's own request decides."""
    path = job.path / "rows.parquet"
    kept = path.with_suffix(".kept")
    shutil.copy2(path, kept)

    def changing(asked: Asked) -> Canned:
        os.utime(path, ns=(1, 1))
        return message(prepared.ANSWER)

    api.script = changing
    assert job.run().code == 65
    kept.replace(path)
    with Journal(job.path / "runs/large/journal.db") as journal:
        assert journal.noted(SETTLED) == ""


def test_a_check_that_changed_after_a_first_run_was_killed_judges_all_replies(tmp_path: Path) -> None:
    """Those it had judged already, too."""
    with serving(lambda asked: message(f"```json\n{answer(asked.text)}\n```")) as api:
        job = JobFolder(tmp_path / "job", ["good 1", "bad 2"], api.url, check={"repair": "off", "asks": 1})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Execution, "_settle", stopped_at(2, Execution._settle))
            assert job.run().code == 143
        job.configure(check={"repair": "wrappers"})
        ended = job.run()
    assert (ended.code, ended.summary["ok_repaired"], ended.summary["requests"]) == (0, 2, 0)


def test_a_check_that_is_taken_back_after_a_stopped_run_judges_all_replies_again(tmp_path: Path) -> None:
    with serving(lambda asked: message(f"```json\n{answer(asked.text)}\n```")) as api:
        job = JobFolder(tmp_path / "job", ["good 1", "bad 2"], api.url, check={"repair": "wrappers", "asks": 1})
        assert job.run().summary["ok_repaired"] == 2
        job.configure(check={"repair": "off"})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Execution, "_settle", stopped_at(1, Execution._settle))
            assert job.run().code == 143
        job.configure(check={"repair": "wrappers"})
        ended = job.run()
    assert (ended.code, ended.summary["ok_repaired"], ended.summary["requests"]) == (0, 2, 0)


def stopped_at(call: int, settle: Callable[[Execution, str], None]) -> Callable[[Execution, str], None]:
    """The run is stopped when it has seen all rows: at the first time that it would settle, or, where there was nothing at the
    beginning, at the second."""
    times: list[int] = []

    def settled(self: Execution, state: str) -> None:
        times.append(1)
        if len(times) == call:
            raise Terminated(signal.SIGTERM)
        settle(self, state)

    return settled
