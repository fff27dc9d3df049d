"""A Transport of several processes, `run.workers` of them: each has a client of its own and sends what it is given.

What costs most CPU for a row is its HTTP request and the response to it; that is done there. All that must be one for a run
stays here: limits, budget, journal, what is asked and what an answer is worth. So no other file knows of workers, and a run
with three of them gives what a run with none gives.

A worker is a new interpreter, never a fork: this process has threads. Its end of a socket pair is its standard input; nothing
stands on its command line, and it finds the key where this process found it, in the environment.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from pipeline.call.caller import Access, Broken, Response, Transport
from pipeline.call.crew import Crew, Member, is_busy, lost_with_it, nobody_left
from pipeline.call.frames import Ask, Begin, Call, Frame, Here, NoFrame, Told, Unframing, encoded, framed
from pipeline.events import Listener, Notice

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BEAT_S = 10.0
UNHEARD = 12
"""Beats in a row on which a worker was called and did not answer: it hangs, and is killed. Beats, not seconds: while this
process was stopped (ctrl-Z), it heard nobody."""
STOP_S = 5.0
"""How long a worker may take to end when its socket is closed."""
SHOWN_CHARACTERS = 200
COMMAND = (sys.executable, "-P", "-m", "pipeline.call.sender")
"""`-P`: a file of the user's folder that is called like a module of the standard library is not imported."""


