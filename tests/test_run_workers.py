"""`run.workers`: a run with several processes that send is a run with one, only faster."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.commands.connecting import workers
from pipeline.commands.wiring import read_job
from tests.api import Api, Asked, Canned, Script, error, message, serving
from tests.jobs import KEY, Ended, JobFolder, answer
from tests.processes import children, ignores

WORKER = "pipeline.call.sender"
AT_ONCE = 24
HELD = 20
"""Requests that are out after the first one, before more may be: enough for three workers to be wanted."""
LATEST_S = 100.0

TROUBLE: dict[str, Callable[[Asked], Canned]] = {
    "overloaded": lambda asked: error(529, "overloaded_error", retry_after="0"),
    "reset": lambda asked: Canned(cut=0),
    "cut": lambda asked: Canned(200, message(answer(asked.text)).body, cut=40),
    "html": lambda asked: Canned(200, b"<html>no</html>", {"content-type": "text/html"}),
}
"""What the first request about such a row meets."""
ENDS: dict[str, Callable[[Asked], Canned]] = {
    "refused": lambda asked: message("", content=[], stop_reason="refusal"),
    "truncated": lambda asked: message('{"label": "y', stop_reason="max_tokens"),
    "bad": lambda asked: error(400, "invalid_request_error", "no such thing"),
    "chatty": lambda asked: message(f"Here you are:\n```json\n{answer(asked.text)}\n```"),
    "useless": lambda asked: message("I would rather not."),
}
"""What every request about such a row meets."""
TEXTS = [
    *(f"{'good' if number % 3 else 'bad'} thing {number} ä\u2028{{}}" for number in range(150)),
    *(f"good {kind} {number}" for kind in (*TROUBLE, *ENDS) for number in range(3)),
]


def scripted(hold: Hold) -> Script:
    seen: Counter[str] = Counter()

    def script(asked: Asked) -> Canned:
        with hold.counted():
            hold(asked)
            return answered(asked)

    def answered(asked: Asked) -> Canned:
        text = asked.body["messages"][0]["content"][0]["text"]
        kind = next((kind for kind in (*TROUBLE, *ENDS) if f" {kind} " in text), "")
        seen[text] += 1
        if kind in TROUBLE and seen[text] == 1:
            return TROUBLE[kind](asked)
        return ENDS[kind](asked) if kind in ENDS else message(answer(text))

    return script


class Hold:
    """Keeps requests waiting from the second on, until so many workers of this process are at work."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.pids: list[int] = []
        self.commands: list[bytes] = []
        self.out = self.most_out = 0
        self._first = True
        self._open = threading.Event()
        self._looking = threading.Lock()
        self._counting = threading.Lock()

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._counting:
            self.out += 1
            self.most_out = max(self.most_out, self.out)
        try:
            yield
        finally:
            with self._counting:
                self.out -= 1

    def __call__(self, asked: Asked) -> None:
        with self._looking:
            first, self._first = self._first, False
            if first or self._open.is_set():
                return
            until = time.monotonic() + LATEST_S
            while len(self.pids) < self.workers and time.monotonic() < until:
                time.sleep(0.02)
                self.pids = [pid for pid in children(os.getpid(), WORKER) if ignores(pid, signal.SIGTERM)]
            self.commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in self.pids]
            self._open.set()


def ran(tmp_path: Path, number: int, hold: Hold) -> tuple[Ended, pa.Table, Api, Path]:
    with serving(scripted(hold)) as api:
        job = JobFolder(
            tmp_path / f"{number}", TEXTS, api.url, call={"concurrency": AT_ONCE, "attempts": 3}, run={"workers": number}
        )
        ended = job.run()
        return ended, job.table().drop(["_latency_s", "_answered_at"]), api, job.path


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, pa.Table, Api, Path, Hold]:
    hold = Hold(3)
    return *ran(tmp_path_factory.mktemp("three"), 3, hold), hold


def test_the_table_is_that_of_one_process(tmp_path: Path, three: tuple[Ended, pa.Table, Api, Path, Hold]) -> None:
    ended, table, api, _, hold = three
    assert len(hold.pids) == 3
    alone, expected, api_alone, _ = ran(tmp_path, 1, Hold(0))
    assert table.equals(expected)
    assert requests(api) == requests(api_alone)
    times = {"seconds", "rows_per_second", "started_at", "ended_at"}
    assert {**ended.summary, **dict.fromkeys(times)} == {**alone.summary, **dict.fromkeys(times)}
    assert (ended.code, alone.code) == (1, 1), "some rows have no answer, and are meant to have none"
    assert {row["_status"] for row in expected.to_pylist()} == {
        *("ok", "ok_repaired", "refused", "truncated", "request_error", "invalid_output")
    }


def requests(api: Api) -> list[str]:
    return sorted(json.dumps(asked.body) for asked in api.asked)


def test_together_they_have_no_more_out_than_one_may(three: tuple[Ended, pa.Table, Api, Path, Hold]) -> None:
    *_, hold = three
    assert HELD <= hold.most_out <= AT_ONCE


def test_no_worker_is_left_behind(three: tuple[Ended, pa.Table, Api, Path, Hold]) -> None:
    *_, hold = three
    assert [pid for pid in hold.pids if Path(f"/proc/{pid}").exists()] == []


def test_the_key_is_on_no_command_line_and_in_no_file_but_reaches_the_server(
    three: tuple[Ended, pa.Table, Api, Path, Hold],
) -> None:
    ended, _, api, folder, hold = three
    assert [asked for asked in api.asked if KEY not in " ".join(asked.headers.values())] == []
    assert len(hold.commands) == 3
    said = [*hold.commands, ended.out.encode(), ended.err.encode()]
    said += [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert [one for one in said if KEY.encode() in one] == []


@pytest.mark.parametrize(
    ("overrides", "cores", "expected"),
    [
        ([], 8, (0, 0)),
        (["run.workers=3"], 2, (3, 0)),
        (["run.workers=auto"], 8, (0, 3)),
        (["run.workers=auto"], 1, (0, 0)),
        (["run.workers=3", "call.mode=batch"], 8, (0, 0)),
    ],
)
def test_who_sends(
    overrides: list[str], cores: int, expected: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    job = JobFolder(tmp_path, ["good"], "http://127.0.0.1:1")
    assert workers(read_job(job.path / "job.yaml", overrides)) == expected


def test_check_says_who_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    job = JobFolder(tmp_path, ["good"], "http://127.0.0.1:1")
    assert "workers" not in job.do("check").out
    three = job.do("check", "--set", "run.workers=3").out
    assert "workers    sent by up to 3 worker processes, 8 requests at once in all\n" in three
    auto = job.do("check", "--set", "run.workers=auto").out
    assert "workers    sent by up to 2 worker processes once its own CPU is what the run waits for\n" in auto


def test_the_run_says_who_sends(three: tuple[Ended, pa.Table, Api, Path, Hold]) -> None:
    ended, *_ = three
    assert f"sent by up to 3 worker processes, {AT_ONCE} requests at once in all\n" in ended.err
