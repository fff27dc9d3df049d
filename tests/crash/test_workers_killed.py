"""SIGKILL for workers and for the run they belong to: what a death may cost is what was out, and all of it is told."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

from tests.crash.campaign import KILLED
from tests.crash.conftest import Size
from tests.crash.crewed import Crewed
from tests.crash.ledger import FENCED, OVERLOADED, WRONG, serving
from tests.crash.program import Forks, Running
from tests.processes import children

AT_ONCE = 32
WORKERS = 2
WORKER = "pipeline.call.sender"
ODDITIES = {31: OVERLOADED, 37: WRONG, 41: FENCED}
LATEST_S = 60.0

Victim: TypeAlias = Literal["worker", "run"]


class Killed(Crewed):
    death = "killed"


def texts(rows: int) -> list[str]:
    def text(number: int) -> str:
        odd = [mark for every, mark in ODDITIES.items() if number % every == every - 1]
        return " ".join([f"{'good' if number % 3 else 'bad'} thing {number}", *odd[:1]])

    return [text(number) for number in range(rows)]


def struck(campaign: Killed, victims: Sequence[Victim], chance: random.Random) -> int:
    """Kills one after the other while requests are out; how many workers were killed. No worker may outlive its run."""
    running = campaign.start()
    workers = 0
    for victim in victims:
        there = at_work(running)
        done = threading.Event()

        def strike(victim: Victim = victim, running: Running = running, done: threading.Event = done) -> None:
            if victim == "run":
                running.send(signal.SIGKILL)
            else:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(children(running.pid, WORKER)), signal.SIGKILL)
            done.set()

        campaign.ledger.alarm(chance.randint(1, AT_ONCE), chance.uniform(0, 0.02), strike)
        assert done.wait(LATEST_S)
        workers += victim == "worker"
        if victim == "run":
            assert campaign.ended(running).code == KILLED
            assert left_of(there) == []
            running = campaign.start()
    ended = campaign.ended(running)
    assert ended.code == 0, ended.err
    return workers


def at_work(running: Running) -> list[int]:
    """The workers of a run, as soon as it has any."""
    until = time.monotonic() + LATEST_S
    while not (pids := children(running.pid, WORKER)):
        assert time.monotonic() < until, running.said()
        time.sleep(0.01)
    return pids


def left_of(pids: Sequence[int]) -> list[int]:
    """Those that do not end."""
    until = time.monotonic() + LATEST_S
    while (left := [pid for pid in pids if is_worker(pid)]) and time.monotonic() < until:
        time.sleep(0.01)
    return left


def is_worker(pid: int) -> bool:
    try:
        return WORKER.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_workers_and_runs_are_killed_and_nothing_is_lost(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    chance = size.random()
    victims: list[Victim] = ["worker", "run"]
    victims += chance.choices(victims, [3, 1], k=size.of(0, 200))
    with serving(latency_s=0.05, seed=size.seed) as ledger:
        changes = {"call": {"concurrency": AT_ONCE}, "run": {"workers": WORKERS}}
        campaign = Killed(tmp_path / "job", texts(150 * len(victims)), ledger, forked, **changes)
        workers = struck(campaign, victims, chance)
        figures = campaign.finish(again=bool(size.kills))
    had = campaign.had()
    assert len(had) == workers
    assert max(had) <= AT_ONCE
    assert sum(had) > 0, "no worker had anything when it was killed"
    assert figures.twice <= figures.logged <= sum(had) + figures.doubts
    assert figures.summed == figures.logged
    tell(f"{workers} workers killed with {sum(had)} requests; {figures}")


def test_a_signal_for_all_processes_of_a_run_leaves_nothing_in_doubt(tmp_path: Path, forked: Forks) -> None:
    """As systemd sends it to a service: the workers still bring back what is out."""
    with serving() as ledger:
        campaign = Killed(tmp_path / "job", texts(60), ledger, forked, call={"concurrency": 8}, run={"workers": WORKERS})
        ledger.alarm(2, 0, ledger.hold)  # the canary is answered, nothing after it
        running = campaign.start()
        while ledger.requests < 6 and not running.over(0.02):
            pass
        for pid in [*children(running.pid, WORKER), running.pid]:
            os.kill(pid, signal.SIGTERM)
        while "waiting up to" not in running.said() and not running.over(0.02):
            pass
        ledger.release()
        ended = campaign.ended(running)
        assert ended.code == 143
        assert campaign.look() == set()
        assert campaign.had() == []
        assert ended.summary["possible_double_charges"] == 0
