"""What runs on this machine, by /proc."""

from __future__ import annotations

from pathlib import Path


def children(pid: int, named: str) -> list[int]:
    """The processes that this one has started and that have not ended, whose command line holds these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = path.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            command = path.joinpath("cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid and named.encode() in command.replace(b"\0", b" "):
            found.append(int(path.name))
    return sorted(found)


def ignores(pid: int, number: int) -> bool:
    """Whether the process ignores this signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) >> (number - 1) & 1)
