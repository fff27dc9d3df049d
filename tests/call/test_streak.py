"""Which failures are held back, for how long, and when they stop a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.call.classify import Verdict
from pipeline.call.conditions import Concerns
from pipeline.call.streak import FEW, WINDOW, Streak
from pipeline.errors import ConfigInvalid, PipelineError, ServiceDown
from pipeline.records import Failure, Status
from tests.call.fakes import prompt

REFUSED = Verdict("bad_request", "no", Concerns.ROW, None, Status.REQUEST_ERROR, ends=ConfigInvalid, plain=True)
TOO_LARGE = Verdict("too_large", "32 MB", Concerns.ROW, None, Status.INPUT_ERROR, ends=ConfigInvalid)
AWAY = Verdict("server_error", "500", Concerns.SERVICE, None, Status.FAILED, ends=ServiceDown)


class Rows:
    """Rows that end one after the other."""

    def __init__(self, *, most: int | None = 20, proven: bool = True) -> None:
        self.streak = Streak(most, proven)
        self.number = 0
        self.given: list[int] = []

    def fail(self, verdict: Verdict = REFUSED, *, words: str = "no", times: int = 1) -> PipelineError | None:
        error = None
        for _ in range(times):
            self.number += 1
            failure = Failure(verdict.status, words, None, 1)
            error = self.streak.failed(prompt("x", self.number), failure, verdict, self.number)
            self.take()
        return error

    def succeed(self, times: int = 1) -> None:
        for _ in range(times):
            self.number += 1
            self.streak.answered(self.number)
            self.take()

    def take(self) -> None:
        self.given += [prompt.position for prompt, _ in self.streak.released()]


@pytest.mark.parametrize(("verdict", "error"), [(REFUSED, ConfigInvalid), (TOO_LARGE, ConfigInvalid), (AWAY, ServiceDown)])
def test_so_many_in_a_row_stop_the_run_and_none_was_given(verdict: Verdict, error: type[PipelineError]) -> None:
    rows = Rows()
    rows.succeed(50)
    assert rows.fail(verdict, times=19) is None
    assert type(rows.fail(verdict)) is error
    assert rows.given == []
    taken_back = rows.streak.taken_back()
    assert [prompt.position for prompt, _ in taken_back] == list(range(51, 71))
    assert {failure.status for _, failure in taken_back} == {Status.PENDING}


def test_a_success_or_another_trouble_breaks_the_row() -> None:
    rows = Rows()
    for _ in range(5):
        assert rows.fail(times=19) is None
        rows.succeed(times=20)
    for _ in range(5):
        assert rows.fail(times=10) is None
        assert rows.fail(TOO_LARGE, times=10) is None


def test_a_success_that_left_before_the_first_refusal_breaks_nothing() -> None:
    rows = Rows()
    rows.succeed(50)
    rows.fail(times=19)
    rows.streak.answered(40)
    assert rows.fail() is not None


def test_a_few_bad_rows_of_many_that_are_out_together_are_no_row_of_failures() -> None:
    """Of 1,000 at once, 50 bad ones come back before any answer does; then a parameter is refused from one request on."""
    streak = Streak(20, proven=True)
    failure = Failure(Status.REQUEST_ERROR, "no", None, 1)
    for request in range(20, 1001, 20):
        assert streak.failed(prompt("x", request), failure, REFUSED, request) is None
    for request in range(1, 1001):
        streak.answered(request)
        streak.released()
    stopped = [streak.failed(prompt("x", request), failure, REFUSED, request) for request in range(1001, 1021)]
    assert [error is not None for error in stopped] == [False] * 19 + [True]


def test_successes_that_left_before_a_refusal_do_not_give_it() -> None:
    """Refusals come at once, and overtake many answers that are still on their way."""
    rows = Rows()
    rows.number = 100
    rows.fail()
    for request in range(1, 100):
        rows.streak.answered(request)
        rows.take()
    assert rows.given == []
    rows.succeed(FEW + 1)
    assert rows.given == [101]


def test_a_failure_is_given_when_enough_went_well_after_it() -> None:
    rows = Rows()
    rows.fail()
    rows.succeed(FEW)
    assert rows.given == []
    rows.succeed()
    assert rows.given == [1]


def test_most_of_the_last_hundred_stop_the_run_and_all_of_them_are_taken_back() -> None:
    rows = Rows()
    error = None
    while error is None:
        rows.succeed()
        error = rows.fail(times=9) or rows.fail()
        assert rows.number < 300
    assert rows.given == []
    assert rows.number <= WINDOW + 10


def test_no_more_is_held_than_the_window() -> None:
    rows = Rows(most=1000)
    for number in range(400):
        rows.fail(REFUSED if number % 2 else TOO_LARGE)
    assert len(rows.streak.all()) == WINDOW
    assert rows.given == list(range(1, 301))


@pytest.mark.parametrize(
    ("proven", "words", "stops"), [(False, ["no"] * 3, True), (True, ["no"] * 3, False), (False, ["a", "b", "c"], False)]
)
def test_canaries_told_the_very_same_stop_the_run_unless_it_worked_before(proven: bool, words: list[str], stops: bool) -> None:
    rows = Rows(proven=proven)
    errors = [rows.fail(words=said) for said in words]
    assert (errors[-1] is not None) is stops
    assert errors[:-1] == [None, None]


def test_a_condition_that_can_only_be_the_rows_is_no_canarys_warning() -> None:
    assert Rows(proven=False).fail(TOO_LARGE, times=5) is None


def test_nothing_is_held_where_any_number_may_fail() -> None:
    rows = Rows(most=None, proven=False)
    assert rows.fail(times=100) is None
    assert rows.given == list(range(1, 101))


def test_the_pieces_of_one_text_are_one_row() -> None:
    streak = Streak(20, proven=False)
    pieces = [replace(prompt("x", 5), piece=number) for number in range(1, 40)]
    failure = Failure(Status.REQUEST_ERROR, "no", None, 1)
    assert [streak.failed(piece, failure, REFUSED, number) for number, piece in enumerate(pieces)] == [None] * 39
    assert [streak.failed(prompt("y", 6), failure, REFUSED, 40)] == [None]
    assert streak.failed(prompt("z", 7), failure, REFUSED, 41) is not None, "three rows in one voice"
    assert len(streak.all()) == 41
    away = Streak(20, proven=True)
    ends = [away.failed(piece, failure, AWAY, number) for number, piece in enumerate(pieces[:20])]
    assert isinstance(ends[-1], ServiceDown), "what the service fails is no row's"


@pytest.mark.parametrize("pieces", [2, 40])
def test_rows_in_pieces_that_fail_alike_stop_the_run_and_none_was_given(pieces: int) -> None:
    streak = Streak(20, proven=True)
    failure = Failure(Status.REQUEST_ERROR, "no", None, 1)
    given: list[tuple[int, int]] = []
    error, request = None, 0
    for position in range(20):
        for piece in range(1, pieces + 1):
            request += 1
            asked = replace(prompt("x", position), piece=piece)
            error = error or streak.failed(asked, failure, REFUSED, request)
            given += [(one.position, one.piece) for one, _ in streak.released()]
    assert isinstance(error, ConfigInvalid)
    assert "the last 20 rows were refused alike" in str(error)
    assert [piece for _, piece in given].count(1) == 0, "without its first piece no row has an end"
    assert [(one.piece, told.status) for one, told in streak.taken_back()] == [(1, Status.PENDING)] * 20
