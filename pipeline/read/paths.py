"""What a config names as input → the files, in order, each once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.read import folder

_MAGIC = re.compile(r"[*?[]")

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def expand(paths: Sequence[str]) -> tuple[Path, ...]:
    """The files that the paths and globs name: in the order given, those of one glob sorted by name. A folder, and a glob over
    images and documents, stand for themselves.

    Raises ConfigInvalid for what is not available yet, InputUnreadable for what is missing, no file, or named twice.
    """
    files: dict[tuple[int, int], Path] = {}
    for named in paths:
        try:
            found = [(path, (folder.root(path) or path).stat()) for path in _named(named)]
        except OSError as error:
            raise InputUnreadable(f"{named}: cannot be read: {error.strerror}") from error
        for path, status in found:
            if not S_ISREG(status.st_mode) and not S_ISDIR(status.st_mode):
                raise InputUnreadable(
                    f"{path}: is no regular file and so cannot be read twice; save what it gives to a file and name that"
                )
            # Device and inode, so that a link to a file counts as that file.
            same = files.setdefault((status.st_dev, status.st_ino), path)
            if same is not path:
                raise InputUnreadable(
                    f"{path}: the same file is given twice{'' if path == same else f', also as {same}'}\n"
                    "  Each of its rows would be asked about twice; look for globs that overlap, and links.",
                    todo="check input.path, then run the same command again",
                )
    return tuple(files.values())


def _named(name: str) -> Iterator[Path]:
    if _REMOTE.match(name):
        raise ConfigInvalid(f"input.path: {name}: remote files are not available yet; copy the file here and name that")
    path = Path(name)
    if path.is_dir():
        yield path
        return
    if path.exists() or not _MAGIC.search(name):
        # Also a file whose own name has brackets in it.
        if not path.exists():
            raise InputUnreadable(f"{path}: no such file", todo="check input.path, then run the same command again")
        yield path
        return
    # Path.glob takes no absolute pattern.
    found = [path for path in map(Path, sorted(glob(name, recursive=True))) if not path.is_dir()]  # noqa: PTH207
    if not found:
        raise InputUnreadable(f"{name}: no file matches", todo="check input.path, then run the same command again")
    if all(path.suffix.lower() in folder.SUFFIXES for path in found):
        yield path
        return
    yield from found
