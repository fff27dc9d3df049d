"""Where a batch stands at which time, and the files its requests and results are in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.local.batch import CANCELING_S, Batch, Requests
from pipeline.local.spool import BUFFERED, Spool
from pipeline.local.submission import Submitted

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
DAY_S = 24 * 3600.0


def batch(size: int = 10, takes_s: float = 100.0, *, is_stuck: bool = False, luck: int = 1) -> Batch:
    """Created at 1,000 seconds."""
    requests = Requests()
    for number in range(size):
        requests.add(Submitted(f"r{number}", b'{"n":%d}' % number))
    return Batch("msgbatch_1", b"key", "2026-10-21", requests, START, 1_000.0, takes_s, luck, is_stuck=is_stuck)


def worked(made: Batch, now: float) -> None:
    """All that is due by then is answered."""
    while made.made < made.due(now):
        made.put("succeeded", b"%d\n" % made.made)


@pytest.mark.parametrize(("elapsed_s", "due"), [(0, 0), (9.9, 0), (10, 1), (55, 5), (99.9, 9), (100, 10), (1_000, 10)])
def test_requests_are_due_evenly(elapsed_s: float, due: int) -> None:
    assert batch().due(1_000 + elapsed_s) == due


def test_one_that_takes_no_time_is_due_at_once() -> None:
    assert batch(takes_s=0).due(1_000) == 10


def test_it_is_over_once_all_is_answered() -> None:
    made = batch()
    worked(made, 1_099)
    assert not made.is_over(1_099)
    worked(made, 1_100)
    assert made.is_over(1_100)


def test_after_24_hours_the_rest_expires() -> None:
    made = batch(takes_s=2 * DAY_S)
    worked(made, 1_000 + 3 * DAY_S)
    assert (made.made, made.is_over(1_000 + DAY_S - 1), made.is_over(1_000 + DAY_S)) == (5, False, True)
    assert made.unanswered == "expired"


def test_one_that_is_stuck_expires_whole() -> None:
    made = batch(takes_s=0, is_stuck=True)
    assert (made.due(1_000 + DAY_S), made.is_over(1_000 + DAY_S)) == (0, True)
    assert made.next_s(1_000) == DAY_S


def test_after_a_cancel_little_more_is_answered() -> None:
    made = batch()
    made.cancel(1_049.9, START)
    made.cancel(1_090, START + timedelta(hours=1))
    assert (made.due(1_200), made.unanswered, made.status) == (5, "canceled", "canceling")
    assert (made.is_over(1_049.9), made.is_over(1_049.9 + CANCELING_S)) == (False, True)
    assert made.cancel_initiated_at == START


def test_it_waits_for_the_next_request_that_is_due() -> None:
    made = batch()
    assert made.next_s(1_003) == pytest.approx(7)
    worked(made, 1_010)
    assert made.next_s(1_010) == pytest.approx(10)


def test_requests_come_up_once_each_in_an_order_of_chance() -> None:
    def order(luck: int) -> list[bytes]:
        made = batch(50, luck=luck)
        found = []
        for _ in range(50):
            found.append(made.upcoming().params)
            made.put("succeeded", b"")
        return found

    assert sorted(order(1)) == sorted(b'{"n":%d}' % number for number in range(50))
    assert order(1) == order(1) != order(2)


def test_what_is_told_before_and_after_the_end() -> None:
    made = batch(3, takes_s=0)
    before = made.told("http://127.0.0.1:1/", START)
    worked(made, 1_000)
    assert made.told("http://127.0.0.1:1/", START) == before
    assert before["request_counts"] == {"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    made.end(START + timedelta(seconds=5))
    assert made.told("http://127.0.0.1:1/", START) == {
        "id": "msgbatch_1",
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": {"processing": 0, "succeeded": 3, "errored": 0, "canceled": 0, "expired": 0},
        "ended_at": "2026-11-23T08:00:05.000000Z",
        "created_at": "2026-11-23T08:00:00.000000Z",
        "expires_at": "2026-11-24T08:00:00.000000Z",
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": "http://127.0.0.1:1/v1/messages/batches/msgbatch_1/results",
    }


def test_results_go_after_29_days() -> None:
    made = batch(1, takes_s=0)
    worked(made, 1_000)
    made.end(START)
    assert made.archived_at(START + timedelta(days=29, seconds=-1)) is None
    told = made.told("", START + timedelta(days=30))
    assert (told["archived_at"], told["results_url"]) == ("2026-12-22T08:00:00.000000Z", None)


def test_lines_that_come_twice_stand_at_the_end() -> None:
    made = batch(3, takes_s=0)
    for copies, line in ((2, b"a\n"), (0, b"b\n"), (1, b"c\n")):
        made.put("succeeded", line, copies=copies)
    made.end(START)
    assert made.results.read(0, 100) == b"a\nc\na\n"
    assert (made.lines, made.counts) == (3, {"succeeded": 3})


def test_a_spool_gives_back_what_it_was_given_across_its_buffer() -> None:
    spool, piece = Spool(), bytes(range(256)) * 1_000
    starts = [spool.append(piece) for _ in range(10)]
    assert spool.size == 10 * len(piece) > BUFFERED
    assert all(spool.read(start, len(piece)) == piece for start in reversed(starts))
    assert spool.append(b"end") == 10 * len(piece)
    assert spool.read(10 * len(piece), 100) == b"end"
