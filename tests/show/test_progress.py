from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from pipeline.events import (
    AskedAgain,
    AtService,
    Event,
    InDoubt,
    InFlight,
    Kept,
    Notice,
    Planned,
    Publishing,
    Retrying,
    RowEnded,
    Spending,
    Stopping,
)
from pipeline.records import Outcome, Status, Usage
from pipeline.show.progress import Progress


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same terminal on every machine."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A terminal that was hung up."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def ended(position: int, status: Status = Status.OK, cost_usd: float | None = 0.001, error: str | None = None) -> RowEnded:
    return RowEnded(f"row-{position}", Outcome(position, status, error, cost_usd=cost_usd))


def some_rows() -> Iterator[Event]:
    yield Kept(200)
    yield from (ended(position) for position in range(997))
    yield ended(997, Status.REFUSED)
    yield ended(998, Status.FAILED, error="overloaded")
    yield ended(999, Status.PENDING)
    yield AskedAgain("row-5", 2, "not this")
    yield InDoubt("row-6")
    yield Retrying("row-7", 1, 2.0, "timeout", billed=True)
    yield InDoubt("row-7")
    yield InFlight(37, 64)


def drawn(progress: Progress, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(progress.drawn())
    return capture.get()


def halfway(progress: Progress, clock: Clock) -> None:
    """Ten rows a second for 20 s, after those of `some_rows`."""
    progress(Planned(10_000))
    for event in some_rows():
        progress(event)
    for position in range(200):
        if position % 10 == 0:
            clock.now_s += 1
            progress.line()
        progress(ended(2_000 + position))


def test_the_bar_at_80_columns() -> None:
    clock = Clock()
    progress = Progress(Screen(), clock=clock, width=80)
    halfway(progress, clock)
    progress(Spending(1.1, 0.1, 50.0))
    assert drawn(progress) == (
        "1,399/10,000 rows  ━━━━━                                 14.0%  2 to 17 min left\n"
        "speed    60.0 rows/s (mean 60.0), 37 of 64 in flight\n"
        "spend    $1.20 of $50.00\n"
        "rows     2 without an answer, 1 asked again, 2 perhaps paid twice\n"
        "error    row row-7: attempt 1 failed, next in 2 s: timeout\n"
    )


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_of_the_bar_is_longer_than_the_terminal_is_wide(width: int) -> None:
    clock = Clock()
    progress = Progress(Screen(), clock=clock, width=width)
    halfway(progress, clock)
    progress(RowEnded("漢字" * 200, Outcome(0, Status.FAILED, "字\x1b[2J" * 200)))
    progress(AtService(12, 1_000_000, 7_200.0))
    lines = drawn(progress, width).splitlines()
    assert len(lines) == 6
    assert max(map(cell_len, lines)) <= width


def test_the_cache_is_told_where_it_is_used() -> None:
    progress = Progress(io.StringIO(), clock=Clock())
    progress(Planned(4))
    progress(RowEnded("a", Outcome(0, Status.OK, usage=Usage(input_tokens=100, cache_write_5m_tokens=400))))
    assert "spend $0.00, 0.0% of input from the cache" in progress.line()
    progress(RowEnded("b", Outcome(1, Status.OK, usage=Usage(input_tokens=100, cache_read_tokens=400))))
    assert "40.0% of input from the cache" in progress.line()


def test_batches_at_the_service_are_told_and_no_end_is_promised() -> None:
    clock = Clock()
    progress = Progress(io.StringIO(), clock=clock)
    halfway(progress, clock)
    progress(InFlight(0, 64))
    progress(AtService(3, 250_000, 725.0))
    assert progress.line().startswith(
        "1,399/10,000 rows (14.0%), 250,000 requests in 3 batches at the service, the oldest sent 12 min 05 s ago, spend"
    )
    assert "left" not in progress.line()
    progress(AtService(0, 0, 0.0))
    assert "min left" in progress.line()


def test_before_the_input_is_read_there_is_no_bar() -> None:
    assert drawn(Progress(Screen(), clock=Clock(), width=80)) == "reading the input …\n"


def test_on_a_terminal_the_last_frame_stays_and_the_cursor_comes_back() -> None:
    clock, screen = Clock(), Screen()
    with Progress(screen, clock=clock, width=80) as progress:
        progress(Planned(2))
        progress(Notice("priced as of 2026-11-01"))
        clock.now_s += 2
        progress(ended(0))
        progress(ended(1))
    shown = screen.getvalue()
    assert "priced as of 2026-11-01\n" in shown
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.rsplit("\x1b[2K", 1)[-1])
    assert [line.rstrip() for line in last.splitlines()] == [
        "2/2 rows  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  100.0%",
        "speed    1.0 rows/s (mean 1.0), 0 of 0 in flight",
        "spend    $0.0020",
        "rows     0 without an answer, 0 asked again",
    ]
    assert shown.endswith("\x1b[?25h")


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen()
    with Progress(screen, clock=Clock(), width=80) as progress:
        progress(Planned(2))
        progress(ended(0))
    assert not re.search(r"\x1b\[[0-9;]*[34][0-9]m", screen.getvalue())


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen()
    with Progress(screen, clock=Clock(), width=80) as progress:
        progress(Planned(2))
    assert screen.getvalue() == "2 rows\n0/2 rows (0.0%), 0 of 0 in flight, spend $0.00, 0 without an answer, 0 asked again\n"