class Workers:
    """A Transport. Made inside the event loop that uses it; closed by `close`."""

    def __init__(
        self,
        crew: Crew,
        access: Access,
        own: Transport,
        tell: Listener,
        *,
        when_busy: int = 0,
        command: Sequence[str] = COMMAND,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        cpu_s: Callable[[], float] = time.process_time,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`own` sends while the crew wants no members, and what cannot be put into a frame; it is not closed here. `when_busy`:
        so many members are wanted from when on the CPU of this process is what holds up the run, and `own` goes on until one of
        them is there. `command` starts a worker.
        """
        self._crew = crew
        self._access = access
        self._own = own
        self._tell = tell
        self._command = command
        self._links: dict[int, _Link] = {}
        self._lives: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._open = 0
        """Requests with a worker, or waiting for one."""
        self._how = ""
        """How the last one ended."""
        self._changed = asyncio.Event()
        """Set, and replaced, when a member can take a request, or none ever will."""
        self._when_busy = when_busy
        self._sleep = sleep
        self._cpu_s = cpu_s
        self._clock_s = clock_s
        self._beat = asyncio.create_task(self._beats())
        self._closing = False

    @property
    def ready(self) -> bool:
        return self._by_own or self._crew.over or self._crew.ready

    @property
    def _by_own(self) -> bool:
        """Whether this process sends: where members are wanted once it is busy, also while the first of them starts."""
        return self._crew.most == 0 or (self._when_busy > 0 and not self._crew.over and not self._crew.ready)

    async def send(self, body: Mapping[str, object]) -> Response | Broken:
        """By the member that has the fewest requests. What one had when it ended is Broken, sent and `ours`."""
        if self._by_own:
            if (first := self._crew.join(1)) is not None:
                self._begin(first)
            return await self._own.send(body)
        content = encoded(body)
        if content is None:
            return await self._own.send(body)
        self._open += 1
        try:
            return await self._given(content)
        finally:
            self._open -= 1

    async def close(self) -> None:
        """Ends all workers, with whatever is out."""
        self._closing = True
        self._beat.cancel()
        for link in self._links.values():
            link.end()
        await asyncio.gather(self._beat, *self._lives, return_exceptions=True)

    async def _given(self, content: bytes) -> Response | Broken:
        while not self._closing:
            if self._crew.over:
                return nobody_left(self._how)
            if (new := self._crew.join(self._open)) is not None:
                self._begin(new)
            member = self._crew.least()
            if member is not None:
                return await self._sent(self._links[member.number], content)
            await self._changed.wait()
        return Broken(sent=False, error="the workers are closed", latency_s=0.0, ours=True)

    async def _sent(self, link: _Link, content: bytes) -> Response | Broken:
        number = next(self._numbers)
        waiting: asyncio.Future[Response | Broken] = asyncio.get_running_loop().create_future()
        link.waiting[number] = waiting, self._clock_s()
        self._crew.took(link.member)
        link.say(Ask(number, content))
        return await waiting

    def _begin(self, member: Member) -> None:
        life = asyncio.create_task(self._life(member))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)

    async def _life(self, member: Member) -> None:
        """Of one worker, from its start to what is said of its end."""
        link = _Link(member, self._brought, self._change)
        try:
            how = await self._lived(link)
        except Exception as error:  # noqa: BLE001 whatever it is: whoever has a request with it would wait for ever
            how = f"it could not be started: {error}"
        self._lost(link, how)

    async def _lived(self, link: _Link) -> str:
        """How it ended. Raises OSError where it could not begin."""
        with tempfile.TemporaryFile() as said:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                process = _started(self._command, theirs, said)
                theirs.close()
                link.kill = process.kill
                self._links[link.member.number] = link
                try:
                    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
                    link.say(Begin(self._access))
                    if self._closing:
                        link.end()
                    await link.lost.wait()
                    await asyncio.to_thread(_ended, process)
                finally:
                    process.kill()  # if it has ended, that does nothing
                    process.wait()
            return _how(process.returncode, said)

    def _lost(self, link: _Link, how: str) -> None:
        """It has ended."""
        self._links.pop(link.member.number, None)
        self._how = how
        text = self._crew.lost(link.member, how)
        if not self._closing:
            self._tell(Notice(text))
        now = self._clock_s()
        for waiting, since in link.waiting.values():
            if not waiting.done():
                waiting.set_result(lost_with_it(how, now - since))
        self._change()

    def _brought(self, link: _Link, told: Told) -> None:
        waiting, _ = link.waiting.pop(told.number)
        self._crew.gave(link.member)
        if not waiting.done():  # else nobody waits for it any more
            waiting.set_result(told.result)

    def _change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _beats(self) -> None:
        while True:
            cpu_s, clock_s = self._cpu_s(), self._clock_s()
            await self._sleep(BEAT_S)
            for link in self._links.values():
                link.call()
            if self._crew.most < self._when_busy and is_busy(self._cpu_s() - cpu_s, self._clock_s() - clock_s):
                self._crew.most = self._when_busy
                self._tell(Notice(f"this process is what the run waits for: up to {self._when_busy} workers send from now on"))


@dataclass(slots=True, eq=False)
class _Link(asyncio.Protocol):
    """What is between a worker and us."""

    member: Member
    brought: Callable[[_Link, Told], None]
    changed: Callable[[], None]
    kill: Callable[[], None] = lambda: None
    waiting: dict[int, tuple[asyncio.Future[Response | Broken], float]] = field(default_factory=dict)
    """Number of a request → who waits for its result, and since when."""
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """It has ended, or is about to."""
    _unframing: Unframing = field(default_factory=Unframing)
    _wire: asyncio.WriteTransport | None = None
    _began: bool = False
    """Its client is made."""
    _unheard: int = 0
    """Calls since anything was heard of it."""

    def say(self, frame: Frame) -> None:
        if self._wire is not None:
            for piece in framed(frame):
                self._wire.write(piece)

    def call(self) -> None:
        """Asks whether it is there, and kills it if it has not been for long."""
        if self._unheard >= UNHEARD:
            self.kill()
            return
        self._unheard += 1
        self.say(Call())

    def end(self) -> None:
        if not self._began:
            self.kill()  # it would see only when its imports are done
        elif self._wire is not None:
            self._wire.abort()

    # What asyncio calls -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._wire = transport

    def data_received(self, data: bytes) -> None:
        self._unheard = 0
        try:
            for frame in self._unframing.fed(data):
                match frame:
                    case Told():
                        self.brought(self, frame)
                    case Here() if not self._began:
                        self._began = self.member.ready = True
                        self.changed()
        except NoFrame:
            self.kill()

    def pause_writing(self) -> None:
        """It takes no more for now: what is large waits here, and memory stays bounded."""
        self.member.ready = False

    def resume_writing(self) -> None:
        self.member.ready = True
        self.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire = None
        self.member.ready = False
        self.lost.set()


def _started(command: Sequence[str], wire: socket.socket, said: IO[bytes]) -> subprocess.Popen[bytes]:
    """In a session of its own, since the signals of a terminal are not for it. They are blocked meanwhile, and so in the
    worker: a `systemctl stop` in the moment before it ignores them would end it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        return subprocess.Popen(  # noqa: S603 COMMAND, or that of a test
            command, stdin=wire.fileno(), stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)


def _how(code: int, said: IO[bytes]) -> str:
    """How a process ended, in words; with its last line, if it had any."""
    said.seek(0)
    lines = said.read()[-10_000:].decode("utf-8", "replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")[:SHOWN_CHARACTERS]
    match code:
        case -9:
            return "killed by SIGKILL; if nobody did that, memory ran out"
        case _ if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        case _:
            return f"exit code {code}: {last}" if last else f"exit code {code}"
