"""OpenTelemetry, as docs/observability.md says: with an SDK configured spans come out, and none of them tells of documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.api import Asked, Canned, error, message, serving
from tests.jobs import JobFolder, answer

DOCUMENT = "good words that are nobody's business"


@pytest.fixture(scope="module")
def provider() -> Iterator[InMemorySpanExporter]:
    """OpenTelemetry takes one provider a process, for good; without a test that asks for it, this one drops all spans."""
    exporter = InMemorySpanExporter()
    configured = TracerProvider()
    configured.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(configured)
    yield exporter
    configured.shutdown()


@pytest.fixture
def spans(provider: InMemorySpanExporter) -> InMemorySpanExporter:
    provider.clear()
    return provider


def of_run(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """The span of the run, and those of its requests."""
    (run,) = [span for span in exporter.get_finished_spans() if span.name == "pipeline run"]
    return run, [span for span in exporter.get_finished_spans() if span.name == "anthropic.messages.create"]


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


def test_each_request_is_a_span_within_that_of_the_run(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    with serving(right) as api:
        job = JobFolder(tmp_path / "job", [DOCUMENT, "bad"], api.url)
        assert job.run().code == 0
    run, requests = of_run(spans)
    attributes = dict(run.attributes or {})
    assert attributes.pop("pipeline.cost_usd") == pytest.approx(2 * (10 * 0.10 + 5 * 0.50) / 1e6)
    assert attributes == {
        "pipeline.job": "job",
        "pipeline.rows": 2,
        "pipeline.rows.answered": 2,
        "pipeline.rows.pending": 0,
        "pipeline.requests": 2,
        "pipeline.retries": 0,
        "pipeline.possible_double_charges": 0,
        "pipeline.exit_code": 0,
    }
    assert run.status.status_code is StatusCode.OK
    assert len(requests) == 2
    for request in requests:
        assert request.kind is SpanKind.CLIENT
        assert request.parent is not None
        assert request.parent.span_id == run.context.span_id
        assert (request.attributes or {})["gen_ai.usage.output_tokens"] == 5
        assert (request.attributes or {})["anthropic.request.id"] == "req_1"
    assert "traceparent" in api.asked[0].headers


def test_a_run_that_does_not_finish_is_an_error_without_its_words(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    with serving(lambda asked: error(401, "authentication_error", f"{asked.headers['authorization']} {asked.text}")) as api:
        assert JobFolder(tmp_path / "job", [DOCUMENT], api.url).run().code == 77
    run, (request,) = of_run(spans)
    assert (run.attributes or {})["pipeline.exit_code"] == 77
    for span in (run, request):
        assert span.status.status_code is StatusCode.ERROR
        assert "nobody's business" not in span.to_json()
        assert "CANARY" not in span.to_json()
    assert (request.attributes or {})["error.type"] == "authentication_error"


def test_a_run_that_cannot_begin_has_a_span_too(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    job = JobFolder(tmp_path / "job", [DOCUMENT], "http://127.0.0.1:1", model={"thinking": "on", "name": "smollm2-135m"})
    assert job.run().code == 78
    run, requests = of_run(spans)
    assert ((run.attributes or {})["pipeline.exit_code"], requests) == (78, [])


@pytest.mark.parametrize("stream", [False, True])
def test_no_span_tells_of_documents_answers_or_keys(tmp_path: Path, spans: InMemorySpanExporter, stream: bool) -> None:
    def script(asked: Asked) -> Canned:
        if asked.text == DOCUMENT:
            return message(f"not JSON, but {asked.text}")
        return error(500, "api_error", f"{asked.headers['authorization']} {asked.text}")

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", [DOCUMENT, f"{DOCUMENT}!"], api.url, call={"attempts": 1}, model={"stream": stream})
        assert job.run().code == 1
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "pipeline run" in told
    assert "nobody's business" not in told
    assert "CANARY" not in told


def test_where_nobody_listens_a_provider_that_cannot_be_loaded_stops_no_run(tmp_path: Path) -> None:
    with serving(right) as api:
        job = JobFolder(tmp_path / "job", ["good"], api.url)
        ended = job.start("run", "--json", environment={"OTEL_PYTHON_TRACER_PROVIDER": "no_such_provider"})
        out, _ = ended.communicate(timeout=60)
    assert ended.returncode == 0
    assert '"requests": 1' in out
