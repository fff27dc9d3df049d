"""What one ask has left after a failed attempt."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from pipeline.call.classify import Verdict
from pipeline.call.conditions import OVERLOAD, QUICK, Concerns
from pipeline.call.retry import AWAY_S, Attempt, Halted, Patience, attempts
from pipeline.records import Status


def patience(tries: int = 6, longest_wait_s: float = 900.0, random: float = 1.0) -> Patience:
    return Patience(tries, longest_wait_s, lambda: random)


def verdict(**changes: object) -> Verdict:
    values: dict[str, object] = {
        "condition": "c",
        "error": "e",
        "concerns": Concerns.SERVICE,
        "retry": QUICK,
        "status": Status.FAILED,
        **changes,
    }
    return Verdict(**values)  # type: ignore[arg-type]


def limited(wait_s: float | None) -> Verdict:
    return verdict(concerns=Concerns.RATE, counts=False, wait_s=wait_s)


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
    assert [left.after(limited(12.0)) for _ in range(3)] == [12.0, 12.0, None]


@pytest.mark.parametrize("told", [limited(12.0), verdict(wait_s=12.0), verdict(wait_s=12.0, counts=False)])
def test_the_servers_wait_is_never_shortened(told: Verdict) -> None:
    assert patience(random=0.0).after(told) == 12.0
    assert patience(random=0.999).after(told) == pytest.approx(13.2, abs=0.01)


def test_a_limit_that_names_no_wait_worth_the_name_is_no_storm() -> None:
    left = patience(tries=1, longest_wait_s=100.0, random=0.0)
    waits = [left.after(limited(0.0)) for _ in range(9)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, None]


def test_what_may_be_billed_each_time_is_repeated_so_often_and_apart_from_the_rest() -> None:
    left = patience(tries=3)
    ambiguous = verdict(at_most=2, billed=True, counts=False)
    assert [left.after(told) is None for told in (ambiguous, verdict(), ambiguous, verdict(), ambiguous)] == [False] * 4 + [
        True
    ]


def test_what_may_be_billed_each_time_is_repeated_no_more_often_than_anything_else() -> None:
    left = patience(tries=2)
    ambiguous = verdict(at_most=5, billed=True, counts=False)
    assert [left.after(ambiguous) is None for _ in range(2)] == [False, True]


def test_what_may_be_billed_each_time_is_not_repeated_where_a_person_decides() -> None:
    left = Patience(6, 900.0, lambda: 1.0, repeats=False)
    assert left.after(verdict(at_most=5, billed=True)) is None
    assert left.after(verdict(at_most=2)) is not None, "this one cannot have been billed"


def test_a_service_with_no_room_uses_up_no_attempt_but_time() -> None:
    left = patience(tries=2)
    overloaded = verdict(retry=OVERLOAD, counts=False)
    waits = [left.after(overloaded) for _ in range(14)]
    assert waits[:7] == [2, 4, 8, 16, 32, 64, 120]
    assert waits[-1] is None
    assert sum(wait_s for wait_s in waits if wait_s is not None) <= AWAY_S


def test_a_service_that_is_down_uses_up_nothing() -> None:
    left = patience(tries=2)
    assert [left.after(verdict(), down=True) for _ in range(100)] == [0.0] * 100
    assert left.after(verdict()) == 1


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


class Held:
    """Something that an ask holds while it lasts."""


@pytest.mark.parametrize("failures", [0, 2])
def test_what_an_ask_holds_goes_with_it_and_waits_for_no_collector(failures: int) -> None:
    async def ask(held: Held) -> None:
        left = failures

        def before_wait(number: int, attempt: Attempt) -> None:
            assert held

        tries = attempts(asyncio.Event(), before_wait)
        try:
            async for attempt in tries:
                with attempt:
                    if not left:
                        return
                    left -= 1
                    raise Attempt(verdict(), 0.0)
        finally:
            tries.over()

    held = Held()
    gone = weakref.ref(held)
    gc.disable()
    try:
        asyncio.run(ask(held))
        del held
        assert gone() is None
    finally:
        gc.enable()
