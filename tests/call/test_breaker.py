"""When a service counts as away, and when as back. Seconds of a clock that is a number."""

from __future__ import annotations

from pipeline.call.breaker import AT_ONCE, ENOUGH, GIVE_UP_S, IN_A_ROW, PROBE_S, SETTLED_S, WINDOW_S, Breaker


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for number in range(IN_A_ROW):
        breaker.failed(now + number * SETTLED_S)
    assert breaker.open
    return breaker


def test_failures_in_a_row_open_it_once() -> None:
    breaker = Breaker()
    assert [breaker.failed(float(second)) for second in range(IN_A_ROW + 3)] == [False] * (IN_A_ROW - 1) + [True] + [False] * 3


def test_a_success_between_keeps_it_closed() -> None:
    breaker = Breaker()
    for second in range(30):
        if second % (IN_A_ROW - 1) == 0:
            breaker.succeeded(float(second))
        breaker.failed(float(second))
    assert not breaker.open


def test_failures_that_come_together_may_be_the_first_of_many_replies() -> None:
    breaker = Breaker()
    for _ in range(AT_ONCE - 1):
        breaker.failed(0.0)
    assert not breaker.open
    assert breaker.failed(0.0)


def test_most_requests_failing_open_it_even_if_some_succeed() -> None:
    breaker = Breaker()
    for number in range(ENOUGH + 1):
        (breaker.succeeded if number % 3 == 0 else breaker.failed)(number / 10)
    assert breaker.open


def test_what_is_long_ago_does_not_count() -> None:
    breaker = Breaker()
    for number in range(ENOUGH - 1):
        (breaker.succeeded if number % 3 == 0 else breaker.failed)(number / 10)
    later = WINDOW_S + 20.0
    for number in range(ENOUGH):
        (breaker.failed if number % 3 == 0 else breaker.succeeded)(later + number / 10)
    assert not breaker.open


def test_while_open_one_probe_goes_now_and_then() -> None:
    breaker = opened()
    at = (IN_A_ROW - 1) * SETTLED_S
    assert breaker.wait_s(at) == PROBE_S
    assert breaker.wait_s(at + PROBE_S) == 0
    breaker.went(at + PROBE_S)
    assert breaker.wait_s(at + PROBE_S) == PROBE_S


def test_any_success_closes_it() -> None:
    breaker = opened()
    assert breaker.succeeded(100.0)
    assert breaker.wait_s(100.0) == 0
    assert not breaker.succeeded(101.0), "it was closed already"


def test_closed_it_forgets_what_had_opened_it() -> None:
    breaker = Breaker()
    for number in range(ENOUGH + 1):
        (breaker.succeeded if number % 3 == 0 else breaker.failed)(number / 10)
    assert breaker.open
    breaker.succeeded(11.0)
    assert not breaker.failed(11.1)
    for number in range(ENOUGH + 1):
        (breaker.succeeded if number % 3 == 0 else breaker.failed)(200 + number / 10)
    assert breaker.open, "what is forgotten is not counted off later"


def test_it_gives_up_after_ten_minutes_of_nothing() -> None:
    breaker = opened(now=50.0)
    assert not breaker.given_up(50.0 + GIVE_UP_S - 1)
    assert breaker.given_up(50.0 + GIVE_UP_S)
    breaker.succeeded(50.0 + GIVE_UP_S)
    assert not breaker.given_up(10_000.0)
