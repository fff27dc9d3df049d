"""A file that appears at its place whole or not at all.

It is written under a temporary name in the target's own folder, so that the rename stays inside one file system, and is
private (0600) until then. The order is the usual one for durable files: flush, fsync, rename, fsync of the folder.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast

from pipeline.errors import StorageFailed
from pipeline.remote import Place, Remote

BUFFER_BYTES = 1 << 20


@contextmanager
def storage(target: Place) -> Iterator[None]:
    """Turns what the disk says inside the block into StorageFailed."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"cannot write {target}: {error.strerror or error}") from error


@contextmanager
def replacement(target: Place) -> Iterator[BinaryIO]:
    """An open file that takes the place of `target` when the block ends, and leaves no trace when the block fails.

    Missing folders are made. A symbolic link is followed: the file behind it is replaced. On publishing, the file gets
    the permissions that a new file gets in that folder. Raises StorageFailed; the block's own errors pass unchanged.

    An object of a store is written here first, in the system's folder for temporary files, and then uploaded; raises
    AccountRefused too.
    """
    if isinstance(target, Remote):
        with storage(target):
            here = NamedTemporaryFile(prefix="pipeline-", buffering=BUFFER_BYTES)  # noqa: SIM115 closed below
        with closing(here):
            yield cast("BinaryIO", here)
            with storage(target):
                here.flush()
                target.put(Path(here.name))
        return
    with storage(target):
        target = Path(os.path.realpath(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        file = temporary.open("xb", buffering=BUFFER_BYTES)
    try:
        with storage(target):
            # The umask can only be read by setting it, which would race with other threads: so the fresh, still empty
            # file is asked which mode it was given, before it becomes private.
            public = os.fstat(file.fileno()).st_mode & 0o777
            os.fchmod(file.fileno(), 0o600)
            with suppress(OSError):  # a file system without locks: _sweep cannot lock there either, and keeps away
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
        with storage(target):
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), public)
            file.close()
            temporary.replace(target)
            _sync(target.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        with suppress(OSError):  # what is still buffered may not fit on the disk either
            file.close()
        raise


def _sweep(target: Path) -> None:
    """Removes what a killed run left here. A file that is still being written holds its lock and stays."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        with suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _sync(folder: Path) -> None:
    """Makes the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
