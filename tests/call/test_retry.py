"""What one ask has left after a failed attempt."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.call.classify import OVERLOAD, QUICK, Verdict
from pipeline.call.retry import Attempt, Halted, Patience, attempts
from pipeline.records import Status


def patience(tries: int = 6, longest_wait_s: float = 900.0, random: float = 1.0) -> Patience:
    return Patience(tries, longest_wait_s, lambda: random)


def verdict(**changes: object) -> Verdict:
    values: dict[str, object] = {"condition": "c", "error": "e", "retry": QUICK, "status": Status.FAILED, **changes}
    return Verdict(**values)  # type: ignore[arg-type]


def test_waits_double_up_to_the_longest() -> None:
    left = patience(tries=10)
    assert [left.after(verdict()) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_jitter_is_full() -> None:
    assert patience(random=0.0).after(verdict(retry=OVERLOAD)) == 0.0
    assert patience(random=0.5).after(verdict(retry=OVERLOAD)) == 1.0


def test_attempts_end() -> None:
    left = patience(tries=3)
    assert [left.after(verdict()) for _ in range(3)] == [1, 2, None]


def test_waiting_for_a_limit_uses_up_no_attempt_but_time() -> None:
    left = patience(tries=1, longest_wait_s=30.0, random=0.0)
    limited = verdict(counts=False, wait_s=12.0)
    assert [left.after(limited) for _ in range(3)] == [12.0, 12.0, None]


def test_the_servers_wait_is_never_shortened() -> None:
    assert patience(random=0.0).after(verdict(wait_s=12.0)) == 12.0
    assert patience(random=0.999).after(verdict(wait_s=12.0)) == pytest.approx(13.2, abs=0.01)


def test_a_limit_that_names_no_wait_worth_the_name_is_no_storm() -> None:
    left = patience(tries=1, longest_wait_s=100.0, random=0.0)
    limited = verdict(counts=False, wait_s=0.0)
    waits = [left.after(limited) for _ in range(9)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, None]


def test_what_may_be_billed_each_time_is_repeated_once() -> None:
    left = patience()
    ambiguous = verdict(at_most=1)
    assert left.after(ambiguous) is not None
    assert left.after(ambiguous) is None


def test_what_cannot_succeed_is_not_repeated() -> None:
    assert patience().after(verdict(retry=None)) is None


def test_a_wait_ends_at_once_when_the_run_halts() -> None:
    async def waits_for_an_hour() -> None:
        halt = asyncio.Event()
        heard: list[int] = []

        def before_wait(number: int, attempt: Attempt) -> None:
            heard.append(number)
            halt.set()

        async def asks() -> None:
            async for attempt in attempts(halt, before_wait):
                with attempt:
                    raise Attempt(verdict(), 3600.0)

        with pytest.raises(Halted):
            await asks()
        assert heard == [1]

    asyncio.run(asyncio.wait_for(waits_for_an_hour(), 5))
