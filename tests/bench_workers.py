"""`python -m tests.bench_workers`: what a row costs in the run's own process and in its workers, with one process and several.

CPU, user and system, from the kernel's accounting: of the run's process, and of all its workers together. What a start costs
(each worker imports the SDK) is taken out by the difference between a long run and a short one. The server is a process of its
own, on the same cores. `bound` is what the cores of this machine allow with that: all CPU of a row shared among them, or the
part that only one can do at a time, whichever is more; `ceiling` what the run's own process allows, however many cores and
workers there are. On a machine that does other work, rows a second say little, CPU says more, and its ratios most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.embedded import running
from tests.bench import prepared
from tests.processes import children

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
    workers_s: float
    server_s: float
    own_mb: float
    largest_worker_mb: float


def run(folder: Path, rows: int, url: str, at_once: int, workers: int) -> Run:
    folder.mkdir()
    (server,) = children(os.getpid(), "serve")
    before_s = cpu_s(server)
    prepared(folder, rows, url, at_once)
    started = time.monotonic()
    said = subprocess.run(
        [sys.executable, "-c", RUN, "--set", f"run.workers={workers}"], cwd=folder, stdout=subprocess.PIPE, check=True
    )
    wall_s = time.monotonic() - started
    code, own_s, workers_s, own_mb, worker_mb = json.loads(said.stdout)
    if code != 0:
        raise SystemExit(f"a run with {workers} workers ended with {code}")
    return Run(rows, wall_s, own_s, workers_s, cpu_s(server) - before_s, own_mb, worker_mb)


def cpu_s(pid: int) -> float:
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


HEAD = ("workers", "rows/s", "own ms", "workers ms", "server ms", "bound/s", "ceiling/s", "start CPU s", "own MB", "each MB")


def line(workers: int, short: Run, long: Run) -> str:
    rows = long.rows - short.rows
    differences = (long.own_s - short.own_s, long.workers_s - short.workers_s, long.server_s - short.server_s)
    own_ms, workers_ms, server_ms = (seconds / rows * 1000 for seconds in differences)
    alone_ms = max(own_ms, server_ms, workers_ms / max(workers, 1))
    bound_ms = max(alone_ms, (own_ms + workers_ms + server_ms) / (os.cpu_count() or 1))
    rates = f"{workers:>12}{rows / (long.wall_s - short.wall_s):>12.0f}{own_ms:>12.2f}{workers_ms:>12.2f}{server_ms:>12.2f}"
    sizes = f"{short.own_s + short.workers_s:>12.1f}{long.own_mb:>12.0f}{long.largest_worker_mb:>12.0f}"
    return f"{rates}{1000 / bound_ms:>12.0f}{1000 / own_ms:>12.0f}{sizes}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=256)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.at_once} at once")  # noqa: T201
    print("".join(f"{name:>12}" for name in HEAD))  # noqa: T201
    with tempfile.TemporaryDirectory() as name, running("rehearsal") as url:
        for number in range(options.rounds):
            for workers in options.workers:
                folder = Path(name) / f"{number}-{workers}"
                folder.mkdir()
                short, long = (run(folder / str(rows), rows, url, options.at_once, workers) for rows in (500, options.rows))
                print(line(workers, short, long), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
