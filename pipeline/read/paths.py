"""What a config names as input → the files, in order, each once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from pipeline.errors import InputUnreadable
from pipeline.read import folder
from pipeline.remote import Place, Remote, is_remote, place, refused

_MAGIC = re.compile(r"[*?[]")


def expand(paths: Sequence[str]) -> tuple[Place, ...]:
    """The files that the paths and globs name: in the order given, those of one glob sorted by name. A folder, and a glob over
    images and documents, stand for themselves.

    Raises ConfigInvalid for what is not available yet, InputUnreadable for what is missing, no file, or named twice.
    """
    files: dict[tuple[int, int] | str, Place] = {}
    for named in paths:
        if is_remote(named):
            for at in _remote(named):
                if str(at) in files:
                    raise _twice(at, at)
                files[str(at)] = at
            continue
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
                raise _twice(path, same)
    return tuple(files.values())


def _twice(path: Place, same: Place) -> InputUnreadable:
    return InputUnreadable(
        f"{path}: the same file is given twice{'' if path == same else f', also as {same}'}\n"
        "  Each of its rows would be asked about twice; look for globs that overlap, and links.",
        todo="check input.path, then run the same command again",
    )


def _remote(name: str) -> list[Remote]:
    """The objects that a URL names."""
    named = place(name)
    assert isinstance(named, Remote), "a URL is no path"
    try:
        found = list(named.matching())
        if found == [named]:  # what a glob found is there
            named.stat()
    except OSError as error:
        raise refused(named, error) from error
    if not found:
        raise InputUnreadable(f"{name}: no object matches", todo="check input.path, then run the same command again")
    return found


def _named(name: str) -> Iterator[Path]:
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
