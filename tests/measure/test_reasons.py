"""Errors that differ by row alone are one reason; the log's trouble is summed up."""

from __future__ import annotations

from pipeline.measure.reasons import FIRST, GROUPS, Reasons, Trouble, common
from pipeline.records import Status


def test_what_differs_by_row_is_left_out_of_a_reason() -> None:
    assert common('/score: 17.5 is no "label"\nmore') == "/score: … is no …"
    assert common("HTTP 529 overloaded, request 12") == "HTTP 529 overloaded, request …"
    assert len(common("x" * 1000)) == 160


def test_rows_are_gathered_under_reasons_and_kept_by_name_up_to_a_number() -> None:
    reasons = Reasons()
    for row in range(FIRST + 5):
        reasons.add(Status.INVALID_OUTPUT, f"{row} is no label", f"r{row}")
    reasons.add(Status.REFUSED, None, "q")
    first, second = reasons.results()
    assert (first.reason, first.rows, len(first.first)) == ("… is no label", FIRST + 5, FIRST)
    assert (second.status, second.reason, second.rows) == (Status.REFUSED, "", 1)


def test_reasons_without_end_do_not_grow() -> None:
    reasons = Reasons()
    for row in range(1000):
        reasons.add(Status.FAILED, "x" * row, "r")
    found = reasons.results()
    assert len(found) <= GROUPS + 1
    assert sum(reason.rows for reason in found) == 1000


def test_the_log_tells_of_retries_stops_and_notices() -> None:
    trouble = Trouble()
    for wait_s in (1.5, 2.5):
        trouble.add({"event": "retrying", "error": f"529 overloaded, req {wait_s}", "wait_s": wait_s})
    trouble.add({"time": "t", "event": "stopping", "why": "budget"})
    trouble.add({"time": "t", "event": "notice", "text": "hello"})
    trouble.add({"event": "left_out", "of": "retrying"})
    trouble.add({"event": "something new"})
    assert trouble.retries == {"… overloaded, req …": 2}
    assert (trouble.waited_s, trouble.stops, trouble.notices, trouble.cut) == (4.0, [("t", "budget")], [("t", "hello")], True)
