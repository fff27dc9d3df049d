"""Lines of log.jsonl as a person reads them."""

from __future__ import annotations

import io
import json
import logging

import pytest

from pipeline.events import Event, InDoubt, Notice, Planned, Publishing, Retrying, RowEnded, Stopping
from pipeline.records import Outcome, Status
from pipeline.show.log import Logged, stream_handler
from pipeline.show.recent import recent


def line(at: str, event: str, **fields: object) -> str:
    return json.dumps({"time": f"2026-11-26T{at}.123Z", "level": "info", "event": event, **fields})


def test_lines_that_say_the_same_are_one_with_their_number() -> None:
    overloaded = "HTTP 529 overloaded_error: Overloaded"
    told = recent(
        [
            line("01:00:00", "planned", rows=20),
            line("01:00:01", "retrying", key="a", attempt=1, wait_s=0.5, error=overloaded),
            line("01:00:02", "notice", text="the service is back"),
            line("01:00:03", "retrying", key="b", attempt=2, wait_s=0.9, error=overloaded),
            line("01:00:04", "in_doubt", key="c"),
        ]
    )
    assert told == [
        "01:00:00 began, 20 rows",
        "01:00:02 the service is back",
        f"01:00:03 to be sent again: {overloaded} (2 times since 01:00:01, last row b)",
        "01:00:04 sent again, and perhaps paid twice (row c)",
    ]


def test_what_is_no_line_of_ours_is_passed_over() -> None:
    whole = line("01:00:00", "notice", text="whole")
    assert recent([whole[9:], "", "[]", "{}", "[" * 100_000, whole]) == ["01:00:00 whole"]


def test_only_the_latest_are_told() -> None:
    assert len(recent([line("01:00:00", "notice", text=str(number)) for number in range(9)], 3)) == 3


def test_nothing_of_it_acts_on_a_terminal() -> None:
    evil = "\x1b]0;owned\x07\u202e"
    for told in recent([line("01:00:00", evil, level=evil), line(evil, "retrying", key=evil, error=evil)]):
        assert not {"\x1b", "\x07", "\u202e"} & set(told)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (Planned(3), "began, 3 rows"),
        (Publishing("out.csv"), "writing out.csv"),
        (Notice("prices are old"), "prices are old"),
        (Stopping("SIGTERM"), "stopping: SIGTERM"),
        (Retrying("k", 1, 2.5, "HTTP 529"), "to be sent again: HTTP 529 (row k)"),
        (InDoubt("k"), "sent again, and perhaps paid twice (row k)"),
        (RowEnded("k", Outcome(0, Status.REFUSED, "no")), "no answer: refused (row k)"),
        (RowEnded("k", Outcome(0, Status.FAILED, "HTTP 500")), "no answer: failed: HTTP 500 (row k)"),
    ],
)
def test_each_event_as_it_is_logged_has_its_words(event: Event, told: str) -> None:
    stream, logger = io.StringIO(), logging.getLogger("tests.show.recent")
    logger.propagate, handler = False, stream_handler(stream, "json")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    Logged(logger)(event)
    logger.removeHandler(handler)
    (found,) = recent(stream.getvalue().splitlines())
    assert found[9:] == told


def test_a_library_that_logs_is_heard() -> None:
    assert recent([line("01:00:00", "log", level="warning", logger="lib", message="odd")]) == ["01:00:00 warning: odd"]
