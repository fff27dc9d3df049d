"""Each fault through the real SDK, and what the ledger makes of it. The n-th request meets the n-th fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import Anthropic

from pipeline.local.faults import KINDS, MESSAGES, Rule, places
from pipeline.local.script import Script
from tests.local.running import in_thread, stats

CLIENT: dict[str, Any] = {"api_key": "any", "max_retries": 0, "timeout": 0.5}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"label": {"enum": ["a", "b"]}},
    "required": ["label"],
    "additionalProperties": False,
}
ASKED: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "thinking": {"type": "disabled"},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
}

ERRORS: list[tuple[str, type[Exception], int | None, str | None, str | None]] = [
    ("rate_limit", anthropic.RateLimitError, 429, "rate_limit_error", None),
    ("rate_limit_bare", anthropic.RateLimitError, 429, "rate_limit_error", None),
    ("ramp_limit", anthropic.RampLimitExceededError, 429, "rate_limit_error", "ramp_limit_exceeded"),
    ("enforced_spend_limit", anthropic.EnforcedSpendLimitReachedError, 429, "rate_limit_error", "enforced_spend_limit_reached"),
    ("contract_spend_limit", anthropic.ContractSpendLimitReachedError, 429, "rate_limit_error", "contract_spend_limit_reached"),
    ("own_spend_limit", anthropic.BadRequestError, 400, "invalid_request_error", None),
    ("workspace_spend_limit", anthropic.BadRequestError, 400, "invalid_request_error", None),
    ("low_credit", anthropic.BadRequestError, 400, "invalid_request_error", None),
    ("on_hold", anthropic.OrganizationOnHoldError, 400, "invalid_request_error", "organization_on_hold"),
    ("unauthorized", anthropic.AuthenticationError, 401, "authentication_error", None),
    ("billing", anthropic.PaymentRequiredError, 402, "billing_error", None),
    ("forbidden", anthropic.PermissionDeniedError, 403, "permission_error", None),
    ("no_model", anthropic.NotFoundError, 404, "not_found_error", None),
    ("bad_request", anthropic.BadRequestError, 400, "invalid_request_error", None),
    ("too_large", anthropic.RequestTooLargeError, 413, "request_too_large", None),
    ("timeout", anthropic.RequestTimeoutError, 408, "timeout_error", None),
    ("conflict", anthropic.ConflictError, 409, "conflict_error", None),
    ("internal", anthropic.InternalServerError, 500, "api_error", None),
    ("bad_gateway", anthropic.InternalServerError, 502, None, None),
    ("unavailable", anthropic.ServiceUnavailableError, 503, "api_error", None),
    ("gateway_timeout", anthropic.GatewayTimeoutError, 504, "timeout_error", None),
    ("overloaded", anthropic.OverloadedError, 529, "overloaded_error", None),
    ("reset", anthropic.APIConnectionError, None, None, None),
    ("reset_late", anthropic.APIConnectionError, None, None, None),
    ("hang", anthropic.APITimeoutError, None, None, None),
    ("cut", anthropic.APIConnectionError, None, None, None),
    ("cut_clean", json.JSONDecodeError, None, None, None),
]
ANSWERS = [
    "html",
    "no_usage",
    "no_stop_reason",
    "refusal",
    "truncated",
    "empty",
    "fenced",
    "prose",
    "damaged",
    "invalid",
    "slow",
]
STREAMS = ["stream_error", "cut", "cut_clean", "no_stop_reason", "refusal", "html", "overloaded"]
UNREAD = {"reset", "reset_late", "hang"}
"""No status line is sent."""


def ask(client: Anthropic, number: int, **changes: Any) -> Any:
    return client.messages.create(messages=[{"role": "user", "content": f"Text {number}"}], **ASKED, **changes)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What became of one request for each fault, by name; and what /stats told afterwards."""
    names = [name for name, *_ in ERRORS] + ANSWERS
    rules = tuple(
        Rule(name, from_request=number, until_request=number, wait_s=0.01 if name == "slow" else None)
        for number, name in enumerate(names, start=1)
    )
    found: dict[str, Any] = {}
    with in_thread("rehearsal", script=Script(rules=rules)) as url, Anthropic(base_url=url, **CLIENT) as client:
        for number, name in enumerate(names):
            try:
                found[name] = ask(client, number)
            except Exception as error:  # noqa: BLE001 it is what the test is about
                found[name] = error
        yield found, stats(url)


