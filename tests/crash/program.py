"""The program under test as processes that can be started, signalled and waited for."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from tests.crash.deaths import Circumstances
from tests.jobs import KEY, Ended

HUNG_S = 300.0
"""No run of a campaign takes nearly so long."""
PLAIN = Circumstances()


class Running:
    """One run. Signals go to this very process, however pids are used again."""

    def __init__(self, pid: int, out: Path, err: Path, reap: Callable[[], int]) -> None:
        self.pid = pid
        self._out = out
        self._err = err
        self._reap = reap
        self._lock = threading.Lock()
        self._handle: int | None = os.pidfd_open(pid)

    def send(self, number: signal.Signals) -> None:
        """Whether or not it still runs; from any thread."""
        with self._lock, suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)

    def over(self, within_s: float) -> bool:
        """Waits so long at most; whether it has ended."""
        assert self._handle is not None
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(within_s * 1000))

    def said(self) -> str:
        """On stderr, so far."""
        return self._err.read_text("utf-8", "replace")

    def wait(self) -> Ended:
        hung = not self.over(HUNG_S)
        if hung:
            self.send(signal.SIGABRT)
            self.over(HUNG_S)
        code = self._reap()
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
            self._handle = None
        said = [path.read_text("utf-8", "replace") for path in (self._out, self._err)]
        for path in (self._out, self._err):
            path.unlink()
        assert not hung, f"hung for {HUNG_S} s:\n{said[1]}"
        return Ended(code, *said)


class Start(Protocol):
    """Starts `pipeline run job.yaml` with these arguments in a folder. With a `gate`, the path of a FIFO, it waits there."""

    def __call__(
        self, folder: Path, *arguments: str, circumstances: Circumstances = PLAIN, gate: Path | None = None
    ) -> Running: ...


def executed(folder: Path, *arguments: str, circumstances: Circumstances = PLAIN, gate: Path | None = None) -> Running:
    """A Start: `python -m pipeline`, from nothing. Takes no circumstances and no gate."""
    assert circumstances is PLAIN
    assert gate is None
    return _executed((), folder, arguments)


def traced(inject: str) -> Start:
    """A Start like `executed`, in which the kernel answers one system call as `inject` says, in the words of strace:
    `pwrite64:error=EIO:when=60` fails the 60th pwrite64 of each of its threads."""
    call = inject.partition(":")[0]
    strace = ("strace", "-f", "-qqq", "--seccomp-bpf", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={inject}")

    def start(folder: Path, *arguments: str, circumstances: Circumstances = PLAIN, gate: Path | None = None) -> Running:
        assert circumstances is PLAIN
        assert gate is None
        return _executed(strace, folder, arguments)

    return start


def _executed(under: tuple[str, ...], folder: Path, arguments: tuple[str, ...]) -> Running:
    out, err = _outputs(folder)
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [*under, sys.executable, "-m", "pipeline", "run", "job.yaml", *arguments],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    return Running(process.pid, out, err, process.wait)


class Forks:
    """A Start that forks: see forks.py. One thread uses it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(
        self, folder: Path, *arguments: str, circumstances: Circumstances = PLAIN, gate: Path | None = None
    ) -> Running:
        out, err = _outputs(folder)
        order = {
            "folder": str(folder),
            "arguments": ["run", "job.yaml", *arguments],
            "out": str(out),
            "err": str(err),
            "gate": None if gate is None else str(gate),
            "death": None if circumstances.death is None else asdict(circumstances.death),
            "largest_file": circumstances.largest_file,
        }
        pid = self.say({"start": order})
        return Running(pid, out, err, lambda: self.say({"wait": pid}))

    def say(self, what: Mapping[str, object]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def forks(warm: Path) -> Iterator[Forks]:
    """`warm`: the folder of a small job that is run once before anything is forked."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.forks"],
        cwd=Path(__file__).parents[2],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        made = Forks(process)
        assert made.say({"warm": str(warm)}) == 0
        yield made
        assert process.stdin is not None
        process.stdin.close()


def environment() -> dict[str, str]:
    """Without coverage: most of these processes are killed before they could tell what they covered."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return {**kept, "ANTHROPIC_API_KEY": KEY, "PYTHONPATH": str(Path(__file__).parents[2]), "OPENBLAS_NUM_THREADS": "1"}


_numbers = iter(range(1 << 60))


def _outputs(folder: Path) -> tuple[Path, Path]:
    """Beside the folder, which may be on a disk that is made to be full."""
    number = next(_numbers)
    out, err = (folder.parent / f"{folder.name}.{number}.{kind}" for kind in ("out", "err"))
    for path in (out, err):
        path.touch()  # here, since a run can be killed before it has opened them
    return out, err
