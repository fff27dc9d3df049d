"""Open files: each request that is out holds one, and the usual soft limit of a login (1,024) is soon reached."""

from __future__ import annotations

import resource

OURS = 128
"""Kept for the journal, tables, logs, and connections that are being closed."""


def room_for(connections: int) -> int:
    """How many of so many connections can be open at once; the soft limit of this process is raised for them, up to the hard
    one. At least 1."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OURS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        except (ValueError, OSError):  # macOS sets less than it says it would
            pass
    if soft == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, soft - OURS))
