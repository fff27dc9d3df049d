"""One run at a time: locks on a run folder and on an output, which two configs can share.

`flock`, since the kernel drops it when the holder dies, however it dies: there is no stale lock to break. It hangs on the open
file, so descriptors are not inherited by programs that a run starts; a process that is forked and goes on without exec would
hold the lock with its parent.

The lock of a run folder stays there. That of an output lies beside it as `.NAME.lock` and is removed by its holder, so that an
output folder holds outputs only. Removing a lock file is safe as long as whoever has locked one looks whether it still is the
file at that path, and starts anew if not: two processes can then hold two files, but only one of them stands at the path.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import ComeBackLater, StorageFailed
from pipeline.remote import Place, Remote

FILE_MODE = 0o600
LOOK_S = 0.02
LOOKS = 250
"""Five seconds: for those who look at a lock for an instant, and for a holder to say who it is."""
WORDS_BYTES = 500
SILENT = "a process that has not said which"
_PID = re.compile(r"pid (\d+) on (\S+) since ")


@contextmanager
def locked(path: Path, what: str, job: str, *, wait: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock file `path` for this process, and writes into it who does; it is made if it is not there.

    However the block ends, those words go. Where they stay the holder was killed: `abandoned`.

    Where another process holds it: raises ComeBackLater with one line that names the holder; with `wait`, says so once and
    waits, without end, for which a signal whose handler raises is the way out. `what` is what the lock stands for, in words.
    StorageFailed where the lock cannot be made, or the file system has no locks.
    """
    descriptor = _taken(path, what, wait, say)
    try:
        _sign(descriptor, job)
        yield
    finally:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        os.close(descriptor)


@contextmanager
def output_locked(output: Place, job: str, *, wait: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the output for this process: see `locked`. Its folder is made, as publishing would make it.

    On a file system that has no locks it says so and goes on: the lock keeps two runs from paying for the same table, while
    the table itself appears by rename and is whole in any case. A store has no locks either, as its users know.
    """
    if isinstance(output, Remote):
        yield
        return
    place = Path(os.path.realpath(output))  # as for publishing: the file behind a link is the output
    path = place.with_name(f".{place.name}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"the folder of the output {output} cannot be made: {error}") from error
    try:
        descriptor = _taken(path, f"the output {output}", wait, say)
    except _NoLocks as error:
        say(f"{error.message}; nothing keeps another run from writing the same output")
        with suppress(OSError):
            path.unlink()
        yield
        return
    try:
        _sign(descriptor, job)
        yield
    finally:
        with suppress(OSError):  # while it is held: whoever waits for it finds another file at its path, or none
            path.unlink()
        os.close(descriptor)


def holder(path: Path) -> str | None:
    """Who holds the lock now, in words; None when nobody does. Never in the way of who wants to take it (`_locks`)."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        for _ in range(LOOKS):
            if _flocks(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB):
                return None
            if words := _words(descriptor):
                return words
            time.sleep(LOOK_S)
    finally:
        os.close(descriptor)
    return SILENT


def abandoned(path: Path) -> bool:
    """Whether the last holder of the lock was killed, or its machine went down."""
    return holder(path) is None and path.exists() and path.stat().st_size > 0


class _NoLocks(StorageFailed):
    """The file system does not lock."""


def _taken(path: Path, what: str, wait: bool, say: Callable[[str], None]) -> int:
    """A descriptor of the file at `path`, locked."""
    while True:
        try:
            # Not through a link: it would have us write our name into a file of someone else's choice.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        except OSError as error:
            raise StorageFailed(f"the lock {path} cannot be made: {error.strerror}") from error
        try:
            _lock(descriptor, path, what, wait, say)
            if _stands(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder has removed it since it was opened


def _stands(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lock(descriptor: int, path: Path, what: str, wait: bool, say: Callable[[str], None]) -> None:
    try:
        named = SILENT
        for _ in range(LOOKS):
            if _flocks(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                return
            # A run holds it exclusively, `pipeline status` shares it for an instant: whoever can share it has met no run.
            if _flocks(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            elif words := _words(descriptor):
                named = words
                break
            time.sleep(LOOK_S)
        if not wait:
            raise ComeBackLater(
                f"another run holds {what}: {named}", todo="run the same command again when it has ended, or with --wait"
            )
        say(f"waiting for another run that holds {what}: {named}")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        raise _NoLocks(f"{path} cannot be locked: {error.strerror}", todo="use a file system that has locks") from error


def _flocks(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int, job: str) -> None:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with suppress(OSError):  # the words are for people; the lock holds without them
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()} since {started}, job {job}\n".encode(), 0)


def _words(descriptor: int) -> str | None:
    """What the holder wrote. It has the lock an instant before it writes: until then, which is None, the last one's words stand
    there."""
    text = os.pread(descriptor, WORDS_BYTES, 0).decode("utf-8", "replace").partition("\n")[0]
    if not text or _dead(text):
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _dead(words: str) -> bool:
    """Whether the process they name ran on this machine and does so no more."""
    named = _PID.match(words)
    if named is None or named[2] != socket.gethostname():
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False
