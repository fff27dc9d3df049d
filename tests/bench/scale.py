"""What grows with rows and what does not: memory while they are asked, the scan of a resume, the publishing of the table."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.bench.jobs import made
from tests.bench.process import PIPELINE, environment, measured, serving
from tests.prepared import corpus, killed

LEFT = 1000


@dataclass(frozen=True)
class Grown:
    """A run over so many rows, all asked."""

    rows: int
    peak_mb: float
    cpu_ms_a_row: float
    rows_a_second: float


@dataclass(frozen=True)
class Resumed:
    """A run over so many rows that was killed with kill -9 when 1,000 were left, from its start to its end."""

    rows: int
    first_request_s: float
    first_request_cpu_s: float
    publish_s: float
    cpu_s: float
    peak_mb: float


def grown(folder: Path, rows: int) -> Grown:
    with serving(0) as server:
        used = measured([*PIPELINE, "run", "job.yaml", "--quiet"], made(folder, rows, server.url, 256), server)
    return Grown(rows, used.peak_mb, used.cpu_s / rows * 1e3, rows / used.wall_s)


def resumed(folder: Path, rows: int) -> Resumed:
    with serving(0) as server:
        killed(corpus(folder, rows, server.url), left=LEFT)
        started, wall = time.monotonic(), time.time()
        process = subprocess.Popen([*PIPELINE, "run", "job.yaml", "--quiet"], cwd=folder, env=environment())
        while not server.stats()["requests"] and process.poll() is None:
            time.sleep(0.01)
        first_s, first_cpu_s = time.monotonic() - started, _cpu_s(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        ended = time.time()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"the resumed run of {rows} rows ended with {process.returncode}")
    publishing = _published_at(folder / "runs/large/log.jsonl")
    assert wall < publishing < ended
    return Resumed(rows, first_s, first_cpu_s, ended - publishing, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def started_s(folder: Path) -> tuple[float, float]:
    """Seconds and CPU seconds from the start of a new run to its first request."""
    with serving(0) as server:
        made(folder, 100_000, server.url, 64)
        started = time.monotonic()
        process = subprocess.Popen([*PIPELINE, "run", "job.yaml", "--quiet"], cwd=folder, env=environment())
        while not server.stats()["requests"] and process.poll() is None:
            time.sleep(0.01)
        found = time.monotonic() - started, _cpu_s(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return found


def _cpu_s(pid: int) -> float:
    with suppress(OSError):
        used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _published_at(log: Path) -> float:
    """Unix time at which the last run began to write its table."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if re.search(r'"event": ?"publishing"', line)]
    return datetime.fromisoformat(lines[-1]["time"]).timestamp()


def table(grown: list[Grown], resumed: list[Resumed], say: Callable[[str], object]) -> None:
    say(f"\n{'all asked':<16}{'peak MB':>9}{'CPU ms/row':>11}{'rows/s':>8}\n")
    for one in grown:
        say(f"{one.rows:>11,} rows{one.peak_mb:>9.0f}{one.cpu_ms_a_row:>11.2f}{one.rows_a_second:>8.0f}\n")
    say(f"\n{'killed, resumed':<16}{'first request s':>16}{'its CPU s':>10}{'publish s':>10}{'all CPU s':>10}{'peak MB':>9}\n")
    for each in resumed:
        say(
            f"{each.rows:>11,} rows{each.first_request_s:>16.2f}{each.first_request_cpu_s:>10.2f}{each.publish_s:>10.2f}"
            f"{each.cpu_s:>10.2f}{each.peak_mb:>9.0f}\n"
        )
