"""How many may be out at once. Seconds of a clock that is a number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.call.concurrency import COOLDOWN_S, START, Concurrency


def used(concurrency: Concurrency, rounds: int, *, now: float = 0.0, share: float = 1.0) -> list[int]:
    """The limit after each of so many clean rounds, this share of the places in use."""
    limits = []
    for _ in range(rounds):
        size = concurrency.limit
        places = max(1, int(size * share))
        for _ in range(places):
            concurrency.took()
        for _ in range(size):
            concurrency.succeeded(now)
        for _ in range(places):
            concurrency.gave_back()
        limits.append(concurrency.limit)
    return limits


def test_it_doubles_until_the_ceiling() -> None:
    assert used(Concurrency(most=1000), 7) == [40, 80, 160, 320, 640, 1000, 1000]


def test_a_ceiling_below_the_start_is_kept() -> None:
    assert Concurrency(most=4).limit == 4
    assert used(Concurrency(most=START), 3) == [START] * 3


def test_it_does_not_grow_while_places_stay_empty() -> None:
    assert used(Concurrency(most=1000), 3, share=0.75) == [20, 20, 20]


def test_a_429_takes_a_fifth_once_in_a_cooldown_and_ends_the_doubling() -> None:
    concurrency = Concurrency(most=1000)
    used(concurrency, 3)
    assert [concurrency.limited(now, 2.0) for now in (100.0, 100.1, 114.9)] == [True, False, False]
    assert concurrency.limit == 128
    assert used(concurrency, 1, now=110.0) == [128], "what ends in the cooldown left before it"
    assert used(concurrency, 2, now=100 + COOLDOWN_S) == [134, 140]


def test_the_cooldown_is_as_long_as_the_server_says() -> None:
    concurrency = Concurrency(most=1000)
    assert concurrency.limited(0.0, 60.0)
    assert not concurrency.limited(59.0, 1.0)
    assert concurrency.limited(60.0, 1.0)


def test_a_ramp_limit_goes_back_to_slow_start_up_to_half_of_what_was_too_much() -> None:
    concurrency = Concurrency(most=1000)
    used(concurrency, 4)
    assert concurrency.limit == 320
    assert concurrency.ramped(0.0, 1.0)
    assert concurrency.limit == START
    assert used(concurrency, 5, now=20.0) == [40, 80, 160, 168, 176]


def test_trouble_of_the_service_pauses_growth_and_cuts_nothing() -> None:
    concurrency = Concurrency(most=1000)
    for _ in range(START):
        concurrency.took()
    for _ in range(5):
        for _ in range(START - 1):
            concurrency.succeeded(0.0)
        concurrency.troubled()
    assert concurrency.limit == START


@given(st.integers(1, 50), st.lists(st.sampled_from(["limited", "ramped", "succeeded", "troubled"]), max_size=200))
def test_whatever_happens_there_is_a_place_and_never_too_many(most: int, happened: list[str]) -> None:
    concurrency = Concurrency(most)
    for second, what in enumerate(happened):
        match what:
            case "limited":
                concurrency.limited(second * 20.0, 1.0)
            case "ramped":
                concurrency.ramped(second * 20.0, 1.0)
            case "succeeded":
                used(concurrency, 1, now=second * 20.0)
            case _:
                concurrency.troubled()
        assert 1 <= concurrency.limit <= most
