"""Where the work runs: an event loop in this process, with the signals of this process.

The first SIGINT, SIGTERM or SIGHUP halts: nothing new is sent and replies in flight are awaited, for `drain_s` at most. The
second cancels. Handlers only set a flag. The engine gets the work as a function and knows no stage.

Not `loop.add_signal_handler`: taking such a handler away again puts the default in its place for a moment, in which a signal
would kill the process, and drops a signal that the loop has not seen yet. Here a signal is always either ours or, before and
after, that of whoever handled it before.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType

from pipeline.events import Listener, Stopping

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK_S = 1.0


@dataclass(slots=True)
class Interrupted:
    """The signal that ended the work early."""

    signal: signal.Signals

    @property
    def exit_code(self) -> int:
        """128 + 2 for SIGINT, 128 + 15 for the others: SIGHUP is treated as SIGTERM."""
        return 128 + (signal.SIGINT if self.signal is signal.SIGINT else signal.SIGTERM)


@dataclass(slots=True)
class Relay:
    """Brings signals to work outside of the main thread, which alone gets them: whoever waits there for it sends them on."""

    received: list[signal.Signals] = field(default_factory=list)
    _waker: socket.socket | None = None

    def send(self, number: int) -> None:
        """From any thread, and from a signal handler."""
        self.received.append(signal.Signals(number))
        self._wake()

    @contextmanager
    def waking(self, waker: socket.socket) -> Iterator[None]:
        """What has come before counts, too."""
        self._waker = waker
        try:
            if self.received:
                self._wake()
            yield
        finally:
            self._waker = None

    def _wake(self) -> None:
        if (waker := self._waker) is not None:
            with suppress(OSError):  # it is woken already, or just gone
                waker.send(b"\0")


RELAY: ContextVar[Relay | None] = ContextVar("relay", default=None)
"""Where work that is not in the main thread hears of signals; None: nowhere."""

Work = Callable[[asyncio.Event], Awaitable[None]]


def always() -> bool:
    return True


def run(
    work: Work, *, drain_s: float, tell: Listener, tick: Callable[[], None], in_flight: Callable[[], bool] = always
) -> Interrupted | None:
    """Runs the work to its end; None, or the signal that ended it. What the work raises comes out as it is.

    `tick` is called about once a second meanwhile. `in_flight`: whether there are replies to wait for, at a signal.
    """
    # Few objects of a run die in circles: collecting less often saves a sixth of the CPU (measured 2026-11).
    gc.freeze()
    # What was imported is frozen, so that the older generations are small. Left alone for long, they would keep what was in
    # flight whenever the youngest was collected.
    gc.set_threshold(50_000, 5, 5)
    with _listening() as signals:
        asyncio.run(_run(work, drain_s, tell, tick, in_flight, signals))
    return Interrupted(signals.received[0]) if signals.received else None


async def _run(
    work: Work, drain_s: float, tell: Listener, tick: Callable[[], None], in_flight: Callable[[], bool], signals: _Signals
) -> None:
    loop = asyncio.get_running_loop()
    halt = asyncio.Event()
    cut = asyncio.Event()

    def hear() -> None:
        for first in signals.news():
            if first is None:
                cut.set()
                continue
            waiting = f"; waiting up to {drain_s:.0f} s for replies in flight (again: stop now)" if in_flight() else ""
            tell(Stopping(f"{first.name}: no new requests{waiting}"))
            halt.set()
            loop.call_later(drain_s, cut.set)

    loop.add_reader(signals.woken, hear)
    working = asyncio.ensure_future(work(halt))
    cutting = asyncio.ensure_future(cut.wait())
    ticking = asyncio.ensure_future(_tick(tick))
    try:
        await asyncio.wait((working, cutting), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            doubt = ": requests still in flight are in doubt and will be sent again by the next run" if in_flight() else ""
            tell(Stopping(f"cancelled{doubt}"))
            working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    finally:
        for task in (cutting, ticking):
            task.cancel()
        await asyncio.gather(cutting, ticking, return_exceptions=True)
        loop.remove_reader(signals.woken)


@dataclass(slots=True)
class _Signals:
    """What has been received while it is listened to."""

    woken: socket.socket
    """Readable when there is news: a blocked loop wakes, whichever thread the kernel gave the signal to."""
    received: list[signal.Signals] = field(default_factory=list)
    _told: int = 0

    def news(self) -> Iterator[signal.Signals | None]:
        """The first signal as itself, each later one as None; every one is given once."""
        with suppress(BlockingIOError):
            self.woken.recv(4096)
        while self._told < len(self.received):
            self._told += 1
            yield self.received[0] if self._told == 1 else None


@contextmanager
def _listening() -> Iterator[_Signals]:
    """Takes the signals of this process, save those that were ignored when it began, by nohup for example. Outside of the main
    thread, what a Relay brings."""
    waker, woken = socket.socketpair()
    with waker, woken:
        waker.setblocking(False)
        woken.setblocking(False)
        relay = RELAY.get()
        if relay is not None:
            with relay.waking(waker):
                yield _Signals(woken, relay.received)
            return
        signals = _Signals(woken)
        if threading.current_thread() is not threading.main_thread():
            yield signals
            return

        def receive(number: int, frame: FrameType | None) -> None:
            signals.received.append(signal.Signals(number))

        woke = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        before = {
            number: signal.signal(number, receive) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield signals
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(woke)


async def _tick(tick: Callable[[], None]) -> None:
    while True:
        tick()
        await asyncio.sleep(TICK_S)
