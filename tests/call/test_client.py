"""The edge: the real SDK against a real HTTP server on loopback. Plain values come back, whatever happens."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from anthropic import AsyncAnthropic

from pipeline.call.caller import Broken, Response
from pipeline.call.client import Client
from pipeline.call.form import API_VERSION
from pipeline.call.wire import Unreadable, read
from pipeline.errors import AccountRefused
from pipeline.records import Reply
from tests.api import Api, Asked, Canned, error, message, serving
from tests.call.fakes import FORM, SHAPE, prompt
from tests.call.streams import events, streamed

BODY = SHAPE.body(prompt("Fine."))
KEY = "sk-ant-CANARY"


def sent(
    script: Callable[[Asked], Canned], body: dict[str, Any] = BODY, *, timeout_s: float = 5.0, streams: bool = False
) -> tuple[Response | Broken, Api]:
    with serving(script) as api:
        return asyncio.run(_send(api.url, body, timeout_s, streams)), api


async def _send(
    url: str, body: dict[str, Any], timeout_s: float = 5.0, streams: bool = False, api_version: str = API_VERSION
) -> Response | Broken:
    client = Client(
        base_url=url,
        api_key=KEY,
        timeout_s=timeout_s,
        connections=4,
        proxied=False,
        streamed_above=0 if streams else 21_333,
        api_version=api_version,
    )
    try:
        return await client.send(body)
    finally:
        await client.close()


def test_a_request_arrives_as_it_was_made() -> None:
    response, api = sent(lambda _: message("x"))
    assert isinstance(response, Response)
    assert (response.status, response.headers["request-id"]) == (200, "req_1")
    assert response.latency_s > 0
    assert api.asked[0].body == BODY
    assert api.asked[0].headers["anthropic-version"] == "2026-10-21"
    assert api.asked[0].headers["x-stainless-retry-count"] == "0"


async def _created(url: str) -> None:
    async with AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0, timeout=httpx2.Timeout(5.0, connect=5.0)) as sdk:
        create: Callable[..., Awaitable[object]] = sdk.messages.with_raw_response.create
        await create(**BODY, extra_headers={"anthropic-version": API_VERSION})


def test_a_request_is_the_one_that_the_create_of_the_sdk_makes() -> None:
    with serving(lambda _: message("x")) as api:
        asyncio.run(_send(api.url, BODY))
        asyncio.run(_created(api.url))
    ours, theirs = api.asked
    assert ours.body == theirs.body
    assert {**ours.headers, "host": ""} == {**theirs.headers, "host": ""}


def test_an_integer_of_any_size_arrives() -> None:
    body = {**BODY, "metadata": {"user_id": 2**70}}
    _, api = sent(lambda _: message("x"), body)
    assert api.asked[0].body == body


def test_the_body_of_a_reply_is_kept_to_the_byte() -> None:
    canned = message("ä\u2028…")
    response, _ = sent(lambda _: canned)
    assert isinstance(response, Response)
    assert response.body == canned.body


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529])
def test_an_error_status_is_a_response_and_is_not_retried(status: int) -> None:
    canned = error(status, "some_error", "why", retry_after="0", x_should_retry="true")
    response, api = sent(lambda _: canned)
    assert isinstance(response, Response)
    assert (response.status, response.body) == (status, canned.body)
    assert response.headers["retry-after"] == "0"
    assert len(api.asked) == 1


def test_a_redirect_is_not_followed() -> None:
    with serving(lambda _: message("stolen")) as elsewhere:
        response, _ = sent(lambda _: Canned(307, b"", {"location": f"{elsewhere.url}/v1/messages"}))
        assert elsewhere.asked == []
    assert isinstance(response, Response)
    assert response.status == 307


ODD = [Canned(200, b"<html>hello</html>", {"content-type": "text/html"}), Canned(200, b'{"id": "m'), Canned(200, b"")]


@pytest.mark.parametrize("canned", ODD, ids=["html", "cut json", "empty"])
def test_a_200_that_is_no_message_comes_back_as_bytes(canned: Canned) -> None:
    response, _ = sent(lambda _: canned)
    assert isinstance(response, Response)
    assert response.body == canned.body


def test_a_reset_before_the_reply_may_have_been_paid() -> None:
    response, _ = sent(lambda _: Canned(cut=0))
    assert isinstance(response, Broken)
    assert response.sent


def test_a_reset_within_the_reply_may_have_been_paid() -> None:
    response, _ = sent(lambda _: Canned(200, message("x").body, cut=40))
    assert isinstance(response, Broken)
    assert response.sent


def test_a_read_timeout_may_have_been_paid() -> None:
    response, _ = sent(lambda _: Canned(200, message("x").body, wait_s=1.0), timeout_s=0.2)
    assert isinstance(response, Broken)
    assert response.sent


def test_a_refused_connection_was_never_sent() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        response = asyncio.run(_send(f"http://127.0.0.1:{closed.getsockname()[1]}", BODY))
    assert isinstance(response, Broken)
    assert not response.sent


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_key_that_a_gateway_echoes_goes_no_further(status: int) -> None:
    response, _ = sent(lambda asked: error(status, "invalid_request_error", f"bad header {asked.headers['authorization']}"))
    assert isinstance(response, Response)
    assert b"[redacted]" in response.body
    assert b"CANARY" not in response.body


@pytest.mark.parametrize("key", ["sk-ant-x\n", "two words", "tab\t"])
def test_a_key_that_is_none_is_refused_before_anything_is_sent(key: str) -> None:
    async def make() -> None:
        Client(base_url="http://127.0.0.1:1", api_key=key, timeout_s=1.0, connections=1, proxied=False)

    with pytest.raises(AccountRefused, match="no key has") as raised:
        asyncio.run(make())
    assert key.strip() not in str(raised.value)


def test_a_server_on_this_machine_is_reached_without_the_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    response, _ = sent(lambda _: message("x"))
    assert isinstance(response, Response)


def test_without_credentials_nothing_is_tried() -> None:
    with pytest.raises(AccountRefused, match="ANTHROPIC_API_KEY"):
        asyncio.run(_made_without_key())


async def _made_without_key() -> None:
    Client(base_url="http://127.0.0.1:1", api_key=None, timeout_s=1.0, connections=1, proxied=False)


def gathered(response: Response | Broken) -> Reply | Unreadable:
    assert isinstance(response, Response)
    return read(response.body, FORM, request_id=None, latency_s=0.0, at=0.0, attempts=1)


THINKING = {"type": "thinking", "thinking": "", "signature": "EqQB"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "record_answer", "input": {"a": 10**30, "b": 1.5}}
DETAILS = {"type": "refusal", "category": "cyber", "explanation": "No."}
WHOLE = [
    message("", content=[THINKING, {"type": "text", "text": '{"a":1}'}]),
    message("", content=[THINKING, CALL], stop_reason="tool_use"),
    message("", content=[], stop_reason="refusal", stop_details=DETAILS),
]


@pytest.mark.parametrize("whole", WHOLE, ids=["text", "tool", "refusal"])
def test_a_stream_gives_the_same_reply(whole: Canned) -> None:
    came_whole, _ = sent(lambda _: whole)
    response, api = sent(lambda _: streamed(events(json.loads(whole.body), [3, 9])), streams=True)
    assert gathered(response) == gathered(came_whole)
    assert api.asked[0].body == {**BODY, "stream": True}


def test_what_is_longer_than_may_come_whole_is_streamed_by_itself() -> None:
    _, api = sent(lambda _: message("x"), {**BODY, "max_tokens": 21_333})
    assert "stream" not in api.asked[0].body
    _, api = sent(lambda _: message("x"), {**BODY, "max_tokens": 21_334})
    assert api.asked[0].body["stream"] is True


def test_a_server_that_does_not_stream_is_understood() -> None:
    response, _ = sent(lambda _: message('{"a":1}'), streams=True)
    reply = gathered(response)
    assert isinstance(reply, Reply)
    assert reply.text == '{"a":1}'


def test_a_stream_that_ends_early_is_no_reply_and_may_have_been_paid() -> None:
    told = events(json.loads(message("x").body))
    for end in range(len(told)):
        cut_short = streamed(told[:end])
        response, _ = sent(lambda _: cut_short, streams=True)  # noqa: B023 it is called before the next turn
        assert isinstance(response, Broken), end
        assert response.sent


def test_a_stream_that_is_cut_may_have_been_paid() -> None:
    whole = streamed(events(json.loads(message("x").body)))
    response, _ = sent(lambda _: Canned(200, whole.body, whole.headers, cut=300), streams=True)
    assert isinstance(response, Broken)
    assert response.sent


@pytest.mark.parametrize("body", [b"", b"event: message_start\ndata: {oops\n\n", b"event: x\ndata: \xff\n\n"])
def test_a_stream_of_nothing_sensible_may_have_been_paid(body: bytes) -> None:
    response, _ = sent(lambda _: Canned(200, body, {"content-type": "text/event-stream"}), streams=True)
    assert isinstance(response, Broken)
    assert response.sent


def test_what_goes_wrong_after_the_last_event_takes_no_reply_away() -> None:
    whole = streamed(events(json.loads(message("x").body)))
    response, _ = sent(lambda _: Canned(200, whole.body + b"\n" * 9, whole.headers, cut=len(whole.body)), streams=True)
    reply = gathered(response)
    assert isinstance(reply, Reply)
    assert reply.text == "x"


def test_streams_use_their_connection_again() -> None:
    async def ask_three(url: str) -> None:
        client = Client(base_url=url, api_key=KEY, timeout_s=5.0, connections=4, proxied=False, streamed_above=0)
        try:
            for _ in range(3):
                assert isinstance(gathered(await client.send(BODY)), Reply)
        finally:
            await client.close()

    whole = streamed(events(json.loads(message("x").body)))
    with serving(lambda _: replace(whole, end_after_s=0.05)) as api:
        asyncio.run(ask_three(api.url))
    assert api.connections == 1


def test_an_error_event_inside_a_stream_tells_its_type() -> None:
    wrong = {"error": {"type": "overloaded_error", "message": "Overloaded"}, "type": "error"}
    response, _ = sent(lambda _: streamed([*events(json.loads(message("x").body))[:3], wrong]), streams=True)
    assert isinstance(response, Response)
    assert (response.status, response.headers["request-id"]) == (200, "req_s")
    assert response.body.startswith(b'{"type":"error"')
    assert json.loads(response.body)["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("status", [400, 429, 529])
def test_an_error_instead_of_a_stream_is_a_response(status: int) -> None:
    response, _ = sent(lambda _: error(status, "some_error", retry_after="3"), streams=True)
    assert isinstance(response, Response)
    assert (response.status, response.headers["retry-after"]) == (status, "3")


def test_a_stream_that_falls_silent_is_given_up() -> None:
    response, _ = sent(
        lambda _: Canned(200, b"", {"content-type": "text/event-stream"}, wait_s=1.0), timeout_s=0.2, streams=True
    )
    assert isinstance(response, Broken)
    assert response.sent


def test_a_field_that_the_sdk_does_not_know_arrives() -> None:
    _, api = sent(lambda _: message("x"), {**BODY, "temperature": 0.5, "stop_sequences": ["END"], "brand_new": {"a": [1]}})
    assert api.asked[0].body == {**BODY, "temperature": 0.5, "stop_sequences": ["END"], "brand_new": {"a": [1]}}


def test_the_older_version_can_be_asked() -> None:
    with serving(lambda _: message("x")) as api:
        asyncio.run(_send(api.url, BODY, api_version="2023-06-01"))
    assert api.asked[0].headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_key_that_a_gateway_echoes_in_headers_goes_no_further(status: int) -> None:
    echo = {"request-id": f"req_{KEY}", "retry-after": KEY, "anthropic-ratelimit-requests-limit": KEY}
    response, _ = sent(lambda _: Canned(status, f"<html>{KEY}</html>".encode(), echo))
    assert isinstance(response, Response)
    assert "CANARY" not in repr(response)
    assert response.headers["request-id"] == "req_[redacted]"
    assert response.body == b"<html>[redacted]</html>"


def test_the_secrets_of_further_headers_go_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-gateway-token: gateway-CANARY-0123\nx-team: reviews-team")
    response, api = sent(lambda asked: error(500, "api_error", repr(asked.headers)))
    assert api.asked[0].headers["x-gateway-token"] == "gateway-CANARY-0123"
    assert isinstance(response, Response)
    assert b"CANARY" not in response.body
    assert b"reviews-team" in response.body


@pytest.mark.parametrize("key", ["k", "local", "not-really-a-key"[:15]])
def test_a_word_that_stands_for_a_key_changes_no_answer(key: str) -> None:
    async def ask(url: str) -> Response | Broken:
        client = Client(base_url=url, api_key=key, timeout_s=5.0, connections=1, proxied=False)
        try:
            return await client.send(BODY)
        finally:
            await client.close()

    whole = message(f"the {key} of the local kiosk")
    with serving(lambda _: whole) as api:
        response = asyncio.run(ask(api.url))
    assert isinstance(response, Response)
    assert response.body == whole.body


def test_a_client_is_never_pickled() -> None:
    async def pickled() -> None:
        client = Client(base_url="http://127.0.0.1:1", api_key=KEY, timeout_s=1.0, connections=1, proxied=False)
        try:
            pickle.dumps(client)
        finally:
            await client.close()

    with pytest.raises(TypeError, match="never pickled"):
        asyncio.run(pickled())


def test_a_refusal_to_start_holds_no_error_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "no-such-profile")
    with pytest.raises(AccountRefused, match=r"no usable credentials: .*no-such-profile") as raised:
        asyncio.run(_made_without_key())
    assert raised.value.__context__ is None


def test_requests_are_not_logged_whatever_the_environment_wants(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("anthropic", "httpx2"):
        logging.getLogger(name).setLevel(logging.DEBUG)  # as ANTHROPIC_LOG=debug does when the SDK is imported
    with caplog.at_level(logging.DEBUG):
        sent(lambda _: message("x"))
    assert [record for record in caplog.records if record.name.startswith(("anthropic", "httpx2"))] == []


def test_a_text_that_cannot_be_encoded_never_leaves_and_never_will() -> None:
    response, api = sent(lambda _: message("x"), SHAPE.body(prompt("half a pair: \ud83d")))
    assert isinstance(response, Broken)
    assert (response.sent, response.unsendable) == (False, True)
    assert api.asked == []


def test_many_at_once_on_one_client() -> None:
    async def ask_all(url: str) -> list[Response | Broken]:
        client = Client(base_url=url, api_key="k", timeout_s=5.0, connections=64, proxied=False)
        try:
            return await asyncio.gather(*(client.send(SHAPE.body(prompt(str(number)))) for number in range(200)))
        finally:
            await client.close()

    with serving(lambda asked: message(asked.text)) as api:
        responses = asyncio.run(ask_all(api.url))
    texts = [gathered(response) for response in responses]
    assert [reply.text for reply in texts if isinstance(reply, Reply)] == [str(number) for number in range(200)]


COUNTS = [
    (Canned(200, b'{"input_tokens": 2095}'), 2095),
    (error(429, "rate_limit_error"), "HTTP 429"),
    (Canned(200, b"<html>hello</html>", {"content-type": "text/html"}), "the answer holds no count"),
    (Canned(200, b'{"input_to'), "the answer holds no count"),
    (Canned(200, b"{}"), "the answer holds no count"),
    (Canned(cut=0), "ConnectError: "),
]


@pytest.mark.parametrize(("canned", "expected"), COUNTS, ids=["count", "limited", "html", "cut json", "empty", "reset"])
def test_tokens_are_counted_or_it_is_said_why_not(canned: Canned, expected: int | str) -> None:
    async def count(url: str) -> int | str:
        client = Client(base_url=url, api_key="k", timeout_s=5.0, connections=4, proxied=False)
        try:
            return await client.count({**BODY, "stream": True})
        finally:
            await client.close()

    with serving(lambda _: canned) as api:
        found = asyncio.run(count(api.url))
    assert found == expected if isinstance(expected, int) else str(found).startswith(expected)
    assert [set(asked.body) for asked in api.asked] == [set(BODY) - {"max_tokens"}], "what has no tokens is left out"
