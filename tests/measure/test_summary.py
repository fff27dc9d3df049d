from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigInvalid
from pipeline.measure.summary import Summary, Tally, within
from pipeline.records import Outcome, Status, Usage


def summed(tally: Tally, requests: int = 0, seconds: float = 2.0) -> Summary:
    return tally.summary(
        requests=requests, started_at=1_795_395_600.0, ended_at=1_795_395_600.0 + seconds, exit_code=0, reason="done"
    )


def test_summary_json_is_the_documented_object_on_one_line() -> None:
    tally = Tally()
    tally.ended(
        Outcome(
            position=0,
            status=Status.OK,
            asks=2,
            attempts=5,
        )
    )
    tally.asked_again()
    tally.bought(Usage(60, 10, 30, 4, 0, 0), 0.125)
    tally.bought(Usage(40, 10, 0, 0, 6, 0), 0.125)
    tally.doubt(1)
    tally.doubt(2)
    tally.stands(Status.OK, reused=False)
    tally.stands(Status.OK, reused=True, rows=2)
    tally.stands(Status.PENDING, reused=False, rows=3)
    text = summed(tally, requests=7).json()
    assert "\n" not in text
    assert list(json.loads(text).items()) == [
        ("rows", 6),
        ("ok", 3),
        ("ok_repaired", 0),
        ("invalid_output", 0),
        ("truncated", 0),
        ("refused", 0),
        ("input_error", 0),
        ("request_error", 0),
        ("failed", 0),
        ("in_doubt", 0),
        ("pending", 3),
        ("reused", 2),
        ("requests", 7),
        ("retries", 3),
        ("asks_again", 1),
        ("possible_double_charges", 3),
        ("input_tokens", 100),
        ("output_tokens", 20),
        ("cache_read_tokens", 30),
        ("cache_write_tokens", 10),
        ("cost_usd", 0.25),
        ("seconds", 2.0),
        ("rows_per_second", 0.5),
        ("started_at", "2026-11-23T01:00:00Z"),
        ("ended_at", "2026-11-23T01:00:02Z"),
        ("exit_code", 0),
        ("reason", "done"),
    ]


def test_a_reason_from_hostile_data_is_still_one_line_of_json() -> None:
    text = Tally().summary(requests=0, started_at=0, ended_at=0, exit_code=1, reason='\ud800\n"\x1b\u2028').json()
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["reason"] == '\ud800\n"\x1b\u2028'


def test_cost_is_unknown_once_a_paid_reply_has_no_price() -> None:
    tally = Tally()
    for cost_usd in (1.0, None, 1.0):
        tally.bought(Usage(), cost_usd)
    assert summed(tally).cost_usd is None


def test_cost_carries_no_rounding_dust() -> None:
    tally = Tally()
    for _ in range(10):
        tally.bought(Usage(), 0.1)
    assert summed(tally).cost_usd == 1.0


def test_a_reused_answer_costs_nothing_and_asks_nothing() -> None:
    tally = Tally()
    tally.ended(Outcome(0, Status.OK, asks=2, attempts=0, reused=True, cost_usd=None))
    summary = summed(tally)
    assert (summary.asks_again, summary.retries, summary.cost_usd, summary.rows_per_second) == (0, 0, 0.0, 0.5)


def test_a_clock_set_back_gives_no_negative_time() -> None:
    tally = Tally()
    tally.ended(Outcome(0, Status.OK))
    summary = summed(tally, seconds=-60.0)
    assert (summary.seconds, summary.rows_per_second) == (0.0, 0.0)


def test_recount_forgets_the_table_but_not_what_was_paid() -> None:
    tally = Tally()
    tally.bought(Usage(), 0.5)
    tally.stands(Status.OK, reused=True)
    tally.recount()
    tally.stands(Status.PENDING, reused=False)
    summary = summed(tally)
    assert (summary.rows, summary.ok, summary.reused, summary.pending, summary.cost_usd) == (1, 0, 0, 1, 0.5)


@given(st.lists(st.tuples(st.sampled_from(Status), st.booleans())))
def test_statuses_add_up_to_the_rows(standing: list[tuple[Status, bool]]) -> None:
    tally = Tally()
    for status, reused in standing:
        tally.stands(status, reused)
    summary = summed(tally)
    assert summary.rows == len(standing) == sum(getattr(summary, status.value) for status in Status)
    assert summary.unanswered == sum(not status.answered for status, _ in standing)


@pytest.mark.parametrize(
    ("max_failed", "failed_rows", "rows", "fine"),
    [
        (0, 0, 100, True),
        (0, 1, 100, False),
        (3, 3, 100, True),
        (3, 4, 100, False),
        ("1%", 1, 100, True),
        ("1%", 1, 150, True),
        ("1%", 2, 150, False),
        ("1%", 1, 99, False),
        (" 0.5 %", 1, 200, True),
        ("0.1%", 1, 1000, True),
        ("0%", 0, 0, True),
        ("100%", 7, 7, True),
    ],
)
def test_failures_within_what_the_config_allows(max_failed: int | str, failed_rows: int, rows: int, fine: bool) -> None:
    assert within(max_failed, failed_rows, rows) is fine


@given(st.integers(0, 10_000), st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_share_is_exact(hundredths: int, failed_rows: int, rows: int) -> None:
    share = f"{hundredths // 100}.{hundredths % 100:02}%"
    assert within(share, failed_rows, rows) is (failed_rows <= Fraction(hundredths, 10_000) * rows)


@pytest.mark.parametrize("share", ["", "%", "one%", "0.5", "-1%", "101%", "nan%", "snan%", "inf%"])
def test_what_is_no_share_is_refused_by_name(share: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"run\.max_failed"):
        within(share, 0, 1)
