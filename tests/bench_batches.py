"""`make batches`: what batch mode takes of memory and time, against a rehearsal server in a process of its own.

Two runs of the program: one that plans the rows, submits them and leaves (`--detach`), and one that collects, judges and
publishes. Memory is the peak of the process by the kernel's own accounting; that of a job of ten rows, which holds the program
and its libraries, stands beside it. Read the difference: it must not grow with the rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.jobs import SCHEMA

COME_BACK = 75
PAUSE_S = 5.0


@contextmanager
def serving(batch_time_s: float) -> Iterator[str]:
    command = ["serve", "--model", "rehearsal", "--port", "0", "--latency", "0s", "--batch-time", f"{batch_time_s:.0f}s"]
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", *command, "--until-eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def prepared(folder: Path, rows: int, url: str) -> None:
    folder.mkdir()
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([number, f"Review number {number}: it does what it says, more or less."] for number in range(rows))
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    config = {
        "name": "bench",
        "input": {"path": "rows.csv", "key": "id"},
        "schema": "schema.json",
        "prompt": {"system": "Label it.", "user": "{{ text }}"},
        "model": {"name": "claude-haiku-5-5", "max_tokens": 64},
        "call": {"base_url": url, "mode": "batch"},
        "output": {"path": "out.parquet"},
    }
    (folder / "job.yaml").write_text(json.dumps(config))


def measured(folder: Path) -> tuple[int, float, float, float]:
    """Exit code, seconds, CPU seconds and peak MB of one `pipeline run --detach`."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pipeline", "run", "job.yaml", "--quiet", "--detach"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started
    return os.waitstatus_to_exitcode(status), wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="make batches ARGS=…")
    parser.add_argument("--rows", type=int, nargs="+", default=[10, 20_000])
    parser.add_argument("--batch-time", type=float, default=30.0, help="seconds from the creation of a batch to its end")
    options = parser.parse_args()
    print(f"{'rows':>12}{'run':>10}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}")  # noqa: T201
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as path, serving(options.batch_time) as url:
            folder = Path(path) / "job"
            prepared(folder, rows, url)
            code, *figures = measured(folder)
            if code != COME_BACK:
                raise SystemExit(f"{rows} rows: the batches had ended before all were sent ({code}): raise --batch-time")
            _line(rows, "plans", figures)
            while code == COME_BACK:
                time.sleep(PAUSE_S)
                code, *figures = measured(folder)
            if code:
                raise SystemExit(f"{rows} rows: the run failed with {code}")
            _line(rows, "collects", figures)


def _line(rows: int, what: str, figures: list[float]) -> None:
    wall_s, cpu_s, peak_mb = figures
    print(f"{rows:>12,}{what:>10}{wall_s:>9.1f}{cpu_s:>9.1f}{peak_mb:>9.0f}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
