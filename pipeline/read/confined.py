"""Work on bytes that anybody may have made, in a process of its own with little memory and little time.

stdin   a line of JSON that says what to do, then the bytes
stdout  the result; exit code 0
stderr  in a line, why there is none; any other exit code
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

MEMORY_BYTES = 1 << 30
CPU_S = 10
WALL_S = 120
"""What 10 s of CPU may take on a machine that is busy with other things."""


class Unmade(Exception):
    """In words: why there is no result."""


def asked_of(module: str, what: dict[str, Any], data: bytes) -> bytes:
    """What that module, run as a program that ends in `answered`, makes of the bytes. Raises Unmade."""
    # Isolated: neither the folder it is started in nor the environment decides what is imported.
    command = [sys.executable, "-I", "-m", module]
    head = json.dumps(what).encode() + b"\n"
    try:
        done = subprocess.run(command, input=head + data, capture_output=True, timeout=WALL_S, check=False)  # noqa: S603 ours
    except subprocess.TimeoutExpired:
        raise Unmade(f"it took more than {WALL_S} s") from None
    if done.returncode < 0:
        raise Unmade(f"it took more than {CPU_S} s of CPU, or its decoder crashed (signal {-done.returncode})")
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Unmade(said[-1] if said else f"its decoder ended with exit code {done.returncode}")
    return done.stdout


def answered(work: Callable[[dict[str, Any], bytes], bytes], *, memory_bytes: int = MEMORY_BYTES) -> int:
    """Does what stdin says, within the limits; the exit code. For the process that `asked_of` starts."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    what = json.loads(sys.stdin.buffer.readline())
    try:
        made = work(what, sys.stdin.buffer.read())
    except MemoryError:
        return _failed(f"it takes more than {memory_bytes / 1e9:.1f} GB of memory")
    except Exception as error:  # noqa: BLE001 whatever a decoder raises is a fact about these bytes
        return _failed(" ".join(str(error).split()) or type(error).__name__)
    sys.stdout.buffer.write(made)
    return 0


def _failed(why: str) -> int:
    sys.stderr.write(why + "\n")
    return 1
