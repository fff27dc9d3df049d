"""The span around a run, for whoever has configured OpenTelemetry; nothing at all where nobody has.

The SDK opens a span for each call inside of it (docs/observability.md). No document, answer, prompt or message of an error is
put into any: those can quote documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import NoOpTracer, Span, StatusCode, Tracer

from pipeline import __version__
from pipeline.measure.summary import Summary

SCOPE = "pipeline"
UNFINISHED = 2
"""Exit codes from here on say that the run did not finish."""


@contextmanager
def run_span() -> Iterator[Callable[[str, Summary], None]]:
    """A span named `pipeline run`, current while the run goes on; what is given takes the job's name and how the run ended."""
    # What ended the run is told by its code: the SDK of OpenTelemetry would record the text of the exception.
    with _tracer().start_as_current_span("pipeline run", record_exception=False, set_status_on_exception=False) as span:
        yield lambda job, summary: _tell(span, job, summary)


def _tracer() -> Tracer:
    try:
        return trace.get_tracer(SCOPE, __version__)
    except Exception:  # noqa: BLE001 whatever a provider that the environment names does wrong, and has logged: no run fails by it
        return NoOpTracer()


def _tell(span: Span, job: str, summary: Summary) -> None:
    told: dict[str, str | int] = {
        "pipeline.job": job,
        "pipeline.rows": summary.rows,
        "pipeline.rows.answered": summary.ok + summary.ok_repaired,
        "pipeline.rows.pending": summary.pending,
        "pipeline.requests": summary.requests,
        "pipeline.retries": summary.retries,
        "pipeline.possible_double_charges": summary.possible_double_charges,
        "pipeline.exit_code": summary.exit_code,
    }
    for name, value in told.items():
        span.set_attribute(name, value)
    if summary.cost_usd is not None:
        span.set_attribute("pipeline.cost_usd", summary.cost_usd)
    span.set_status(StatusCode.ERROR if summary.exit_code >= UNFINISHED else StatusCode.OK)
