"""The condition table, line by line and in both directions: each condition has its line, each line has a condition."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from anthropic._error_classes import ERROR_CLASSES

from pipeline.call.caller import Broken, Response
from pipeline.call.classify import REPEATS_EARLY, REPEATS_LATE, Classifier, Verdict, broken, retry_after_s, told, unreadable
from pipeline.call.conditions import ANYTHING_ELSE, RULES, Concerns, rule_for
from pipeline.errors import AccountRefused, ComeBackLater, ConfigInvalid, PipelineError, ServiceDown
from pipeline.records import Status
from tests.api import Canned, error

CLASSIFIER = Classifier(longest_wait_s=900.0, model="claude-haiku-5-6")


def response(canned: Canned, latency_s: float = 0.1) -> Response:
    return Response(canned.status, canned.headers, canned.body, latency_s)


@dataclass(frozen=True)
class Line:
    """A condition, and what is to be done about it."""

    said: Canned
    condition: str
    concerns: Concerns
    status: Status
    retried: bool = False
    stop: type[PipelineError] | None = None
    ends: type[PipelineError] | None = None
    counts: bool = True
    billed: bool = False
    wait_s: float | None = None


def account(said: Canned, condition: str) -> Line:
    return Line(said, condition, Concerns.RUN, Status.PENDING, stop=AccountRefused)


def limit(said: Canned, condition: str, concerns: Concerns, wait_s: float | None, ends: type[PipelineError]) -> Line:
    return Line(said, condition, concerns, Status.FAILED, retried=True, counts=False, wait_s=wait_s, ends=ends)


def service(said: Canned, condition: str, *, counts: bool = True, billed: bool = False, wait_s: float | None = None) -> Line:
    status = Status.IN_DOUBT if billed else Status.FAILED
    return Line(
        said,
        condition,
        Concerns.SERVICE,
        status,
        retried=True,
        counts=counts and not billed,
        billed=billed,
        wait_s=wait_s,
        ends=ServiceDown,
    )


def row(said: Canned, condition: str, status: Status) -> Line:
    return Line(said, condition, Concerns.ROW, status, ends=ConfigInvalid)


BAD = "invalid_request_error"
LIMITED = "rate_limit_error"
TABLE = [
    account(error(429, LIMITED, code="enforced_spend_limit_reached"), "spend_limit"),
    account(error(429, LIMITED, code="contract_spend_limit_reached"), "spend_limit"),
    account(
        error(400, BAD, "You have reached your specified API usage limits. You will regain access on …"), "own_spend_limit"
    ),
    account(error(400, BAD, "You have reached your specified workspace API usage limits. …"), "own_spend_limit"),
    account(error(400, BAD, "Your credit balance is too low to access the API."), "credit_too_low"),
    account(error(400, BAD, code="organization_on_hold"), "on_hold"),
    account(error(400, BAD, code="cmek_key_disabled"), "customer_key"),
    account(error(400, BAD, code="cmek_key_network_blocked"), "customer_key"),
    account(error(401, "authentication_error"), "authentication"),
    account(error(402, "billing_error"), "billing"),
    account(error(402, "billing_error", code="linked_organization_spend_limit_reached"), "billing"),
    account(error(403, "permission_error"), "permission"),
    Line(error(404, "not_found_error", "model: x"), "not_found", Concerns.RUN, Status.PENDING, stop=ConfigInvalid),
    Line(Canned(404, b"<html>"), "not_found", Concerns.RUN, Status.PENDING, stop=ConfigInvalid),
    row(error(404, "not_found_error", code="file_expired"), "bad_request", Status.REQUEST_ERROR),
    row(error(413, "request_too_large"), "too_large", Status.INPUT_ERROR),
    row(Canned(413, b"<html>cloudflare"), "too_large", Status.INPUT_ERROR),
    row(error(400, BAD, code="image_dimensions_too_large"), "image_too_large", Status.REQUEST_ERROR),
    row(error(400, BAD, "prompt is too long"), "too_long", Status.REQUEST_ERROR),
    row(error(400, BAD, "output_config.format.schema: unsupported"), "bad_request", Status.REQUEST_ERROR),
    row(error(422, BAD), "bad_request", Status.REQUEST_ERROR),
    row(Canned(302, b"", {"location": "https://example.com"}), "unexpected_status", Status.REQUEST_ERROR),
    Line(error(400, BAD, code="request_body_timeout"), "cut_upload", Concerns.ROW, Status.FAILED, retried=True),
    Line(
        error(400, BAD, "The request body is not valid JSON: unexpected end of data: line 1"),
        "cut_upload",
        Concerns.ROW,
        Status.FAILED,
        retried=True,
    ),
    limit(error(429, LIMITED, retry_after="12"), "rate_limit", Concerns.RATE, 12.0, ComeBackLater),
    limit(error(429, LIMITED, code="ramp_limit_exceeded", retry_after="5"), "ramp_limit", Concerns.RAMP, 5.0, ComeBackLater),
    limit(error(429, LIMITED), "limit_without_end", Concerns.RATE, None, AccountRefused),
    service(error(408, "timeout_error"), "request_timeout"),
    service(error(409, "conflict_error"), "request_timeout"),
    service(error(499, "client_closed"), "request_timeout"),
    service(error(529, "overloaded_error"), "overloaded", counts=False),
    service(error(529, "overloaded_error", retry_after="7"), "overloaded", counts=False, wait_s=7.0),
    service(error(503, "overloaded_error"), "overloaded", counts=False),
    service(error(200, "overloaded_error"), "overloaded", billed=True),
    service(error(500, "api_error"), "server_error"),
    service(error(502, "api_error"), "server_error"),
    service(error(524, "api_error"), "server_error"),
    service(Canned(503, b"<html>Service Unavailable</html>"), "server_error"),
    service(error(200, "api_error"), "server_error", billed=True),
    service(error(504, "timeout_error"), "gateway_timeout", billed=True),
    service(error(200, "a_new_error"), "error_in_stream", billed=True),
    Line(
        error(503, "api_error", code="cmek_key_unreachable"),
        "customer_key_away",
        Concerns.SERVICE,
        Status.PENDING,
        retried=True,
        ends=AccountRefused,
    ),
    # Longer than run.longest_wait_s: the run comes back later, whatever it waits for.
    Line(
        error(429, LIMITED, retry_after="901"),
        "rate_limit",
        Concerns.RATE,
        Status.PENDING,
        stop=ComeBackLater,
        counts=False,
        wait_s=901.0,
        ends=ComeBackLater,
    ),
    Line(
        error(529, "overloaded_error", retry_after="3600"),
        "overloaded",
        Concerns.SERVICE,
        Status.PENDING,
        stop=ComeBackLater,
        counts=False,
        wait_s=3600.0,
        ends=ServiceDown,
    ),
]


def verdict(said: Canned, latency_s: float = 0.1) -> Verdict:
    return CLASSIFIER.failed(response(said, latency_s))


@pytest.mark.parametrize("line", TABLE, ids=lambda line: f"{line.said.status} {line.said.body.decode()[-60:]}")
def test_each_condition_has_its_line(line: Line) -> None:
    got = verdict(line.said)
    assert got.condition == line.condition
    assert (got.concerns, got.status, got.retry is not None) == (line.concerns, line.status, line.retried)
    assert (got.stop, got.ends) == (line.stop, line.ends)
    assert (got.counts, got.billed, got.wait_s) == (line.counts, line.billed, line.wait_s)


@pytest.mark.parametrize("rule", [*RULES, ANYTHING_ELSE], ids=lambda rule: rule.condition)
def test_each_line_has_its_condition(rule: object) -> None:
    assert any(rule_for(told(response(line.said))) is rule for line in TABLE)


def test_every_error_class_of_the_sdk_has_a_verdict() -> None:
    """A code that the table does not name is judged by its status, and only spend limits, holds and keys stop a run by code."""
    stops = {code for (status, code) in ERROR_CLASSES if code and verdict(error(status, BAD, code=code)).stop}
    by_status = {code for (status, code) in ERROR_CLASSES if code and status in (401, 402, 403)}
    assert stops - by_status == {
        "cmek_feature_unsupported",
        "cmek_key_disabled",
        "cmek_key_network_blocked",
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "organization_on_hold",
    }


def test_x_should_retry_changes_nothing() -> None:
    assert verdict(error(400, BAD, x_should_retry="true")) == verdict(error(400, BAD))
    assert verdict(error(529, "overloaded_error", x_should_retry="false")) == verdict(error(529, "overloaded_error"))


def test_words_of_a_document_in_a_message_do_not_stop_the_run() -> None:
    echoed = error(400, BAD, "messages.0: 'You have reached your specified API usage limits' is not allowed")
    assert verdict(echoed).stop is None


def test_a_server_error_that_comes_late_may_have_been_billed_and_is_repeated_once() -> None:
    late = verdict(error(500, "api_error"), latency_s=45.0)
    assert (late.billed, late.at_most, late.status) == (True, REPEATS_LATE, Status.IN_DOUBT)


def test_a_message_says_what_the_server_said_and_what_to_do() -> None:
    told_to = verdict(error(401, "authentication_error", "invalid x-api-key")).error
    assert told_to == "HTTP 401 authentication_error: invalid x-api-key — check ANTHROPIC_API_KEY"


def test_an_unknown_model_brings_those_with_names_like_it() -> None:
    assert "there is claude-haiku-5-5, claude-haiku-4-5" in verdict(error(404, "not_found_error", "model: x")).error


def test_a_known_model_that_is_not_there_brings_the_endpoint() -> None:
    known = Classifier(900.0, "claude-haiku-5-5").failed(response(error(404, "not_found_error")))
    assert "call.base_url" in known.error


def test_a_connection_that_never_left_is_safe_to_repeat() -> None:
    got = broken(Broken(sent=False, error="ConnectError", latency_s=0.0))
    assert got.retry is not None
    assert (got.billed, got.at_most, got.status, got.counts, got.ends) == (False, None, Status.PENDING, False, ServiceDown)


def test_what_cannot_be_encoded_is_the_row_and_is_not_repeated() -> None:
    got = broken(Broken(sent=False, error="UnicodeEncodeError", latency_s=0.0, unsendable=True))
    assert (got.retry, got.status, got.concerns) == (None, Status.INPUT_ERROR, Concerns.ROW)


@pytest.mark.parametrize(("latency_s", "at_most"), [(1.0, REPEATS_EARLY), (60.0, REPEATS_LATE)])
def test_what_may_have_been_billed_is_not_repeated_for_ever(latency_s: float, at_most: int) -> None:
    for got in (broken(Broken(sent=True, error="ReadTimeout", latency_s=latency_s)), unreadable("HTML", latency_s)):
        assert (got.billed, got.at_most, got.status, got.concerns) == (True, at_most, Status.IN_DOUBT, Concerns.SERVICE)


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
    assert CLASSIFIER.failed(Response(400, {}, body, 0.0)).status is Status.REQUEST_ERROR
