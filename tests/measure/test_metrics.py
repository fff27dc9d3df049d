"""The Prometheus text file of a run, whole, and by the rules of its format."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measure.metrics import metrics, succeeded_at
from pipeline.measure.summary import Summary

SUCCESS = Summary(
    rows=264, ok=260, ok_repaired=4, invalid_output=0, truncated=0, refused=0, input_error=0, request_error=0, failed=0,
    in_doubt=0, pending=0, reused=12, requests=255, retries=2, asks_again=1, possible_double_charges=1, input_tokens=20_000,
    output_tokens=3_000, cache_read_tokens=100_000, cache_write_tokens=500, cost_usd=0.0125, seconds=12.5,
    rows_per_second=21.12, started_at="2026-11-23T03:00:00Z", ended_at="2026-11-23T03:00:12Z", exit_code=0,
    reason="every row has an answer",
)  # fmt: skip
NEVER_BEGAN = replace(
    SUCCESS, rows=0, ok=0, ok_repaired=0, reused=0, requests=0, retries=0, asks_again=0, possible_double_charges=0,
    input_tokens=0, output_tokens=0, cache_read_tokens=0, cache_write_tokens=0, cost_usd=0.0, rows_per_second=0.0,
    exit_code=78, reason="the schema cannot be read",
)  # fmt: skip

WHOLE = """\
# Written by pipeline at the end of each run, for the textfile collector of node_exporter.
# HELP pipeline_rows Rows of the table as it stands, by status.
# TYPE pipeline_rows gauge
pipeline_rows{name="reviews",status="ok"} 260
pipeline_rows{name="reviews",status="ok_repaired"} 4
pipeline_rows{name="reviews",status="invalid_output"} 0
pipeline_rows{name="reviews",status="truncated"} 0
pipeline_rows{name="reviews",status="refused"} 0
pipeline_rows{name="reviews",status="input_error"} 0
pipeline_rows{name="reviews",status="request_error"} 0
pipeline_rows{name="reviews",status="failed"} 0
pipeline_rows{name="reviews",status="in_doubt"} 0
pipeline_rows{name="reviews",status="pending"} 0
# HELP pipeline_rows_reused Rows whose answer was paid elsewhere.
# TYPE pipeline_rows_reused gauge
pipeline_rows_reused{name="reviews"} 12
# HELP pipeline_run_tokens Tokens that the last run paid for, by kind.
# TYPE pipeline_run_tokens gauge
pipeline_run_tokens{name="reviews",kind="input"} 20000
pipeline_run_tokens{name="reviews",kind="output"} 3000
pipeline_run_tokens{name="reviews",kind="cache_read"} 100000
pipeline_run_tokens{name="reviews",kind="cache_write"} 500
# HELP pipeline_run_requests HTTP requests that the last run sent.
# TYPE pipeline_run_requests gauge
pipeline_run_requests{name="reviews"} 255
# HELP pipeline_run_retries Requests beyond the first of their question.
# TYPE pipeline_run_retries gauge
pipeline_run_retries{name="reviews"} 2
# HELP pipeline_run_possible_double_charges Requests sent again that may have been paid before.
# TYPE pipeline_run_possible_double_charges gauge
pipeline_run_possible_double_charges{name="reviews"} 1
# HELP pipeline_run_cost_usd What the last run spent, in US dollars.
# TYPE pipeline_run_cost_usd gauge
pipeline_run_cost_usd{name="reviews"} 0.0125
# HELP pipeline_run_duration_seconds How long the last run took.
# TYPE pipeline_run_duration_seconds gauge
pipeline_run_duration_seconds{name="reviews"} 12.5
# HELP pipeline_run_exit_code Exit code of the last run; 0: every row has an answer.
# TYPE pipeline_run_exit_code gauge
pipeline_run_exit_code{name="reviews"} 0
# HELP pipeline_run_start_timestamp_seconds When the last run started.
# TYPE pipeline_run_start_timestamp_seconds gauge
pipeline_run_start_timestamp_seconds{name="reviews"} 1795402800.0
# HELP pipeline_run_end_timestamp_seconds When the last run ended.
# TYPE pipeline_run_end_timestamp_seconds gauge
pipeline_run_end_timestamp_seconds{name="reviews"} 1795402812.0
# HELP pipeline_last_success_timestamp_seconds When a run last exited 0.
# TYPE pipeline_last_success_timestamp_seconds gauge
pipeline_last_success_timestamp_seconds{name="reviews"} 1795402812.0
"""

FAILED = """\
# Written by pipeline at the end of each run, for the textfile collector of node_exporter.
# HELP pipeline_run_tokens Tokens that the last run paid for, by kind.
# TYPE pipeline_run_tokens gauge
pipeline_run_tokens{name="reviews",kind="input"} 0
pipeline_run_tokens{name="reviews",kind="output"} 0
pipeline_run_tokens{name="reviews",kind="cache_read"} 0
pipeline_run_tokens{name="reviews",kind="cache_write"} 0
# HELP pipeline_run_requests HTTP requests that the last run sent.
# TYPE pipeline_run_requests gauge
pipeline_run_requests{name="reviews"} 0
# HELP pipeline_run_retries Requests beyond the first of their question.
# TYPE pipeline_run_retries gauge
pipeline_run_retries{name="reviews"} 0
# HELP pipeline_run_possible_double_charges Requests sent again that may have been paid before.
# TYPE pipeline_run_possible_double_charges gauge
pipeline_run_possible_double_charges{name="reviews"} 0
# HELP pipeline_run_cost_usd What the last run spent, in US dollars.
# TYPE pipeline_run_cost_usd gauge
pipeline_run_cost_usd{name="reviews"} 0.0
# HELP pipeline_run_duration_seconds How long the last run took.
# TYPE pipeline_run_duration_seconds gauge
pipeline_run_duration_seconds{name="reviews"} 12.5
# HELP pipeline_run_exit_code Exit code of the last run; 0: every row has an answer.
# TYPE pipeline_run_exit_code gauge
pipeline_run_exit_code{name="reviews"} 78
# HELP pipeline_run_start_timestamp_seconds When the last run started.
# TYPE pipeline_run_start_timestamp_seconds gauge
pipeline_run_start_timestamp_seconds{name="reviews"} 1795402800.0
# HELP pipeline_run_end_timestamp_seconds When the last run ended.
# TYPE pipeline_run_end_timestamp_seconds gauge
pipeline_run_end_timestamp_seconds{name="reviews"} 1795402812.0
# HELP pipeline_last_success_timestamp_seconds When a run last exited 0.
# TYPE pipeline_last_success_timestamp_seconds gauge
pipeline_last_success_timestamp_seconds{name="reviews"} 1795316400.0
"""


def test_a_success_as_the_collector_sees_it() -> None:
    assert metrics("reviews", SUCCESS, began=True, last_success=1.0) == WHOLE


def test_a_run_that_never_began_says_nothing_of_rows_and_keeps_the_last_success() -> None:
    assert metrics("reviews", NEVER_BEGAN, began=False, last_success=1795316400.0) == FAILED


def test_what_is_not_known_has_no_sample() -> None:
    text = metrics("reviews", replace(SUCCESS, cost_usd=None, exit_code=1), began=True, last_success=None)
    assert "cost_usd" not in text
    assert "last_success" not in text


def test_the_last_success_passes_from_file_to_file() -> None:
    first = metrics("reviews", SUCCESS, began=True, last_success=None)
    failed = metrics("reviews", NEVER_BEGAN, began=False, last_success=succeeded_at(first, "reviews"))
    assert succeeded_at(failed, "reviews") == 1795402812.0
    assert succeeded_at(failed, "other") is None


@pytest.mark.parametrize("text", ["", "nonsense", 'pipeline_last_success_timestamp_seconds{name="a"} x\n'])
def test_a_file_that_does_not_tell_of_a_success_is_no_error(text: str) -> None:
    assert succeeded_at(text, "a") is None


LABEL = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"(?P<name>[a-z_]+)\{{{LABEL}(?:,{LABEL})*\}} (?P<value>\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
ESCAPED = re.compile(r'\\(["\\n])')


def unescaped(value: str) -> str:
    return ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], value)


@given(name=st.text(min_size=1), cost_usd=st.floats(0, 1e9))
def test_any_name_is_escaped_by_the_rules_of_the_format(name: str, cost_usd: float) -> None:
    """prometheus.io/docs/instrumenting/exposition_formats: lines end in LF; in label values backslash, quote and LF are
    escaped; HELP and TYPE stand once, before the samples, which stand together."""
    text = metrics(name, replace(SUCCESS, cost_usd=cost_usd), began=True, last_success=None)
    assert text.endswith("\n")
    families: list[str] = []
    for line in text.removesuffix("\n").split("\n")[1:]:
        if line.startswith("# HELP "):
            families.append(line.split(" ")[2])
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {families[-1]} gauge"
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            assert sample["name"] == families[-1]
            value = re.search(r'name="((?:[^"\\]|\\.)*)"', line)
            assert value is not None
            assert unescaped(value[1]) == name
    assert len(set(families)) == len(families)
    assert succeeded_at(text, name) == 1795402812.0
