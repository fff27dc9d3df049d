"""The condition table, line by line."""

from __future__ import annotations

import json

import pytest

from pipeline.call.caller import Broken, Response
from pipeline.call.classify import broken, failed, retry_after_s, unreadable
from pipeline.errors import AccountRefused, ComeBackLater, ConfigInvalid, PipelineError
from pipeline.records import Status
from tests.api import Canned, error

LONGEST_WAIT_S = 900.0


def response(canned: Canned) -> Response:
    return Response(canned.status, canned.headers, canned.body, 0.1)


STOPS = [
    (error(401, "authentication_error"), AccountRefused),
    (error(402, "billing_error"), AccountRefused),
    (error(403, "permission_error"), AccountRefused),
    (error(404, "not_found_error", "model: claude-sonnet-9"), ConfigInvalid),
    (error(429, "rate_limit_error", code="enforced_spend_limit_reached"), AccountRefused),
    (error(429, "rate_limit_error", code="contract_spend_limit_reached"), AccountRefused),
    (error(400, "invalid_request_error", "You have reached your specified API usage limits. …"), AccountRefused),
    (error(400, "invalid_request_error", "You have reached your specified workspace API usage limits. …"), AccountRefused),
    (error(400, "invalid_request_error", "Your credit balance is too low to access the API."), AccountRefused),
    (error(400, "invalid_request_error", code="organization_on_hold"), AccountRefused),
    (error(429, "rate_limit_error", retry_after="901"), ComeBackLater),
    (error(529, "overloaded_error", retry_after="3600"), ComeBackLater),
]


@pytest.mark.parametrize(("canned", "stop"), STOPS, ids=lambda value: str(getattr(value, "body", value))[:60])
def test_trouble_with_the_account_stops_the_run_and_leaves_the_row_pending(canned: Canned, stop: type[PipelineError]) -> None:
    verdict = failed(response(canned), LONGEST_WAIT_S)
    assert (verdict.stop, verdict.status, verdict.retry) == (stop, Status.PENDING, None)


ROWS = [
    (error(400, "invalid_request_error", "prompt is too long"), Status.REQUEST_ERROR),
    (error(413, "request_too_large"), Status.INPUT_ERROR),
    (error(422, "invalid_request_error"), Status.REQUEST_ERROR),
    (Canned(302, b"", {"location": "https://example.com"}), Status.REQUEST_ERROR),
]


@pytest.mark.parametrize(("canned", "status"), ROWS, ids=lambda value: str(getattr(value, "status", value)))
def test_trouble_with_a_row_is_not_retried_and_stops_nothing(canned: Canned, status: Status) -> None:
    verdict = failed(response(canned), LONGEST_WAIT_S)
    assert (verdict.stop, verdict.status, verdict.retry, verdict.billed) == (None, status, None, False)


RETRIED = [
    # canned, counts as an attempt, may be billed, the server's wait
    (error(429, "rate_limit_error", retry_after="12"), False, False, 12.0),
    (error(429, "rate_limit_error"), True, False, None),
    (error(408, "timeout_error"), True, False, None),
    (error(409, "conflict_error"), True, False, None),
    (error(500, "api_error"), True, False, None),
    (error(502, "api_error"), True, False, None),
    (Canned(503, b"<html>Service Unavailable</html>"), True, False, None),
    (error(504, "timeout_error"), True, True, None),
    (error(529, "overloaded_error"), True, False, None),
    (error(529, "overloaded_error", retry_after="7"), True, False, 7.0),
    (error(200, "overloaded_error"), True, False, None),
]


@pytest.mark.parametrize(
    ("canned", "counts", "billed", "wait_s"), RETRIED, ids=lambda value: str(getattr(value, "status", value))
)
def test_trouble_that_passes_is_retried(canned: Canned, counts: bool, billed: bool, wait_s: float | None) -> None:
    verdict = failed(response(canned), LONGEST_WAIT_S)
    assert verdict.retry is not None
    assert (verdict.stop, verdict.status, verdict.counts, verdict.billed) == (None, Status.FAILED, counts, billed)
    assert verdict.wait_s == wait_s


def test_a_server_error_that_comes_late_may_have_been_billed() -> None:
    late = Response(500, {}, error(500, "api_error").body, latency_s=45.0)
    assert failed(late, LONGEST_WAIT_S).billed


def test_a_message_says_what_the_server_said_and_what_to_do() -> None:
    verdict = failed(response(error(401, "authentication_error", "invalid x-api-key")), LONGEST_WAIT_S)
    assert verdict.error == "HTTP 401 authentication_error: invalid x-api-key — check ANTHROPIC_API_KEY"


def test_a_connection_that_never_left_is_safe_to_repeat() -> None:
    verdict = broken(Broken(sent=False, error="ConnectError", latency_s=0.0))
    assert verdict.retry is not None
    assert (verdict.billed, verdict.at_most, verdict.status) == (False, None, Status.PENDING)


def test_what_may_have_been_billed_is_repeated_once_at_most() -> None:
    for verdict in (broken(Broken(sent=True, error="ReadTimeout", latency_s=1.0)), unreadable("HTML")):
        assert (verdict.billed, verdict.at_most, verdict.status) == (True, 1, Status.IN_DOUBT)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-1"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(Response(429, headers, b"", 0.0)) == seconds


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[1]", b'"x"', b'{"error": "text"}', json.dumps({"error": {"details": 7}}).encode()]
)
def test_no_error_body_is_too_odd_to_classify(body: bytes) -> None:
    assert failed(Response(400, {}, body, 0.0), LONGEST_WAIT_S).status is Status.REQUEST_ERROR