def test_every_fault_is_tried_here() -> None:
    """Those of batches alone are tried in test_local_batch_faults."""
    here = {name for name, kind in KINDS.items() if MESSAGES in places(kind.effect)}
    assert {name for name, *_ in ERRORS} | {*ANSWERS, *STREAMS} == here


@pytest.mark.parametrize(("name", "kind", "status", "told", "code"), ERRORS, ids=[row[0] for row in ERRORS])
def test_an_error_is_what_the_sdk_takes_it_for(
    outcomes: Any, name: str, kind: type[Exception], status: int | None, told: str | None, code: str | None
) -> None:
    error = outcomes[0][name]
    assert type(error) is kind
    if isinstance(error, anthropic.APIStatusError):
        assert (error.status_code, error.type, error.error_code) == (status, told, code)
        if told:
            assert error.request_id == error.response.headers["request-id"]


def test_what_a_person_reads_is_what_the_api_says(outcomes: Any) -> None:
    words = {
        "own_spend_limit": "You have reached your specified API usage limits",
        "low_credit": "Your credit balance is too low",
        "no_model": "model: claude-haiku-5-5",
    }
    assert all(outcomes[0][name].api_message.startswith(said) for name, said in words.items())


def test_only_limits_that_pass_carry_retry_after(outcomes: Any) -> None:
    errors = {name: each for name, each in outcomes[0].items() if isinstance(each, anthropic.APIStatusError)}
    waits = {
        name: each.response.headers["retry-after"] for name, each in errors.items() if "retry-after" in each.response.headers
    }
    assert waits == {"rate_limit": "5", "ramp_limit": "5"}


def test_a_page_of_html_comes_as_text(outcomes: Any) -> None:
    assert outcomes[0]["html"].startswith("<!DOCTYPE html>")


def test_a_reply_can_lack_its_usage_or_its_stop_reason(outcomes: Any) -> None:
    assert outcomes[0]["no_usage"].usage is None
    assert outcomes[0]["no_stop_reason"].stop_reason is None
    assert outcomes[0]["no_stop_reason"].usage.output_tokens > 0


def test_a_refusal_is_a_200_without_content(outcomes: Any) -> None:
    message = outcomes[0]["refusal"]
    assert (message.stop_reason, message.content, message.usage.output_tokens) == ("refusal", [], 0)
    assert message.stop_details.type == "refusal"


def test_a_truncated_and_an_empty_reply(outcomes: Any) -> None:
    truncated, empty = outcomes[0]["truncated"], outcomes[0]["empty"]
    assert truncated.stop_reason == "max_tokens"
    assert truncated.content[0].text.startswith('{"la')
    assert (empty.stop_reason, empty.content) == ("end_turn", [])


