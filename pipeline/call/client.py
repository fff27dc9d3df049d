"""The one file that imports the SDK: one request out, plain values back. It decides nothing and retries nothing.

The SDK's own retries are off (they would hide repeats, and each may be billed), redirects are not followed (the document would
go along), and the transport is aiohttp: at 1,000 in flight it costs a fifth of the CPU of the default one (measured 2026-11).
Bodies are passed on as bytes: the SDK parses none of them, wire.read parses each once.

The key goes to the server and nowhere else: a gateway may echo it in headers, bodies and errors, so all that comes back is
cleared of it, and nothing that is raised here holds a request, a response or an exception of the SDK, which do.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import quote

import aiohttp
import httpx2
import orjson
from anthropic import (
    AnthropicError,
    APIConnectionError,
    APIStatusError,
    AsyncAnthropic,
    AsyncAPIResponse,
    AsyncStream,
    DefaultAioHttpClient,
    omit,
)
from anthropic._models import FinalRequestOptions
from anthropic._types import RequestOptions
from anthropic.resources.messages.batches import AsyncBatchesWithRawResponse
from anthropic.types import Message
from anthropic.types.messages import MessageBatch
from opentelemetry import trace

from pipeline.call.caller import Access, Broken, Response
from pipeline.call.form import API_VERSION, LONGEST_WHOLE_S, TOKENS_A_SECOND
from pipeline.call.gather import Failed, Gathering
from pipeline.errors import AccountRefused

CONNECT_S = 30.0
"""The SDK's 5 s bite when hundreds of connections open at once on a busy loop."""
SLOWEST_TOKENS_A_SECOND = 10.0
"""A stream that writes more slowly than this, pings and all, is given up: it would hold its place for ever."""
DESCRIBE_S = 15.0
"""How long the Models API may take; the run goes on without it."""
SLOWEST_BYTES_A_SECOND = 250_000
"""An upload slower than this is given up."""
LONGEST_DOWNLOAD_S = 3600.0
CHUNK_BYTES = 1 << 18
LISTED = 100
"""Batches a page."""
RAW_RESPONSE_HEADER = "X-Stainless-Raw-Response"
"""To the SDK, which takes it off: whether it parses a response, or gives it as it is (`raw`), or as it comes (`stream`)."""
KEPT_HEADERS = (b"request-id", b"retry-after", b"retry-after-ms")
NAMED = frozenset(
    {
        *("max_tokens", "messages", "metadata", "model", "output_config", "service_tier", "stop_sequences", "system"),
        *("thinking", "tool_choice", "tools"),
    }
)
"""Fields of a body that the SDK takes by name; others travel as `extra_body`, since it refuses what it does not know."""
COUNTED = frozenset({"messages", "model", "output_config", "system", "thinking", "tool_choice", "tools"})
"""Fields of a body that make its input tokens, and that count_tokens takes."""
SECRET_HEADERS = ("auth", "key", "token", "secret", "cookie")
"""In the name of a header of ANTHROPIC_CUSTOM_HEADERS: its value is as secret as the key."""
SHORTEST_SECRET = 16
"""Characters. What is shorter (`local`, `test`) is a word for a server on this machine: taken out of replies, it would change
answers."""
KEY_PREFIX = "sk-"
"""Begins a key, of whatever length."""


