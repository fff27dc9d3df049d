"""A long run keeps its size: memory and open files do not grow with rows. `make soak` only."""

from __future__ import annotations

import os
import re
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
FIRST_ROWS = 10_000
LOOK_S = 0.5
BYTES_A_ROW = 20
SHARE = 1.10
"""Peak memory may be so much of that at 10^4 rows, and beyond it only the index of what was asked."""


@dataclass(frozen=True)
class Seen:
    requests: int
    memory: float
    """Bytes, resident, at their peak."""
    files: int


def looked(pid: int, requests: int) -> Seen | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 only their number counts
    except OSError:
        return None
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return Seen(requests, int(peak[1]) * 1024, files) if peak is not None else None


def test_neither_memory_nor_open_files_grow_with_rows(tmp_path: Path, size: Size, tell: Callable[[object], None]) -> None:
    if not size.kills:
        pytest.skip("a run of 10^6 rows: `make soak`")
    rows = max(5 * FIRST_ROWS, 1000 * size.kills)
    seen: list[Seen] = []
    with serving(0) as server:
        folder = made(tmp_path / "job", rows, server.url, AT_ONCE)
        process = subprocess.Popen([*PIPELINE, "run", "job.yaml", "--quiet"], cwd=folder, env=environment())
        while process.poll() is None:
            time.sleep(LOOK_S)
            found = looked(process.pid, server.stats()["requests"])
            if found is not None:
                seen.append(found)
    assert process.returncode == 0
    first = next(one for one in seen if one.requests >= FIRST_ROWS)
    last = seen[-1]
    sizes = f"{last.memory / 2**20:.0f} MB against {first.memory / 2**20:.0f} at {first.requests:,}"
    tell(f"{rows:,} rows: {sizes}; {last.files} open files")
    assert last.memory <= SHARE * first.memory + BYTES_A_ROW * rows
    assert max(one.files for one in seen) <= first.files + 8
