"""Signals of a local run: the first halts, the second cancels."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from pipeline.engine.local import Interrupted, run
from pipeline.events import Event, Stopping


def ran(work: object, *, drain_s: float = 60.0) -> tuple[Interrupted | None, list[Event], int]:
    events: list[Event] = []
    ticks: list[int] = []
    interrupted = run(work, drain_s=drain_s, tell=events.append, tick=lambda: ticks.append(1))  # type: ignore[arg-type]
    return interrupted, events, len(ticks)


def test_work_that_ends_by_itself_is_not_interrupted() -> None:
    async def work(halt: asyncio.Event) -> None:
        await asyncio.sleep(0)

    interrupted, events, ticks = ran(work)
    assert (interrupted, events) == (None, [])
    assert ticks >= 1


def test_what_the_work_raises_comes_out() -> None:
    async def work(halt: asyncio.Event) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        ran(work)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_the_first_signal_halts_and_lets_the_work_end(number: signal.Signals, code: int) -> None:
    ended: list[bool] = []

    async def work(halt: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await halt.wait()
        await asyncio.sleep(0.01)
        ended.append(True)

    interrupted, events, _ = ran(work)
    assert interrupted is not None
    assert (interrupted.signal, interrupted.exit_code, ended) == (number, code, [True])
    assert [type(event) for event in events] == [Stopping]


def test_the_second_signal_cancels() -> None:
    async def work(halt: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await halt.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(3600)

    interrupted, events, _ = ran(work)
    assert interrupted is not None
    assert interrupted.signal is signal.SIGTERM
    assert len(events) == 2


def test_waiting_for_replies_has_an_end() -> None:
    async def work(halt: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(3600)

    interrupted, _, _ = ran(work, drain_s=0.05)
    assert interrupted is not None


def test_the_handlers_are_gone_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def work(halt: asyncio.Event) -> None:
        await asyncio.sleep(0)

    ran(work)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    """`nohup pipeline run … &`"""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def work(halt: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)

    try:
        interrupted, _, _ = ran(work)
        assert interrupted is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_comes_when_the_work_has_just_ended_is_not_lost() -> None:
    async def work(halt: asyncio.Event) -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    interrupted, _, _ = ran(work)
    assert interrupted is not None
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_given_to_another_thread_wakes_the_loop_at_once() -> None:
    async def work(halt: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
        loop.call_later(0.05, thread.start)
        await asyncio.wait_for(halt.wait(), 30)
        thread.join()

    interrupted, _, _ = ran(work)
    assert interrupted is not None


def test_in_no_moment_would_a_signal_have_its_default_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which ends the process, with what the journal has not written yet."""
    handlers: list[object] = []
    real = signal.signal

    def watched(number: signal.Signals, handler: object) -> object:
        if number == signal.SIGTERM:
            handlers.append(handler)
        return real(number, handler)  # type: ignore[arg-type]

    async def work(halt: asyncio.Event) -> None:
        await asyncio.sleep(0)

    before = real(signal.SIGTERM, lambda number, frame: None)
    monkeypatch.setattr(signal, "signal", watched)
    try:
        ran(work)
    finally:
        real(signal.SIGTERM, before)
    assert len(handlers) == 2
    assert signal.SIG_DFL not in handlers
