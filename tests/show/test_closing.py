from __future__ import annotations

import io
from dataclasses import replace

from rich.cells import cell_len

from pipeline.show.closing import Closing, GoldColumn, closing_line, closing_text, show
from pipeline.show.text import console

REVIEWS = Closing(
    name="reviews",
    statuses={"ok": 198, "ok_repaired": 2, "invalid_output": 6, "truncated": 0, "input_error": 4},
    answers={"sentiment": {"neutral": 18, "positive": 92, "negative": 90}},
    reused=12,
    requests=205,
    input_tokens=123_456,
    output_tokens=6_789,
    cache_read_tokens=1_000,
    cache_write_tokens=0,
    cost_usd=0.00123,
    seconds=192.3,
    rows_per_second=1.09,
    agreement=(GoldColumn(property="sentiment", column="label", answered=200, agreeing=185, interval=(0.88, 0.954)),),
    path="out/reviews.parquet",
    notes=("smollm2-135m is a small model that runs here: it labels short texts by one enum and extracts poorly.",),
    next_command="pipeline report configs/reviews.yaml",
)


def test_the_closing_table_of_a_run() -> None:
    assert (
        closing_text(REVIEWS)
        == """\
reviews: 210 rows, 200 with an answer, 10 without

status                   rows   share
  ok                      198   94.3%
  invalid_output            6    2.9%
  input_error               4    1.9%
  ok_repaired               2    1.0%

sentiment                rows   share
  positive                 92   46.0%
  negative                 90   45.0%
  neutral                  18    9.0%

spend      $0.0012 for 205 requests
           12 rows took the answer of an identical request
tokens     123,456 in, 6,789 out, 1,000 read from cache
time       3 min 12 s, 1.1 rows/s
agreement  sentiment = label in 185 of 200 rows (92.5%, 95% interval 88.0% to
           95.4%)
note       smollm2-135m is a small model that runs here: it labels short texts
           by one enum and extracts poorly.
output     out/reviews.parquet
next       pipeline report configs/reviews.yaml"""
    )


def test_the_closing_table_as_printed_keeps_its_lines() -> None:
    stream = io.StringIO()
    path = "/a/very/long/path" * 10 + "/[bold]reviews.parquet"
    show(replace(REVIEWS, path=path), console(stream, width=60))
    assert stream.getvalue() == "\n" + closing_text(replace(REVIEWS, path=path), 60) + "\n"
    assert f"output     {path}\n" in stream.getvalue()


def test_the_closing_line_for_a_log() -> None:
    assert closing_line(replace(REVIEWS, statuses={"ok": 210}, cost_usd=None)) == (
        "reviews: 210 rows, each with an answer; 205 requests, spend unknown (a model without a price), 3 min 12 s; "
        "out/reviews.parquet"
    )


def test_rare_values_are_summed_up() -> None:
    shown = closing_text(replace(REVIEWS, answers={"code": {f"c{number:02}": 20 - number for number in range(12)}}))
    assert "  c09                      11    6.3%\n  (2 more)                 19   10.9%\n" in shown
    assert "c10" not in shown


def test_hostile_names_and_values_neither_break_the_lines_nor_reach_the_terminal() -> None:
    hostile = "\x1b[2J[red]x[/red]\n\u202e\ud800" + "日本" * 40
    closing = replace(
        REVIEWS,
        name=hostile,
        path=hostile,
        answers={hostile: {hostile: 3}},
        notes=(hostile,),
        statuses={"ok": 3},
        next_command=None,
    )
    shown = closing_text(closing)
    lines = shown.splitlines()
    assert len(lines) == len(
        closing_text(replace(closing, name="x", path="x", answers={"x": {"x": 3}}, notes=("x",))).splitlines()
    )
    assert not set(shown) & {"\x1b", "\u202e", "\ud800"}
    shares = [cell_len(line) for line in lines if line.endswith(("share", "100.0%"))]
    assert len(set(shares)) == 1


def test_an_empty_input_closes_too() -> None:
    assert closing_text(replace(REVIEWS, statuses={}, answers={}, agreement=(), notes=())).startswith(
        "reviews: 0 rows, each with an answer\n\nstatus"
    )
