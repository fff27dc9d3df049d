"""`python -m tests.bench.workers`: what a row costs in the run's own process and in its workers, with one process and several.

CPU, user and system, from the kernel's accounting: of the run's process, and of all its workers together. What a start costs
(each worker imports the SDK) is taken out by the difference between a long run and a short one. The server has a process of its
own; on a machine with few cores it takes from the same cores, so rows a second say less than CPU does: what the run's own
process takes for a row is the ceiling, however many workers there are, and it is what the last column gives.
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
from tests.bench.jobs import made

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
    own_mb: float
    largest_worker_mb: float


def run(folder: Path, rows: int, url: str, at_once: int, workers: int) -> Run:
    made(folder, rows, url, at_once)
    started = time.monotonic()
    said = subprocess.run(
        [sys.executable, "-c", RUN, "--set", f"run.workers={workers}"], cwd=folder, stdout=subprocess.PIPE, check=True
    )
    wall_s = time.monotonic() - started
    code, own_s, workers_s, own_mb, worker_mb = json.loads(said.stdout)
    if code != 0:
        raise SystemExit(f"a run with {workers} workers ended with {code}")
    return Run(rows, wall_s, own_s, workers_s, own_mb, worker_mb)


def line(workers: int, short: Run, long: Run) -> str:
    rows = long.rows - short.rows
    own_ms, workers_ms = (long.own_s - short.own_s) / rows * 1000, (long.workers_s - short.workers_s) / rows * 1000
    return (
        f"{workers:>7}{rows / (long.wall_s - short.wall_s):>9.0f}{own_ms:>10.2f}{workers_ms:>13.2f}{own_ms + workers_ms:>9.2f}"
        f"{short.own_s + short.workers_s:>12.1f}{long.own_mb:>9.0f}{long.largest_worker_mb:>10.0f}{1000 / own_ms:>12.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=256)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.at_once} at once")  # noqa: T201
    head = f"{'workers':>7}{'rows/s':>9}{'own ms':>10}{'workers ms':>13}{'sum':>9}{'start CPU s':>12}"
    print(f"{head}{'own MB':>9}{'each MB':>10}{'ceiling/s':>12}")  # noqa: T201
    with tempfile.TemporaryDirectory() as name, running("rehearsal") as url:
        for number in range(options.rounds):
            for workers in options.workers:
                folder = Path(name) / f"{number}-{workers}"
                folder.mkdir()
                short, long = (run(folder / str(rows), rows, url, options.at_once, workers) for rows in (500, options.rows))
                print(line(workers, short, long), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
