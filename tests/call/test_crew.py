"""Who of several sends, and what it means when one of them ends."""

from __future__ import annotations

import pytest

from pipeline.call.classify import broken
from pipeline.call.conditions import Concerns
from pipeline.call.crew import FRUITLESS, FULL, Crew, Member, enough, is_busy, lost_with_it, nobody_left, useful
from pipeline.errors import WorkersLost
from pipeline.records import Status


def joined(crew: Crew) -> Member:
    member = crew.join(1)
    assert member is not None
    member.ready = True
    return member


def loaded(crew: Crew, requests: int) -> None:
    """Gives out so many requests as a transport does."""
    for number in range(requests):
        if (new := crew.join(number + 1)) is not None:
            new.ready = True
        member = crew.least()
        assert member is not None
        crew.took(member)


def test_nobody_is_there_before_there_is_work() -> None:
    crew = Crew(3)
    assert (crew.join(0), crew.least()) == (None, None)
    assert crew.join(1) is not None


def test_a_member_gets_nothing_before_it_is_ready() -> None:
    crew = Crew(3)
    member = crew.join(1)
    assert member is not None
    assert crew.least() is None
    member.ready = True
    assert crew.least() is member


def test_as_many_start_at_once_as_there_is_work_for() -> None:
    crew = Crew(3)
    assert crew.join(FULL) is not None
    assert crew.join(FULL) is None
    assert crew.join(2 * FULL + 1) is not None
    assert crew.join(2 * FULL + 1) is not None
    assert crew.join(9 * FULL) is None, "three are all"


def test_no_more_than_the_most_and_work_is_shared_evenly() -> None:
    crew = Crew(3)
    loaded(crew, 99)
    assert [member.out for member in crew.members] == [33, 33, 33]


def test_who_brings_back_gets_the_next() -> None:
    crew = Crew(2)
    loaded(crew, 20)
    second = crew.members[1]
    crew.gave(second)
    assert crew.least() is second


def test_one_that_ended_gets_no_more_and_is_replaced_under_a_new_number() -> None:
    crew = Crew(1)
    first = joined(crew)
    crew.took(first)
    assert crew.lost(first, "killed") == (
        "a worker ended (killed): 1 requests that it had may have been paid; others go on with its work"
    )
    assert crew.least() is None
    assert joined(crew).number == 2


def test_member_after_member_without_a_reply_is_the_end() -> None:
    crew = Crew(1)
    said = ""
    for number in range(FRUITLESS):
        assert not crew.over, number
        said = crew.lost(joined(crew), "exit code 1")
    assert crew.over
    assert crew.join(99) is None
    assert (
        said == f"a worker ended (exit code 1): it had no request; {FRUITLESS} have ended one after the other without a reply"
    )


def test_any_number_may_be_killed_at_once_that_had_brought_something() -> None:
    crew = Crew(3 * FRUITLESS)
    loaded(crew, 99)
    for member in [*crew.members]:
        crew.gave(member)
    for member in [*crew.members]:
        crew.lost(member, "killed")
    assert not crew.over


def test_a_reply_of_another_in_between_is_a_new_beginning() -> None:
    crew = Crew(2)
    good = joined(crew)
    for _ in range(3 * FRUITLESS):
        bad = crew.join(99)
        assert bad is not None
        crew.took(good)
        crew.gave(good)
        crew.lost(bad, "killed")
    assert not crew.over


@pytest.mark.parametrize(("latency_s", "repeats"), [(0.5, 5), (31.0, 1)])
def test_what_a_member_took_with_it_may_be_paid_and_says_nothing_of_the_service(latency_s: float, repeats: int) -> None:
    verdict = broken(lost_with_it("killed", latency_s))
    assert (verdict.billed, verdict.status, verdict.at_most) == (True, Status.IN_DOUBT, repeats)
    assert verdict.concerns is Concerns.SENDER
    assert verdict.retry is not None


def test_when_nobody_is_left_the_run_ends_and_the_row_was_never_sent() -> None:
    verdict = broken(nobody_left("killed"))
    assert (verdict.billed, verdict.status, verdict.retry, verdict.stop) == (False, Status.PENDING, None, WorkersLost)
    assert WorkersLost.exit_code == 69


@pytest.mark.parametrize(("cores", "members"), [(1, 0), (2, 2), (3, 3), (64, 3)])
def test_no_more_are_useful_than_there_are_cores_and_one_process_can_feed(cores: int, members: int) -> None:
    assert useful(cores) == members


@pytest.mark.parametrize(
    ("cpu_s", "wall_s", "busy"), [(7.0, 10.0, True), (6.9, 10.0, False), (14.0, 10.0, True), (0.0, 0.0, False)]
)
def test_a_process_is_busy_that_uses_most_of_a_core(cpu_s: float, wall_s: float, busy: bool) -> None:
    assert is_busy(cpu_s, wall_s) is busy


@pytest.mark.parametrize(
    ("concurrency", "per_minute", "cores", "processes"),
    [(64, None, 8, 1), (1000, None, 8, 2), (1000, None, 1, 1), (4000, None, 4, 4), (4000, 600, 8, 1), (4000, 60_000, 8, 2)],
)
def test_as_many_are_enough_as_limits_let_send(concurrency: int, per_minute: int | None, cores: int, processes: int) -> None:
    assert enough(concurrency, per_minute, cores=cores) == processes
