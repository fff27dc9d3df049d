"""One run of a program beside the bench server: what it took, and what the server took for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = (sys.executable, "-m", "pipeline")


@dataclass(frozen=True)
class Used:
    wall_s: float
    cpu_s: float
    """Of the program alone, user and system, as the kernel tells it at its end."""
    peak_mb: float
    server_cpu_s: float = 0.0
    requests: int = 0
    """That came to the server meanwhile."""

    @property
    def server_share(self) -> float:
        """Of one core, that the server took meanwhile."""
        return self.server_cpu_s / self.wall_s


class Server:
    def __init__(self, url: str) -> None:
        self.url = url

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/stats") as answer:  # noqa: S310 our own, on loopback
            return dict(json.load(answer))


@contextmanager
def serving(latency_ms: float) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.bench.server", "--latency-ms", str(latency_ms)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Server(process.stdout.readline().strip())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def measured(command: Sequence[str], folder: Path, server: Server | None = None, *, status: int = 0) -> Used:
    """Raises SystemExit where it does not end with this exit status: a measurement of a failure is none."""
    before = server.stats() if server is not None else None
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    _, ended, used = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(ended)  # else it would look as if nobody had waited for it
    if process.returncode != status:
        raise SystemExit(f"{' '.join(command)} in {folder} ended with {process.returncode}")
    cpu_s, peak_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    if server is None or before is None:
        return Used(wall_s, cpu_s, peak_mb)
    after = server.stats()
    return Used(wall_s, cpu_s, peak_mb, after["cpu_s"] - before["cpu_s"], after["requests"] - before["requests"])


def environment() -> dict[str, str]:
    """Of this process, so that this checkout is what runs, and no key goes anywhere."""
    there = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    return {**there, "PYTHONPATH": str(ROOT)}
