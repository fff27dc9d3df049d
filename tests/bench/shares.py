"""Where the time of a run goes, by room: py-spy looks at the program's threads 200 times a second.

A sample belongs to the innermost frame of ours that it finds, so that what a room makes a library do counts as the room's; the
event loop's own work, reading from sockets for one, is engine/local's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.bench.jobs import made
from tests.bench.process import PIPELINE, environment, serving

ROOM = re.compile(r"\((?:\S*/)?pipeline/([\w/]+)\.py")
IMPORT = "<frozen importlib"


def shares(folder: Path, rows: int) -> dict[str, float]:
    """Room → share of the samples, the largest first; empty where py-spy is not there or may not look."""
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        return {}
    found = folder / "samples.txt"
    with serving(0) as server:
        made(folder, rows, server.url, 64)
        record = [spy, "record", "--format", "raw", "--rate", "200", "--nonblocking", "--output", str(found), "--"]
        command = [*record, *PIPELINE, "run", "job.yaml", "--quiet"]
        subprocess.run(command, cwd=folder, env=environment(), check=False, capture_output=True)
    if not found.exists():
        return {}
    counted: Counter[str] = Counter()
    for line in found.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        counted[_room(stack)] += int(samples)
    return {room: number / counted.total() for room, number in counted.most_common()}


def _room(stack: str) -> str:
    if IMPORT in stack:
        return "imports"
    rooms = ROOM.findall(stack)
    return str(rooms[-1]) if rooms else "Python"
