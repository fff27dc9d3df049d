"""Parquet files read once in a process of their own, before anything is bought.

A Parquet file says itself how much memory it takes, and may lie: 33 kB unpack to 2 GB where the footer says 1,000 bytes
(measured 2026-11-26, pyarrow 26), and a damaged file may end the process that reads it. So a child reads all that the run will
read, with little memory to spare; if it fails, the run refuses the file and lives. The price is a second reading, about 2 CPU s
for 10 million short rows.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputUnreadable, PipelineError
from pipeline.read.source import open_source
from pipeline.records import FILE_SHIFT
from pipeline.remote import Place

MOST_BYTES = 1 << 30
"""What reading may take beyond the program itself. A batch holds about 16 MiB; 400 MB row groups of images took 0.56 GB."""

_FAULT = 65
"""The child's exit code when a file cannot be read; the reason is then on its stdout."""

_ROOM = (
    "  The file says less of itself than it takes, or its pages are huge; write it again with smaller row groups and pages:\n"
    '  pyarrow.parquet.write_table(table, "again.parquet", row_group_size=100)'
)


def tried(files: Sequence[Place], *, limit: int | None = None, most_bytes: int = MOST_BYTES) -> None:
    """Raises InputUnreadable where a Parquet file among `files` cannot be read whole, or up to the limit in rows.

    All columns are read: publishing reads them too, and by then all has been paid.
    """
    paths = [str(path) for path in files if path.suffix.lower() == ".parquet"]
    if not paths:
        return
    order = {"paths": paths, "limit": limit, "most_bytes": most_bytes}
    # No key leaves this process, and -P: no folder called `pipeline` beside the config is taken for this program.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the default, mimalloc, reserves 1 GiB of address space at once
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline.read.trial"],
        input=json.dumps(order),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == 0:
        return
    *begun, last = ended.stdout.splitlines() or [""]
    if ended.returncode == _FAULT:
        raise InputUnreadable(json.loads(last))
    where = last or next(iter(begun), paths[0])
    how = signal.Signals(-ended.returncode).name if ended.returncode < 0 else f"exit code {ended.returncode}"
    raise InputUnreadable(f"{where}: reading it ended the process that read it ({how}), tried apart from the run\n{_ROOM}")


def _try(order: str) -> int:
    asked = json.loads(order)
    _bound(asked["most_bytes"])
    path = ""
    try:
        source = open_source(asked["paths"], limit=asked["limit"])
        for batch in source.batches():
            if (now := str(source.files[batch.start >> FILE_SHIFT])) != path:
                path = now
                print(path, flush=True)  # noqa: T201 for the parent, should this process end here
    except PipelineError as error:
        room = f"\n{_ROOM}" if isinstance(error.__cause__, MemoryError) else ""
        print(json.dumps(error.message.splitlines()[0] + room if room else error.message))  # noqa: T201
        return _FAULT
    return 0


def _bound(most_bytes: int) -> None:
    """Address space, which every system enforces, beyond what the program has mapped already."""
    statm = Path("/proc/self/statm")
    mapped = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 4 << 30
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = mapped + most_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    sys.exit(_try(sys.stdin.read()))
