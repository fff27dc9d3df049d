"""Files that a row names: read only where they lie below one folder, and only if they are files.

A row is written by anybody. What it names must not lead out of the folder by `..`, by being absolute or by a link, and must not
be a pipe that never ends or a device that never stops. The file is opened once, no link followed on the way down, and all that
is asked of it is asked of what was opened: nobody can put something else in its place in between.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG


class Refused(Exception):
    """In words: why the file is not read."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder that names in rows begin at. `input.root`."""

    root: Path

    def read(self, name: str, most_bytes: int) -> bytes:
        """What the file holds. Raises Refused."""
        try:
            handle = self._opened(name)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise Refused(f"cannot be read below {self.root}: {reason}") from error
        try:
            return _held(handle, most_bytes)
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror}") from error
        finally:
            os.close(handle)

    def _opened(self, name: str) -> int:
        """A descriptor, whatever it may be of."""
        if "\0" in name:
            raise Refused("has a NUL in its name")
        if "://" in name:
            raise Refused("is a URL, and nothing is fetched")
        if name.startswith(("/", "~")) or "\\" in name:
            raise Refused("must be a name below input.root, with / between folders and none at the beginning")
        root = os.path.realpath(self.root)
        real = os.path.realpath(os.path.join(root, name))  # noqa: PTH118 pathlib drops a trailing dot
        if os.path.commonpath([root, real]) != root or real == root:
            raise Refused(f"lies outside of {self.root}")
        *folders, last = Path(real).relative_to(root).parts
        # Links that lead to somewhere below the root are resolved by now: one that is met from here on was put there since.
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
                os.close(handle)
                handle = inner
            # Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
            return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
        finally:
            os.close(handle)


def _held(handle: int, most_bytes: int) -> bytes:
    status = os.fstat(handle)
    if not S_ISREG(status.st_mode):
        raise Refused("is no regular file")
    if status.st_size > most_bytes:
        raise Refused(f"has {status.st_size:,} bytes, more than the {most_bytes:,} that are taken")
    with os.fdopen(handle, "rb", closefd=False) as file:
        held = file.read(most_bytes + 1)  # it may grow meanwhile
    if len(held) > most_bytes:
        raise Refused(f"has more than the {most_bytes:,} bytes that are taken")
    return held