def test_stdout_is_not_ours(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(Screen(), clock=Clock(), width=80):
        sys.stdout.write("{}\n")
    assert capsys.readouterr().out == "{}\n"


def test_elsewhere_a_line_every_half_minute_and_one_at_each_end() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(stream, clock=clock, width=80) as progress:
        progress.tick()
        progress(Planned(10_000))
        for event in some_rows():
            progress(event)
        for _ in range(65):  # nothing ends for a while
            clock.now_s += 1
            progress.tick()
        progress(Stopping("SIGTERM"))
        progress(Publishing("out/reviews.parquet"))
    figures = "37 of 64 in flight, spend $1.00, 2 without an answer, 1 asked again, 2 perhaps paid twice"
    assert stream.getvalue().splitlines() == [
        "10,000 rows",
        f"1,199/10,000 rows (12.0%), 33.3 rows/s (mean 33.3), {figures}; last error: row row-7: attempt 1 failed, next in 2 s: "
        "timeout",
        f"1,199/10,000 rows (12.0%), 16.6 rows/s (mean 16.6), {figures}",
        "stopping: SIGTERM",
        "writing out/reviews.parquet",
        f"1,199/10,000 rows (12.0%), 0.0 rows/s (mean 15.4), {figures}, stopping",
    ]


def test_the_first_line_tells_the_time_left() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(stream, clock=clock, width=80) as progress:
        progress(Planned(3_000))
        for position in range(300):
            progress(ended(position))
            if position % 10 == 9:
                clock.now_s += 1
                progress.tick()
    assert stream.getvalue().splitlines()[1].endswith("asked again, 3 to 6 min left")


def test_a_line_quotes_no_document_and_the_bar_may() -> None:
    progress = Progress(io.StringIO(), clock=Clock(), width=80)
    progress(Planned(10))
    progress(ended(0, Status.INVALID_OUTPUT, error="/label: 'SECRET' is not one of"))
    assert progress.line().endswith("; last error: row row-0: invalid_output")
    assert "error    row row-0: invalid_output: /label: 'SECRET' is not one of" in drawn(progress)


def test_a_line_says_why_nothing_moves() -> None:
    stream = io.StringIO()
    with Progress(stream, clock=Clock(), width=80) as progress:
        progress(Planned(10))
        progress(Retrying("r0", 3, 30.0, "HTTP 529 overloaded_error"))
    assert (
        stream.getvalue()
        .splitlines()[-1]
        .endswith("asked again; last error: row r0: attempt 3 failed, next in 30 s: HTTP 529 overloaded_error")
    )


def test_the_rate_is_that_of_the_last_minute() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(stream, clock=clock, width=80)
    progress(Planned(2_000))
    for position in range(1_000):
        progress(ended(position))
    for second in range(120):
        clock.now_s += 1
        progress(ended(1_000 + second))
        progress.tick()
    assert "1,120/2,000 rows (56.0%), 1.0 rows/s (mean 9.3)" in progress.line()


def test_an_unknown_price_makes_the_spend_unknown() -> None:
    progress = Progress(io.StringIO(), clock=Clock())
    progress(Planned(2))
    progress(ended(0, cost_usd=None))
    progress(ended(1))
    assert "spend ?" in progress.line()


def test_lines_can_go_to_a_log_instead() -> None:
    stream, said = Screen(), list[str]()
    with Progress(stream, clock=Clock(), say=said.append) as progress:
        progress(Planned(1))
    assert said == ["1 rows", "0/1 rows (0.0%), 0 of 0 in flight, spend $0.00, 0 without an answer, 0 asked again"]
    assert stream.getvalue() == ""


@pytest.mark.parametrize("stream", [Screen(), io.StringIO()])
def test_quiet_says_nothing(stream: io.StringIO) -> None:
    clock = Clock()
    with Progress(stream, clock=clock, quiet=True) as progress:
        progress(Planned(10))
        progress(Notice("hush"))
        clock.now_s += 60
        progress.tick()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("live", [True, False])
def test_nothing_from_data_acts_on_the_terminal(live: bool) -> None:
    screen = Screen() if live else io.StringIO()
    hostile = "\x1b]0;owned\x07\r\n\u202e[red]"
    with Progress(screen, clock=Clock(), width=300) as progress:
        progress(Planned(1))
        for event in (Notice(hostile), Stopping(hostile), Publishing(hostile)):
            progress(event)
        progress(RowEnded(hostile, Outcome(0, Status.FAILED, hostile)))
    shown = screen.getvalue()
    assert r"\x1b]0;owned\x07\r\n\u202e[red]" in shown
    assert not {"\x1b]", "\x07", "\u202e"} & {shown[at : at + size] for size in (1, 2) for at in range(len(shown))}


@pytest.mark.parametrize("live", [True, False])
def test_a_terminal_that_was_hung_up_does_not_end_the_run(live: bool) -> None:
    with Progress(Gone(), clock=Clock(), width=80, live=live) as progress:
        progress(Planned(1))
        progress(Notice("is anybody there?"))


def test_a_stream_of_another_encoding_is_no_error() -> None:
    written = io.BytesIO()
    stream: TextIO = io.TextIOWrapper(written, encoding="ascii", write_through=True)
    with Progress(stream, clock=Clock(), width=80) as progress:
        progress(Planned(1))
        progress(Notice("prix: 3 €"))
    assert b"prix: 3 \\u20ac\n" in written.getvalue()
