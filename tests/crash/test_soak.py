"""A long run keeps its size: memory and open files do not grow with rows. `make soak` only."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.jobs import made
from tests.bench.process import PIPELINE, environment, serving
from tests.crash.conftest import Size

AT_ONCE = 256
FEW_ROWS = 10_000
LOOK_S = 0.5
BYTES_A_ROW = 20
SHARE = 1.10
"""Peak memory may be so much of that of a run of few rows, and beyond it only the index of what was asked."""
FILES = 8
"""That may be open more than in a run of few rows."""


@dataclass(frozen=True)
class Seen:
    """The most of a run."""

    memory: float
    """Bytes, resident."""
    files: int
    """Open."""


def watched(folder: Path, rows: int) -> Seen:
    """A run over so many rows, looked at twice a second."""
    most = Seen(0, 0)
    with serving(0) as server:
        made(folder, rows, server.url, AT_ONCE)
        process = subprocess.Popen([*PIPELINE, "run", "job.yaml", "--quiet"], cwd=folder, env=environment())
        while process.poll() is None:
            time.sleep(LOOK_S)
            found = looked(process.pid)
            most = Seen(max(most.memory, found.memory), max(most.files, found.files))
        assert server.stats()["requests"] == rows
    assert process.returncode == 0
    return most


def looked(pid: int) -> Seen:
    with suppress(OSError):  # it has just ended
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 only their number counts
        return Seen(int(peak[1]) * 1024 if peak is not None else 0, files)
    return Seen(0, 0)


def test_neither_memory_nor_open_files_grow_with_rows(tmp_path: Path, size: Size, tell: Callable[[object], None]) -> None:
    if not size.kills:
        pytest.skip("a run of 10^6 rows: `make soak`")
    rows = max(5 * FEW_ROWS, 1000 * size.kills)
    few, many = watched(tmp_path / "few", FEW_ROWS), watched(tmp_path / "many", rows)
    tell(f"{rows:,} rows: {many.memory / 2**20:.0f} MB against {few.memory / 2**20:.0f}, {many.files} open files")
    assert many.memory <= SHARE * few.memory + BYTES_A_ROW * rows
    assert many.files <= few.files + FILES
