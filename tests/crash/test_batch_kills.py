"""A run in batches, killed at each point between the intention to send and the last result: nothing is bought twice, and no row
is lost. Each run is a fork of this process, so that a kill costs no start of Python."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.call.client import Client
from pipeline.call.terms import Pace
from pipeline.commands import wiring
from pipeline.write.parcels import Parcels
from tests.api import Asked, Canned, message
from tests.batches import BatchApi, Made, batching, texts
from tests.crash.conftest import Size
from tests.jobs import KEY, JobFolder, answer

ROWS = texts(60)
POINTS = [
    (Parcels, "intend"),
    (Client, "create_batch"),
    (Parcels, "submitted"),
    (Client, "batch"),
    (Client, "results"),
    (Parcels, "file"),
    (Parcels, "collected"),
]


def right(asked: Asked) -> Canned:
    first = len(asked.body["messages"]) == 1
    said = asked.body["messages"][0]["content"][0]["text"]
    return message("no JSON" if first and said.endswith("3") else answer(said))


def deadly(call: Callable[..., Awaitable[Any]], when: str) -> Callable[..., Awaitable[Any]]:
    async def killed(*arguments: Any, **named: Any) -> None:
        if when == "after":
            await call(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return killed


def forked(job: JobFolder, kill: tuple[type, str, str] | None = None, after_s: float | None = None) -> int:
    """The exit code of a run, or the negative number of the signal that ended it."""
    pid = started(job, kill)
    timer = threading.Timer(after_s, os.kill, (pid, signal.SIGKILL)) if after_s is not None else None
    if timer is not None:
        timer.start()
    _, status = os.waitpid(pid, 0)
    if timer is not None:
        timer.cancel()
    return os.waitstatus_to_exitcode(status)


def started(job: JobFolder, kill: tuple[type, str, str] | None = None) -> int:
    """The process of a run."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            os.chdir(job.path)
            os.environ["ANTHROPIC_API_KEY"] = KEY
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            wiring.PACE = Pace(first_s=0.01, longest_s=0.02, settle_s=0.3)
            if kill is not None:
                owner, name, when = kill
                setattr(owner, name, deadly(getattr(owner, name), when))
            code = cli.exit_code(["run", "job.yaml", "--quiet"])
        finally:
            os._exit(code)
    return pid


def right_in_the_end(job: JobFolder, api: BatchApi) -> None:
    assert forked(job) == 0
    rows = job.rows()
    assert [row["text"] for row in rows] == list(ROWS)
    assert all({"label": row["label"], "length": row["length"]} == _answer(row["text"]) for row in rows)
    none_is_bought_twice(api)
    assert len(api.asked) <= 4, "the request that goes online first is lost with its reply once a kill at most"


def none_is_bought_twice(api: BatchApi) -> None:
    asked = [request["custom_id"].rpartition("-")[0] for made in api.made for request in made.requests]
    assert len(asked) == len(set(asked)), "a request was bought twice"


def _answer(text: str) -> dict[str, Any]:
    return {"label": "yes" if "good" in text else "no", "length": len(text)}


@pytest.fixture(scope="module", autouse=True)
def sdk_is_there() -> None:
    """So that no fork imports it."""
    assert Client is not None


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), POINTS, ids=[name for _, name in POINTS])
def test_killed_at_this_point_nothing_is_bought_twice(tmp_path: Path, owner: type, name: str, when: str) -> None:
    with batching(right) as api:
        job = JobFolder(tmp_path / "job", ROWS, api.url, call={"mode": "batch", "batch_size": 25})
        assert forked(job, (owner, name, when)) == -signal.SIGKILL
        right_in_the_end(job, api)


def test_killed_at_any_time_nothing_is_bought_twice(tmp_path: Path, size: Size, tell: Callable[[object], None]) -> None:
    wanted, kills, jobs, batches = size.of(3, 300), 0, 0, 0
    randomly = size.random()
    with batching(right) as api:
        begun = time.monotonic()
        assert forked(JobFolder(tmp_path / "whole", ROWS, api.url, call={"mode": "batch", "batch_size": 25})) == 0
        whole_s = time.monotonic() - begun
    while kills < wanted:
        jobs += 1
        with batching(right) as api:
            job = JobFolder(tmp_path / f"job{jobs}", ROWS, api.url, call={"mode": "batch", "batch_size": 25})
            for _ in range(3):
                begun = time.monotonic()
                if forked(job, after_s=randomly.random() * whole_s) != -signal.SIGKILL:
                    whole_s = min(whole_s, time.monotonic() - begun)  # the first ran beside other load, perhaps
                    break
                kills += 1
            right_in_the_end(job, api)
            batches += len(api.made)
    tell(f"{kills} kills of {jobs} jobs, {batches} batches: none bought twice, no row lost")


@pytest.mark.parametrize("how", ["reset", "late"])
def test_a_create_that_took_effect_and_said_nothing_is_adopted(
    tmp_path: Path, how: str, size: Size, tell: Callable[[object], None]
) -> None:
    batches = size.of(2, 20)
    with batching(right) as api:
        api.lose = lambda _: how
        job = JobFolder(tmp_path / "job", texts(1 + 5 * batches), api.url, call={"mode": "batch", "batch_size": 5})
        job.configure(call={"timeout_s": 1.0}, check={"asks": 1}, run={"max_failed": "50%"})
        assert forked(job) in (0, 1), "some rows are answered with no JSON"
        told = (job.path / "runs" / "job" / "log.jsonl").read_text()
        assert told.count("it is not known whether batch") == api.creates == len(api.made) == batches
        assert told.count("ReadTimeout") == (batches if how == "late" else 0)
        assert sum(len(made.requests) for made in api.made) == 5 * batches
        none_is_bought_twice(api)
    tell(f"{how}: {batches} of {batches} adopted")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_batches_running_and_the_next_run_collects_them(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with batching(right, looks=1_000_000) as api:
        job = JobFolder(tmp_path / "job", ROWS, api.url, call={"mode": "batch"})
        asked = threading.Event()
        look = api.told

        def told(made: Made) -> dict[str, Any]:
            if made.looked > 1:
                asked.set()
            return look(made)

        api.told = told  # type: ignore[method-assign]
        pid = started(job)
        assert asked.wait(60)
        os.kill(pid, number)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == code
        log = (job.path / "runs" / "job" / "log.jsonl").read_text()
        assert "go on at the service" in log
        assert f"{number.name}: no new requests" in log
        assert "replies in flight" not in log, "there are none to wait for"
        assert not api.made[0].canceled
        api.looks = 1
        right_in_the_end(job, api)