@pytest.mark.parametrize("name", ["fenced", "prose", "damaged"])
def test_a_misworded_answer_is_no_json_as_it_stands(outcomes: Any, name: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(outcomes[0][name].content[0].text)


def test_an_invalid_answer_is_json(outcomes: Any) -> None:
    assert json.loads(outcomes[0]["invalid"].content[0].text) not in ({"label": "a"}, {"label": "b"})


def test_the_ledger_has_every_request_by_status_and_by_fault(outcomes: Any) -> None:
    found, told = outcomes
    assert told["requests"] == len(found)
    assert told["by_fault"] == dict.fromkeys(sorted(found), 1)
    statuses = {name: str(status) for name, _, status, *_ in ERRORS if status}
    expected: dict[str, int] = {"200": len(ANSWERS) + 2, "none": len(UNREAD)}
    for status in statuses.values():
        expected[status] = expected.get(status, 0) + 1
    assert told["by_status"] == dict(sorted(expected.items()))


def test_the_ledger_bills_what_was_answered(outcomes: Any) -> None:
    found, told = outcomes
    assert told["billed"]["requests"] == sum(Rule(name).billed for name in found)
    assert told["billed"]["unread"] == 2  # hang, reset_late
    assert told["in_flight"] == 0


@pytest.fixture(scope="module")
def streamed() -> Iterator[dict[str, Any]]:
    """The same as streams: the final message, and what was raised."""
    rules = tuple(Rule(name, from_request=number, until_request=number) for number, name in enumerate(STREAMS, start=1))
    found: dict[str, Any] = {}
    with in_thread("rehearsal", script=Script(rules=rules)) as url, Anthropic(base_url=url, **CLIENT) as client:
        for number, name in enumerate(STREAMS):
            question: Any = {**ASKED, "messages": [{"role": "user", "content": f"Text {number}"}]}
            try:
                with client.messages.stream(**question) as stream:
                    found[name] = stream.get_final_message()
            except Exception as error:  # noqa: BLE001 it is what the test is about
                found[name] = error
        found["stats"] = stats(url)
        yield found


def test_an_error_inside_a_stream_has_the_status_200(streamed: dict[str, Any]) -> None:
    error = streamed["stream_error"]
    assert type(error) is anthropic.APIStatusError
    assert (error.status_code, error.type) == (200, "overloaded_error")


def test_a_stream_that_is_cut_breaks_in_the_middle(streamed: dict[str, Any]) -> None:
    assert isinstance(streamed["cut"], httpx2.RemoteProtocolError | httpx2.ReadError)


def test_a_stream_that_ends_early_and_cleanly_looks_like_a_message(streamed: dict[str, Any]) -> None:
    assert streamed["cut_clean"].stop_reason is None


def test_a_stream_can_be_refused_before_it_begins(streamed: dict[str, Any]) -> None:
    assert isinstance(streamed["overloaded"], anthropic.OverloadedError)
    assert streamed["refusal"].stop_reason == "refusal"
    assert streamed["no_stop_reason"].stop_reason is None


def test_cut_streams_are_billed(streamed: dict[str, Any]) -> None:
    assert streamed["stats"]["billed"]["requests"] == 4  # stream_error, cut, cut_clean, no_stop_reason


def verdicts(url: str, numbers: list[int], attempts: int) -> dict[int, list[str]]:
    """For each text what became of each attempt at it."""
    found: dict[int, list[str]] = {number: [] for number in numbers}
    with Anthropic(base_url=url, **CLIENT) as client:
        for number in numbers * attempts:
            try:
                ask(client, number)
                found[number].append("ok")
            except anthropic.APIStatusError as error:
                found[number].append(str(error.status_code))
    return found


def test_one_seed_gives_the_same_faults_in_any_order_and_another_gives_others() -> None:
    script = Script(rules=(Rule("overloaded", 0.3), Rule("internal", 0.2)))
    numbers = list(range(12))
    told = []
    for seed, order in ((5, numbers), (5, numbers[::-1]), (6, numbers)):
        with in_thread("rehearsal", script=script, seed=seed) as url:
            told.append(dict(sorted(verdicts(url, order, attempts=3).items())))
    assert told[0] == told[1] != told[2]
    assert len({tuple(each) for each in told[0].values()}) > 3, "attempts at one text differ, too"


def test_a_fault_of_the_first_attempts_heals() -> None:
    with in_thread("rehearsal", script=Script(rules=(Rule("overloaded", attempts=2),))) as url:
        assert verdicts(url, [1], attempts=3) == {1: ["529", "529", "ok"]}
