from __future__ import annotations

from pipeline.show.pace import Left
from pipeline.show.standing import Budget, Last, Standing, status_text


def test_the_status_of_a_live_run() -> None:
    standing = Standing(
        name="reviews",
        live=True,
        since=1_795_395_600.0,
        rows=10_000,
        statuses={"ok": 1_190, "failed": 10, "refused": 0, "pending": 8_800},
        cost_usd=0.123,
        rows_per_second=40.0,
        left=Left(200.0, 290.0),
        batches=("msgbatch_1: 900 requests",),
        log=("01:00:30 to be sent again", "01:00:31 writing out.parquet"),
    )
    assert (
        status_text(standing)
        == """\
run      reviews, running since 2026-11-23 01:00:00 UTC
rows     1,200 of 10,000 ended (12.0%)
             8,800 pending
             1,190 ok
                10 failed
spend    $0.12
rate     40.0 rows/s, 3 to 5 min left
batches  msgbatch_1: 900 requests
log      01:00:30 to be sent again
         01:00:31 writing out.parquet"""
    )


def test_the_status_of_a_run_that_ended() -> None:
    standing = Standing(
        name="reviews",
        live=False,
        since=1_795_395_600.0,
        rows=2,
        statuses={"ok": 2},
        cost_usd=None,
        last=Last(205, 192.3, 1.5),
        reason="every row has an answer",
    )
    assert (
        status_text(standing)
        == """\
run      reviews, not running since 2026-11-23 01:00:00 UTC
rows     2 of 2 ended (100.0%)
                 2 ok
spend    unknown (a model without a price)
last     205 requests in 3 min 12 s, 1.5 rows/s
reason   every row has an answer"""
    )


def test_the_status_of_a_run_with_a_budget() -> None:
    standing = Standing(name="r", live=False, since=None, rows=None, statuses={}, cost_usd=0.3, budget=Budget(0.4788, 0.0, 0.5))
    assert status_text(standing).endswith("spend    $0.30\nbudget   $0.48 of $0.50 gone since the last run that finished")


def test_the_status_of_a_run_that_never_was() -> None:
    standing = Standing(name="reviews", live=False, since=None, rows=None, statuses={}, cost_usd=0.0)
    assert status_text(standing) == "run      reviews, never run\nrows     0 ended\nspend    $0.00"


def test_a_run_that_hears_nothing_says_so_instead_of_a_rate() -> None:
    standing = Standing(name="r", live=True, since=None, rows=9, statuses={}, cost_usd=0.0, rows_per_second=9.0, silent_s=321.0)
    assert status_text(standing).endswith("rate     no reply for 5 min 21 s")


def test_what_batches_hold_of_a_budget_stands_beneath_it() -> None:
    standing = Standing(name="r", live=False, since=None, rows=None, statuses={}, cost_usd=0.3, budget=Budget(0.3, 0.154, 0.5))
    assert status_text(standing).endswith(
        "budget   $0.30 of $0.50 gone since the last run that finished\n"
        "         $0.15 held for batches that are out, at their worst"
    )
