"""A long run keeps its size: memory and open files do not grow with rows. `make soak` only."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
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

    memory: int
    """Bytes, resident; as the kernel tells it at the end: looks would miss what publishing takes in its last moment."""
    files: int
    """Open."""


def watched(folder: Path, rows: int) -> Seen:
    """A run over so many rows, its open files looked at twice a second."""
    files = 0
    with serving(0) as server:
        made(folder, rows, server.url, AT_ONCE)
        process = subprocess.Popen([*PIPELINE, "run", "job.yaml", "--quiet"], cwd=folder, env=environment())
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            files = max(files, open_files(process.pid))
            time.sleep(LOOK_S)
        _, status, used = ended
        process.returncode = os.waitstatus_to_exitcode(status)  # else it would look as if nobody had waited for it
        assert process.returncode == 0
        assert server.stats()["requests"] == rows
    return Seen(used.ru_maxrss * 1024, files)


def open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 only their number counts
    except OSError:  # it has just ended
        return 0


def test_neither_memory_nor_open_files_grow_with_rows(tmp_path: Path, size: Size, tell: Callable[[object], None]) -> None:
    if not size.kills:
        pytest.skip("a run of 10^6 rows: `make soak`")
    rows = max(5 * FEW_ROWS, 1000 * size.kills)
    few, many = watched(tmp_path / "few", FEW_ROWS), watched(tmp_path / "many", rows)
    tell(f"{rows:,} rows: {many.memory / 2**20:.0f} MB against {few.memory / 2**20:.0f}, {many.files} open files")
    assert many.memory <= SHARE * few.memory + BYTES_A_ROW * rows
    assert many.files <= few.files + FILES
