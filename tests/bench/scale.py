"""What grows with rows and what does not: memory while they are asked, the scan of a resume, the publishing of the table."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.bench.jobs import made
from tests.bench.process import PIPELINE, Server, Used, environment, serving
from tests.prepared import corpus, killed

LEFT = 1000


@dataclass(frozen=True)
class Resumed:
    """A run over so many rows that is killed with kill -9 when the last ones have been sent, and resumed to its end."""

    rows: int
    asked: Used | None
    """The run that was killed, with all it had sent; None: what it leaves was written by tests.prepared."""
    first_request_s: float
    """From here on: the run that resumes."""
    first_request_cpu_s: float
    publish_s: float
    cpu_s: float
    peak_mb: float
    repeated: int
    """Requests that were in flight at the kill, and were sent again."""


def asked(folder: Path, rows: int) -> Resumed:
    """All that is there is asked, until it is killed."""
    with serving(0) as server:
        started, before = time.monotonic(), server.stats()
        process = _begun(made(folder, rows, server.url, 256))
        while (now := server.stats())["requests"] < rows - LEFT:
            if process.poll() is not None:
                raise SystemExit(f"the run of {rows} rows ended with {process.returncode}")
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        used = _ended(process, -signal.SIGKILL)
        wall_s, cpu_s = time.monotonic() - started, used.ru_utime + used.ru_stime
        server_s = now["cpu_s"] - before["cpu_s"]
        first = Used(wall_s, cpu_s, used.ru_maxrss / 1024, server_s, server.stats()["requests"])
        return _resumed(folder, rows, server, first)


def prepared(folder: Path, rows: int) -> Resumed:
    """The same from a run folder that was written without asking."""
    with serving(0) as server:
        killed(corpus(folder, rows, server.url), left=LEFT)
        return _resumed(folder, rows, server, None)


def _resumed(folder: Path, rows: int, server: Server, first: Used | None) -> Resumed:
    before = first.requests if first is not None else rows - LEFT
    sent, started, wall = server.stats()["requests"], time.monotonic(), time.time()
    process = _begun(folder)
    while server.stats()["requests"] == sent and process.poll() is None:
        time.sleep(0.01)
    first_s, first_cpu_s = time.monotonic() - started, _cpu_s(process.pid)
    used, ended = _ended(process, 0), time.time()
    publishing = _published_at(next(folder.glob("runs/*/log.jsonl")))
    assert wall < publishing < ended
    repeated = before + server.stats()["requests"] - sent - rows
    cpu_s = used.ru_utime + used.ru_stime
    return Resumed(rows, first, first_s, first_cpu_s, ended - publishing, cpu_s, used.ru_maxrss / 1024, repeated)


def _begun(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*PIPELINE, "run", "job.yaml", "--quiet"], cwd=folder, env=environment())


def _ended(process: subprocess.Popen[bytes], status: int) -> resource.struct_rusage:
    _, ended, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(ended)  # else it would look as if nobody had waited for it
    if process.returncode != status:
        raise SystemExit(f"a run ended with {process.returncode}")
    return used


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


def table(found: list[Resumed], say: Callable[[str], object]) -> None:
    say(f"\n{'all asked, then kill -9':<24}{'peak MB':>9}{'CPU ms/row':>11}{'rows/s':>8}\n")
    for one in found:
        if one.asked is not None:
            cpu_ms, rate = one.asked.cpu_s / one.rows * 1e3, one.asked.requests / one.asked.wall_s
            say(f"{one.rows:>19,} rows{one.asked.peak_mb:>9.0f}{cpu_ms:>11.2f}{rate:>8.0f}\n")
    columns = f"{'first request s':>16}{'its CPU s':>10}{'publish s':>10}{'all CPU s':>10}{'peak MB':>9}{'repeated':>9}"
    say(f"\n{'resumed':<24}{columns}\n")
    for one in found:
        say(
            f"{one.rows:>19,} rows{one.first_request_s:>16.2f}{one.first_request_cpu_s:>10.2f}{one.publish_s:>10.2f}"
            f"{one.cpu_s:>10.2f}{one.peak_mb:>9.0f}{one.repeated:>9}\n"
        )
