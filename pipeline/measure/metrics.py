"""A run's summary → a Prometheus text file, for the textfile collector of node_exporter.

Text exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). All are gauges: each file tells of one
execution and replaces the last. Samples carry no time of their own, since the collector refuses such files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from pipeline.measure.summary import Summary
from pipeline.records import Status

MARK = "# Written by pipeline at the end of each run, for the textfile collector of node_exporter."
"""The first line, by which a file is known to be ours and may be replaced."""
LAST_SUCCESS = "pipeline_last_success_timestamp_seconds"
_TOKENS = ("input", "output", "cache_read", "cache_write")
_OF_THE_RUN = (
    ("requests", "requests", "HTTP requests that the last run sent."),
    ("retries", "retries", "Requests beyond the first of their question."),
    ("possible_double_charges", "possible_double_charges", "Requests sent again that may have been paid before."),
    ("cost_usd", "cost_usd", "What the last run spent, in US dollars."),
    ("seconds", "duration_seconds", "How long the last run took."),
    ("exit_code", "exit_code", "Exit code of the last run; 0: every row has an answer."),
)
"""Field of the summary, name after pipeline_run_, meaning."""

Samples = Sequence[tuple[Mapping[str, str], float]]


def metrics(name: str, summary: Summary, *, began: bool, last_success: float | None) -> str:
    """The file's text. `name` is the job's and labels every sample.

    `began`: the run read its input; if not, nothing is known of rows and nothing is said of them. `last_success`: Unix time of
    the last earlier success, as `succeeded_at` found it in the file's old text; this run's own end takes its place if it
    exited 0. What is not known (no price, no success yet) has no sample.
    """
    ended_at = _unix_time(summary.ended_at)
    if summary.exit_code == 0:
        last_success = ended_at
    lines = [MARK]
    for metric, meaning, samples in _families(summary, began, ended_at, last_success):
        if samples:
            lines += [f"# HELP {metric} {meaning}", f"# TYPE {metric} gauge"]
            lines += [f"{metric}{_labels({'name': name, **labels})} {value!r}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def succeeded_at(text: str, name: str) -> float | None:
    """Unix time of the job's last success by an earlier text of `metrics`; None where that does not tell."""
    start = f"{LAST_SUCCESS}{_labels({'name': name})} "
    for line in text.split("\n"):  # no other line end counts in this format
        if line.startswith(start):
            try:
                return float(line.removeprefix(start))
            except ValueError:
                return None
    return None


def _families(summary: Summary, began: bool, ended_at: float, last_success: float | None) -> Iterator[tuple[str, str, Samples]]:
    figures = asdict(summary)
    if began:
        by_status = [({"status": status.value}, figures[status.value]) for status in Status]
        yield "pipeline_rows", "Rows of the table as it stands, by status.", by_status
        yield "pipeline_rows_reused", "Rows whose answer was paid elsewhere.", [({}, summary.reused)]
    tokens = [({"kind": kind}, figures[f"{kind}_tokens"]) for kind in _TOKENS]
    yield "pipeline_run_tokens", "Tokens that the last run paid for, by kind.", tokens
    for field, metric, meaning in _OF_THE_RUN:
        yield f"pipeline_run_{metric}", meaning, _known(figures[field])
    yield "pipeline_run_start_timestamp_seconds", "When the last run started.", _known(_unix_time(summary.started_at))
    yield "pipeline_run_end_timestamp_seconds", "When the last run ended.", _known(ended_at)
    yield LAST_SUCCESS, "When a run last exited 0.", _known(last_success)


def _known(value: float | None) -> Samples:
    return [] if value is None else [({}, value)]


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _unix_time(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
