"""The edge: the real SDK against a real HTTP server on loopback. Plain values come back, whatever happens."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pipeline.call.caller import Broken, Response
from pipeline.call.client import Client
from pipeline.call.wire import Unreadable, read
from pipeline.errors import AccountRefused
from pipeline.records import Reply
from tests.api import Api, Asked, Canned, error, message, serving
from tests.call.fakes import FORM, SHAPE, prompt

BODY = SHAPE.body(prompt("Fine."))


def sent(
    script: Callable[[Asked], Canned], body: dict[str, Any] = BODY, *, timeout_s: float = 5.0
) -> tuple[Response | Broken, Api]:
    with serving(script) as api:
        return asyncio.run(_send(api.url, body, timeout_s)), api


async def _send(url: str, body: dict[str, Any], timeout_s: float = 5.0) -> Response | Broken:
    client = Client(base_url=url, api_key="sk-ant-CANARY", timeout_s=timeout_s, connections=4, proxied=False)
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


def events(*said: dict[str, Any]) -> Canned:
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in said)
    return Canned(200, body.encode(), {"content-type": "text/event-stream", "request-id": "req_s"})


def streamed(texts: Sequence[str], stop_reason: str = "end_turn") -> list[dict[str, Any]]:
    start: dict[str, Any] = {
        "id": "msg_s",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "output_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
    }
    return [
        {"type": "message_start", "message": start},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": None}, "usage": {"output_tokens": 41}},
        {"type": "message_stop"},
    ]


STREAMING = {**BODY, "stream": True}


def gathered(response: Response | Broken) -> Reply | Unreadable:
    assert isinstance(response, Response)
    return read(response.body, FORM, request_id=None, latency_s=0.0, at=0.0, attempts=1)


def test_a_stream_gives_the_same_reply() -> None:
    response, api = sent(lambda _: events(*streamed(['{"a"', ":1}"])), STREAMING)
    reply = gathered(response)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.stop_reason, reply.usage.output_tokens, reply.message_id) == ('{"a":1}', "end_turn", 41, "msg_s")
    assert api.asked[0].body["stream"] is True


def test_a_stream_that_ends_early_is_no_reply() -> None:
    response, _ = sent(lambda _: events(*streamed(['{"a"', ":1}"])[:4]), STREAMING)
    assert isinstance(gathered(response), Unreadable)


def test_a_stream_that_is_cut_may_have_been_paid() -> None:
    whole = events(*streamed(['{"a"', ":1}"]))
    response, _ = sent(lambda _: Canned(200, whole.body, whole.headers, cut=300), STREAMING)
    assert isinstance(response, Broken)
    assert response.sent


@pytest.mark.parametrize("body", [b"", b"event: message_start\ndata: {oops\n\n"])
def test_a_stream_of_nothing_sensible_may_have_been_paid(body: bytes) -> None:
    response, _ = sent(lambda _: Canned(200, body, {"content-type": "text/event-stream"}), STREAMING)
    assert isinstance(response, Broken)
    assert response.sent


def test_an_error_event_inside_a_stream_tells_its_type() -> None:
    wrong = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    response, _ = sent(lambda _: events(*streamed(["x"])[:3], wrong), STREAMING)
    assert isinstance(response, Response)
    assert response.status == 200
    assert json.loads(response.body)["error"]["type"] == "overloaded_error"


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
    (Canned(200, b'{"input_to'), "JSONDecodeError: "),
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