class Client:
    """A Transport over the Anthropic SDK. Made inside the event loop that uses it; closed by `close`.

    `api_key` None leaves the credentials to the SDK (environment, profiles). Raises AccountRefused when there are none.
    `timeout_s` bounds a whole request; of a stream, each silence in it. `proxied`: whether the proxies of the environment
    are used; for a server on this machine they would only carry documents away. A reply of more than `streamed_above` tokens
    is streamed. `hear` is told the text of streamed replies as it comes, for a person who watches one row.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None,
        timeout_s: float,
        connections: int,
        proxied: bool,
        streamed_above: int = int(LONGEST_WHOLE_S * TOKENS_A_SECOND),
        api_version: str = API_VERSION,
        hear: Callable[[str], None] | None = None,
    ) -> None:
        # aiohttp takes None for its own default of 100: limits are always explicit.
        limits = httpx2.Limits(
            max_connections=connections + 64, max_keepalive_connections=connections + 64, keepalive_expiry=60
        )
        timeout = httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        _silence_the_sdk()
        self._is_traced = _is_traced()
        wrong = None
        try:
            self._sdk = AsyncAnthropic(
                base_url=base_url,
                api_key=api_key,
                max_retries=0,
                timeout=timeout,
                open_telemetry=None if self._is_traced else False,
                default_headers={"anthropic-version": api_version},
                http_client=DefaultAioHttpClient(limits=limits, timeout=timeout, follow_redirects=False, trust_env=proxied),
            )
        except (AnthropicError, ValueError) as error:
            wrong = str(error)
        if wrong is not None:  # raised out here, so that the SDK's error is no context of ours
            raise AccountRefused(f"no usable credentials: {wrong}")
        if self._sdk.api_key is None and self._sdk.auth_token is None and self._sdk.credentials is None:
            raise AccountRefused("no credentials: ANTHROPIC_API_KEY is not set", todo="set ANTHROPIC_API_KEY, then run again")
        base = self._sdk.base_url
        self._whole = FinalRequestOptions.construct(
            method="post",
            url=cast(str, base.copy_with(raw_path=base.raw_path + b"v1/messages")),  # a text is parsed for each request
            headers={RAW_RESPONSE_HEADER: "raw"},
            # None is sent, since the API takes none; but a random one is drawn for each request that names none.
            idempotency_key="none",
        )
        keys = [secret for secret in (self._sdk.api_key, self._sdk.auth_token) if secret]
        if any(not secret.isprintable() or " " in secret for secret in keys):
            raise AccountRefused("the API key holds a space, a line end or another character that no key has")
        secrets = [*filter(_is_secret, [*keys, *_secret_headers(self._sdk.default_headers)])]
        self._redacted = _redactor(secrets)
        self._hear = None if hear is None else _hushed(hear, secrets)
        self._timeout_s = timeout_s
        self._streamed_above = streamed_above

    @classmethod
    def of(cls, access: Access, hear: Callable[[str], None] | None = None) -> Client:
        return cls(
            base_url=access.base_url,
            api_key="local" if access.keyless else None,
            timeout_s=access.timeout_s,
            connections=access.connections,
            proxied=access.proxied,
            streamed_above=access.streamed_above,
            api_version=access.api_version,
            hear=hear,
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds the key and its connections: it is never pickled")

    @property
    def ready(self) -> bool:
        return True

    async def send(self, body: Mapping[str, Any]) -> Response | Broken:
        """One POST /v1/messages. A response of any status is a Response; everything else is Broken.

        A stream gives the same Response as a reply that comes whole; one that ends before its message does is Broken, and an
        error event in one is a Response of status 200 whose body is the API's error.
        """
        longest = body["max_tokens"]
        if longest > self._streamed_above:
            # The SDK bounds each silence; pings end one, so the whole is bounded, too.
            within_s = self._timeout_s + CONNECT_S + longest / SLOWEST_TOKENS_A_SECOND
            return await self._answer(lambda: self._created(body, stream=True), within_s)
        ask = self._created if self._is_traced else self._posted
        return await self._answer(lambda: ask(body), self._timeout_s + CONNECT_S)

    def _created(self, body: Mapping[str, Any], *, stream: bool = False) -> Awaitable[AsyncAPIResponse[Any]]:
        """By the SDK's own method for it, which also makes the span."""
        named = {name: value for name, value in body.items() if name in NAMED}
        others = {name: value for name, value in body.items() if name not in NAMED}
        create: Callable[..., Awaitable[AsyncAPIResponse[Any]]] = self._sdk.messages.with_raw_response.create
        return create(**named, **({"stream": True} if stream else {}), extra_body=others or None)

    def _posted(self, body: Mapping[str, Any]) -> Awaitable[AsyncAPIResponse[Any]]:
        """The same request by what `create` itself calls in the end, with bytes for a body and options that stand ready: 0.60
        ms of CPU instead of 0.90 (by `post` 0.74, with a path instead of a URL 0.70; 64 in flight, measured 2026-11-26)."""
        options = self._whole.model_copy(update={"content": _encoded(body)})
        return self._sdk.request(cast("type[AsyncAPIResponse[Any]]", Message), options)

    async def describe(self, model: str) -> Response | Broken:
        """GET /v1/models/{model}: what the server knows of a model. Free, and no Messages request."""
        retrieve = self._sdk.models.with_raw_response.retrieve
        within_s = min(DESCRIBE_S, self._timeout_s)
        return await self._answer(lambda: retrieve(model, timeout=within_s), within_s)

    async def create_batch(self, body: Path, size: int) -> Response | Broken:
        """One POST /v1/messages/batches with the content of a file of so many bytes. It is not idempotent: never sent twice
        here, and what is Broken and sent may have taken effect."""
        headers = {"content-type": "application/json", "content-length": str(size), RAW_RESPONSE_HEADER: "raw"}
        options = RequestOptions(headers=headers, max_retries=0)
        within_s = self._timeout_s + CONNECT_S + size / SLOWEST_BYTES_A_SECOND
        return await self._answer(
            lambda: self._post("/v1/messages/batches", cast_to=MessageBatch, content=_chunks(body), options=options), within_s
        )

    async def batch(self, batch_id: str) -> Response | Broken:
        """GET /v1/messages/batches/{batch_id}."""
        return await self._answer(lambda: self._batches.retrieve(batch_id), self._timeout_s + CONNECT_S)

    async def batches(self, after_id: str | None) -> Response | Broken:
        """One page of GET /v1/messages/batches, the newest first; the page behind `after_id`."""
        return await self._answer(
            lambda: self._batches.list(limit=LISTED, after_id=omit if after_id is None else after_id),
            self._timeout_s + CONNECT_S,
        )

    async def cancel_batch(self, batch_id: str) -> Response | Broken:
        """POST /v1/messages/batches/{batch_id}/cancel. Requests that are being worked on may still end."""
        return await self._answer(lambda: self._batches.cancel(batch_id), self._timeout_s + CONNECT_S)

    async def results(self, batch_id: str, to: Path) -> Response | Broken:
        """GET /v1/messages/batches/{batch_id}/results into a file, as it comes; the Response of a 200 has no body.

        Not by the SDK's `results`: that decodes in pieces of 64 bytes, keeps nothing of a download that breaks off, and sends
        the key to whatever address the batch names (SDK 2.12).
        """
        headers = {"accept": "application/binary", RAW_RESPONSE_HEADER: "stream"}
        options = RequestOptions(headers=headers, max_retries=0)
        get: Callable[..., Awaitable[Any]] = self._sdk.get
        path = f"/v1/messages/batches/{quote(batch_id, safe='')}/results"

        async def fetch() -> AsyncAPIResponse[Any]:
            raw: AsyncAPIResponse[Any] = await get(path, cast_to=MessageBatch, options=options)
            try:
                with open(to, "wb", opener=_private) as file:  # noqa: ASYNC230 a write of this size is no wait
                    rest = b""
                    async for chunk in raw.http_response.aiter_bytes(CHUNK_BYTES):
                        lines, end, rest = (rest + chunk).rpartition(b"\n")
                        file.write(self._redacted(lines + end))
                    file.write(self._redacted(rest))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                await raw.http_response.aclose()
            return raw

        return await self._answer(fetch, LONGEST_DOWNLOAD_S, content=False)

    @property
    def _post(self) -> Callable[..., Awaitable[AsyncAPIResponse[Any]]]:
        """With RAW_RESPONSE_HEADER, which makes what it gives an AsyncAPIResponse."""
        return self._sdk.post

    @property
    def _batches(self) -> AsyncBatchesWithRawResponse:
        return self._sdk.messages.batches.with_raw_response

    async def _answer(
        self, ask: Callable[[], Awaitable[AsyncAPIResponse[Any]]], within_s: float, *, content: bool = True
    ) -> Response | Broken:
        started = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                raw = await ask()
                body = await self._content(raw) if content else b""
                return self._response(raw.status_code, raw.headers, body, started)
        except APIStatusError as error:
            return self._response(error.status_code, error.response.headers, error.response.content, started)
        except APIConnectionError as error:
            return self._broken(error.__cause__ or error, started)
        except (httpx2.RequestError, httpx2.StreamError, TimeoutError) as error:
            return self._broken(error, started)
        except (UnicodeEncodeError, TypeError) as error:
            # Raised while the SDK encodes the body: half a surrogate pair, a parameter that this SDK does not know.
            return self._broken(error, started)
        except _CutStream as error:
            return Broken(True, self._clear(f"the stream broke off: {error}"), time.monotonic() - started)

    async def count(self, body: Mapping[str, Any]) -> int | str:
        """One POST /v1/messages/count_tokens, which is free: the input tokens of this request, or why there are none."""
        counted = {name: value for name, value in body.items() if name in COUNTED}
        answer = await self._answer(
            lambda: self._sdk.messages.with_raw_response.count_tokens(**counted), self._timeout_s + CONNECT_S
        )
        if isinstance(answer, Broken):
            return answer.error
        if answer.status != 200:
            return f"HTTP {answer.status}"
        try:
            tokens = orjson.loads(answer.body).get("input_tokens")
        except (orjson.JSONDecodeError, AttributeError):
            tokens = None
        return tokens if isinstance(tokens, int) else "the answer holds no count"

    async def _content(self, raw: AsyncAPIResponse[Any]) -> bytes:
        """The body, or the message that a stream brings. A server that does not stream answers whole, and is read so."""
        if not raw.headers.get("content-type", "").startswith("text/event-stream"):
            return await raw.read()
        gathering = Gathering(self._hear)
        try:
            failed = await self._gathered(raw, gathering)
            if failed is not None:
                return failed.body
            if gathering.whole:
                return gathering.body()
        except ValueError as error:
            raise _CutStream(str(error)) from None
        finally:
            await raw.http_response.aclose()
        raise _CutStream("it ended before the message did")

    async def _gathered(self, raw: AsyncAPIResponse[Any], gathering: Gathering) -> Failed | None:
        """Reads a stream to its end, also after its last event: only then can the connection be used again."""
        try:
            async for event in AsyncStream.raw_events(raw.http_response):
                failed = gathering.add(event.data) if event.data and not gathering.whole else None
                if failed is not None:
                    return failed
        except httpx2.RequestError:
            if not gathering.whole:
                raise
        return None

    def _response(self, status: int, headers: httpx2.Headers, content: bytes, started: float) -> Response:
        kept = {name.decode(): self._redacted(value).decode("utf-8", "replace") for name, value in _kept(headers)}
        return Response(status, kept, self._redacted(content), time.monotonic() - started)

    def _broken(self, error: BaseException, started: float) -> Broken:
        unsendable = isinstance(error, (ValueError, TypeError))
        return Broken(not _never_left(error), self._clear(_words(error)), time.monotonic() - started, unsendable=unsendable)

    def _clear(self, text: str) -> str:
        return self._redacted(text.encode(errors="replace")).decode()

    async def close(self) -> None:
        await self._sdk.close()


