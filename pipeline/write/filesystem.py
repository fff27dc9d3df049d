"""Which kind of file system a folder lies on: the journal must lie on a disk of this machine.

SQLite's write-ahead log shares memory between processes through the file system, and `flock` and fsync must mean what they say.
Network file systems promise none of this ("WAL does not work over a network filesystem", sqlite.org/wal.html, read 2026-11).
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath

from pipeline.errors import ConfigInvalid

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset({
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "ncp", "afs", "coda", "9p", "ceph", "glusterfs", "lustre", "gpfs"),
    *("beegfs", "pvfs2", "orangefs", "panfs", "gfs2", "ocfs2", "davfs", "vboxsf", "prl_fs", "vmhgfs", "acfs", "wekafs"),
})  # fmt: skip
"""Types as mountinfo(5) names them: of other machines, clusters, and folders that a virtual machine's host lends it."""
LOCAL_FUSE = frozenset({
    *("fuse.ntfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.ext2", "fuse.fuse2fs", "fuse.fuse-overlayfs", "fuse.bindfs"),
    *("fuse.mergerfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs", "fuse.securefs"),
})  # fmt: skip
"""File systems in user space that keep their files on a disk of this machine. Of all others (sshfs, s3fs, rclone …) it cannot
be known; moving run.folder is one line of a config, a torn journal is paid for."""


def refuse_network(folder: Path) -> None:
    """Raises ConfigInvalid where the folder, which need not be there yet, would lie on a network file system.

    Where the system does not tell (no /proc: macOS), nothing is refused.
    """
    try:
        mounts = MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:
        return
    kind = kind_at(PurePath(os.path.realpath(folder)), mounts)
    if kind is not None and is_network(kind):
        raise ConfigInvalid(
            f"the run folder {folder} lies on a network file system ({kind}): neither the journal nor the lock is safe there",
            todo="put run.folder on a local disk; the output may stay where it is",
        )


def is_network(kind: str) -> bool:
    """Whether files of such a file system lie elsewhere than on a disk of this machine, as far as its type tells."""
    if kind == "fuse" or kind.startswith("fuse."):
        return kind not in LOCAL_FUSE
    return kind in NETWORK


def kind_at(place: PurePath, mounts: str) -> str | None:
    """Type of the file system at an absolute path, by the text of /proc/self/mountinfo; None where that does not say.

    The deepest mount point above the path counts, and of several at the same point the last: it covers the others. A root of
    type 9p is a sandbox's own disk (gVisor) and has no name.
    """
    deepest, found = 0, None
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = PurePath(_unescaped(fields[4]))
        if place.is_relative_to(point) and len(point.parts) >= deepest:
            deepest, found = len(point.parts), after.split(" ")[0]
    return None if (deepest, found) == (1, "9p") else found


def _unescaped(field: str) -> str:
    """mountinfo writes space, tab, newline and backslash as octal: proc(5)."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
