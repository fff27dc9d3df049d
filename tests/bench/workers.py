"""What a row costs in the run's own process and in its workers, with one process and several.

CPU, user and system, from the kernel's accounting: of the run's process, and of all its workers together. What a start costs
(each worker imports the SDK) is taken out by the difference between a long run and a short one. The server is the lean one, in
a process of its own; `ceiling` is what the run's own process allows, however many cores and workers there are, and `bound` what
the cores of this machine allow: all CPU of a row shared among them, or the part that only one can do at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.jobs import made
from tests.bench.process import Server, environment, serving

FEW = 500
AT_ONCE = 256
WORKERS = (1, 2, 3)
LATENCIES_MS = (0, 200)
RUN = """
import json, resource, sys
from pipeline import cli
code = cli.exit_code(["run", "job.yaml", "--quiet", *sys.argv[1:]])
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([code, *(one.ru_utime + one.ru_stime for one in used), *(one.ru_maxrss / 1024 for one in used)]))
"""


@dataclass(frozen=True)
class Run:
    rows: int
    wall_s: float
    own_s: float
    """CPU; so are the next two."""
    workers_s: float
    server_s: float
    own_mb: float
    largest_worker_mb: float


@dataclass(frozen=True)
class Cell:
    """With so many workers. Without the start, but for the last two."""

    latency_ms: float
    workers: int
    rows_a_second: float
    own_ms: float
    """CPU of a row; so are the next two."""
    workers_ms: float
    server_ms: float
    bound: float
    """Rows a second."""
    ceiling: float
    """Rows a second."""
    start_cpu_s: float
    worker_mb: float


def cells(folder: Path, rows: int) -> Iterator[Cell]:
    for latency_ms in LATENCIES_MS:
        with serving(latency_ms) as server:
            for workers in WORKERS:
                named = folder / f"{latency_ms}-{workers}"
                short, long = (_run(named / str(number), number, server, workers) for number in (FEW, FEW + rows))
                yield _cell(latency_ms, workers, short, long)


def _run(folder: Path, rows: int, server: Server, workers: int) -> Run:
    made(folder, rows, server.url, AT_ONCE)
    before_s, started = server.stats()["cpu_s"], time.monotonic()
    said = subprocess.run(
        [sys.executable, "-c", RUN, "--set", f"run.workers={workers}"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    wall_s = time.monotonic() - started
    code, own_s, workers_s, own_mb, worker_mb = json.loads(said.stdout)
    if code != 0:
        raise SystemExit(f"a run with {workers} workers ended with {code}")
    return Run(rows, wall_s, own_s, workers_s, server.stats()["cpu_s"] - before_s, own_mb, worker_mb)


def _cell(latency_ms: float, workers: int, short: Run, long: Run) -> Cell:
    rows = long.rows - short.rows
    own_ms = (long.own_s - short.own_s) / rows * 1e3
    workers_ms = (long.workers_s - short.workers_s) / rows * 1e3
    server_ms = (long.server_s - short.server_s) / rows * 1e3
    alone_ms = max(own_ms, server_ms, workers_ms / workers)
    return Cell(
        latency_ms=latency_ms,
        workers=workers,
        rows_a_second=rows / (long.wall_s - short.wall_s),
        own_ms=own_ms,
        workers_ms=workers_ms,
        server_ms=server_ms,
        bound=1e3 / max(alone_ms, (own_ms + workers_ms + server_ms) / (os.cpu_count() or 1)),
        ceiling=1e3 / own_ms,
        start_cpu_s=short.own_s + short.workers_s,
        worker_mb=long.largest_worker_mb,
    )


def table(found: list[Cell]) -> Iterator[str]:
    head = ("rows/s", "own ms", "workers ms", "server ms", "bound/s", "ceiling/s", "start CPU s", "each MB")
    yield f"{'latency':>8}{'workers':>9}" + "".join(f"{name:>12}" for name in head)
    for one in found:
        cpu = f"{one.rows_a_second:>12.0f}{one.own_ms:>12.2f}{one.workers_ms:>12.2f}{one.server_ms:>12.3f}"
        rates = f"{one.bound:>12.0f}{one.ceiling:>12.0f}{one.start_cpu_s:>12.1f}{one.worker_mb:>12.0f}"
        yield f"{one.latency_ms:>5.0f} ms{one.workers:>9}{cpu}{rates}"
