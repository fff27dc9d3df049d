"""A disk that is full, or fails: the run stops with exit code 74, and goes on once there is room."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.campaign import Campaign, Figures
from tests.crash.conftest import Size
from tests.crash.deaths import Circumstances
from tests.crash.ledger import FENCED, WRONG, Ledger, serving
from tests.crash.program import Forks, Start, traced
from tests.jobs import Ended

REFUSED = 74
AT_ONCE = 16
TEXTS = [f"{'good' if number % 2 else 'bad'} thing {number} {['', WRONG, FENCED][number % 3]}" for number in range(240)]
RESERVE = 1 << 20
"""Bytes that the run holds back for replies in flight (`commands/wiring.py`): less, and it does not begin."""


def campaign(path: Path, ledger: Ledger, start: Start) -> Campaign:
    """A job whose run folder and output are in `runs`, and all else is not."""
    changes = {"call": {"concurrency": AT_ONCE}, "output": {"path": "runs/out/out.parquet"}}
    return Campaign(path, TEXTS, ledger, start, **changes)


def told(ended: Ended) -> None:
    """What a person or cron sees of a disk that refused."""
    assert ended.code == REFUSED, ended.err
    assert "Traceback" not in ended.err
    assert ended.err.strip().splitlines()[-1].startswith("what to do: ")


def sizes(number: int, enough: int) -> list[int]:
    """Mostly between what is held in reserve, so that the run begins, and what is enough; a fifth are smaller."""
    small = [RESERVE * step // (number // 5 + 1) for step in range(1, number // 5 + 1)]
    begun = number - len(small)
    return [*small, *(RESERVE + (enough - RESERVE) * step // begun for step in range(1, begun + 1))]


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Callable[[int], None]]:
    """A file system of so many bytes; gives what makes it larger."""

    def mount(*options: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["mount", *options, str(folder)], check=False, capture_output=True)

    folder.mkdir(parents=True)
    if shutil.which("mount") is None or mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs").returncode:
        pytest.skip("mounting a small tmpfs takes root")
    try:
        yield lambda larger: mount("-o", f"remount,size={larger}").check_returncode()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_the_run_before_it_buys_what_it_cannot_keep(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """On file systems of many sizes: nothing is paid twice, though the run stops anywhere."""
    refused: list[Figures] = []
    number = size.of(3, 50)
    for room in sizes(number, 4 << 20):
        path = tmp_path / f"{room}"
        with serving(latency_s=0.01, seed=size.seed) as ledger, disk(path / "runs", room) as enlarge:
            job = campaign(path, ledger, forked)
            ended = job.run()
            if ended.code != 0:
                told(ended)
            enlarge(64 << 20)
            figures = job.finish(again=bool(size.kills))
            assert (figures.twice, figures.doubts) == (0, 0), f"with {room} bytes of disk"
            if ended.code != 0:
                refused.append(figures)
    assert refused, "every disk was large enough"
    tell(f"{number} sizes of disk, {len(refused)} too small: each resumed, 0 rows lost, 0 in doubt, 0 paid twice")


def test_a_file_that_may_not_grow_stops_the_run_and_only_what_was_out_is_paid_again(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """RLIMIT_FSIZE: no reserve helps here, so that what is out when the limit is met is in doubt."""
    refused: list[Figures] = []
    number = size.of(3, 50)
    for largest in sizes(number, 3 << 20):
        with serving(latency_s=0.01, seed=size.seed) as ledger:
            job = campaign(tmp_path / f"{largest}", ledger, forked)
            ended = job.run(Circumstances(largest_file=largest))
            if ended.code != 0:
                told(ended)
            figures = job.finish(again=bool(size.kills))
            assert figures.twice <= figures.doubts <= AT_ONCE
            if ended.code != 0:
                refused.append(figures)
    assert refused, "no limit was met"
    doubts, twice = sum(figures.doubts for figures in refused), sum(figures.twice for figures in refused)
    tell(f"{number} limits, {len(refused)} met: each resumed, 0 rows lost, {doubts} in doubt, {twice} paid twice")


FAILING = [f"{call}:error=EIO:when={when}" for call in ("pwrite64", "fdatasync", "fsync", "rename") for when in ("{}", "{}+")]


def test_a_disk_that_fails_stops_the_run_and_only_what_was_out_is_paid_again(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """EIO, once or from then on, at a write of the database, at its sync, and at those of the published files."""
    if shutil.which("strace") is None or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace is not here, or may not trace")
    chance = size.random()
    refused: list[Figures] = []
    number = size.of(1, 80)
    for each in range(number):
        inject = FAILING[each % len(FAILING)]
        inject = inject.format(chance.randint(*((1, 3) if inject.startswith(("fsync", "rename")) else (20, 60))))
        with serving(latency_s=0.01, seed=size.seed) as ledger:
            job = campaign(tmp_path / f"{each}", ledger, traced(inject))
            ended = job.run()
            if ended.code != 0:
                told(ended)
            job.starter = forked
            figures = job.finish(again=bool(size.kills))
            assert figures.twice <= figures.doubts <= AT_ONCE, inject
            if ended.code != 0:
                refused.append(figures)
    assert refused, "nothing failed"
    doubts, twice = sum(figures.doubts for figures in refused), sum(figures.twice for figures in refused)
    tell(f"{number} runs, {len(refused)} met EIO: each resumed, 0 rows lost, {doubts} in doubt, {twice} paid twice")