def _encoded(body: Mapping[str, Any]) -> bytes:
    """As JSON. By the standard library where a schema holds an integer beyond 64 bits, which orjson refuses; what that refuses,
    too, is half a surrogate pair, and raises UnicodeEncodeError."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


async def _chunks(path: Path) -> AsyncGenerator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


class _CutStream(Exception):
    """A stream that ended before its message, or that cannot be read."""


def _is_traced() -> bool:
    """Whether somebody has configured OpenTelemetry. Where nobody has, the SDK's spans would still cost 0.06 ms of CPU a
    request (measured 2026-11) and come out nowhere."""
    try:
        provider = trace.get_tracer_provider()
    except Exception:  # noqa: BLE001 whatever a provider that the environment names does wrong: requests go on without spans
        return False
    return not isinstance(provider, trace.ProxyTracerProvider)


def _silence_the_sdk() -> None:
    """ANTHROPIC_LOG=debug would print whole requests, documents and all."""
    for name in ("anthropic", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_secret(text: str) -> bool:
    return len(text) >= SHORTEST_SECRET or text.startswith(KEY_PREFIX)


def _redactor(secrets: Iterable[str]) -> Callable[[bytes], bytes]:
    """Takes the secrets out of bytes. A function, so that no object has them among its values."""
    hidden = [secret.encode() for secret in secrets]

    def redacted(content: bytes) -> bytes:
        for secret in hidden:
            content = content.replace(secret, b"[redacted]")
        return content

    return redacted


def _hushed(hear: Callable[[str], None], secrets: Iterable[str]) -> Callable[[str], None]:
    """Hears text without the secrets, which a gateway may echo in pieces: what could go on to one is kept until it does not.
    What is kept when a stream ends is heard with the next piece, or never: the whole reply is told elsewhere."""
    hidden = [*secrets]
    kept = ""

    def heard(piece: str) -> None:
        nonlocal kept
        kept += piece
        for secret in hidden:
            kept = kept.replace(secret, "[redacted]")
        begun = (size for secret in hidden for size in range(1, len(secret)) if kept.endswith(secret[:size]))
        told = len(kept) - max(begun, default=0)
        piece, kept = kept[:told], kept[told:]
        if piece:
            hear(piece)

    return heard


def _secret_headers(headers: Mapping[str, object]) -> list[str]:
    named = ((name.lower(), value) for name, value in headers.items())
    return [value for name, value in named if isinstance(value, str) and any(word in name for word in SECRET_HEADERS)]


def _kept(headers: httpx2.Headers) -> Iterator[tuple[bytes, bytes]]:
    """As bytes: httpx2 guesses the encoding of all headers anew for each one that is read as text."""
    for name, value in headers.raw:
        lower = name.lower()
        if lower in KEPT_HEADERS or lower.startswith(b"anthropic-ratelimit-"):
            yield lower, value


def _never_left(error: BaseException) -> bool:
    """Whether the request is known not to have left this machine, and so cannot be billed.

    The transport calls every lost connection a ConnectError, also one that was reset after the request was out (seen with
    SDK 2.12, aiohttp 3.14); only aiohttp's own class of error tells them apart. A ValueError or TypeError is about the
    request's own form.
    """
    if isinstance(error, (httpx2.ConnectTimeout, httpx2.PoolTimeout, ValueError, TypeError)):
        return True
    lost = isinstance(error, (httpx2.ConnectError, httpx2.ProxyError))
    return lost and isinstance(error.__cause__, aiohttp.ClientConnectorError)


def _words(error: BaseException) -> str:
    name = type(error).__name__
    return f"{name}: {error}" if str(error) else name
