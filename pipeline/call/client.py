"""The one file that imports the SDK: one request out, plain values back. It decides nothing and retries nothing.

The SDK's own retries are off (they would hide repeats, and each may be billed), redirects are not followed (the document would
go along), and the transport is aiohttp: at 1,000 in flight it costs a fifth of the CPU of the default one (measured 2026-11).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import httpx2
import orjson
from anthropic import (
    AnthropicError,
    APIConnectionError,
    APIStatusError,
    AsyncAnthropic,
    DefaultAioHttpClient,
)

from pipeline.call.caller import Broken, Response
from pipeline.errors import AccountRefused

CONNECT_S = 30.0
"""The SDK's 5 s bite when hundreds of connections open at once on a busy loop."""
KEPT_HEADERS = ("request-id", "retry-after", "retry-after-ms")


class Client:
    """A Transport over the Anthropic SDK. Made inside the event loop that uses it; closed by `close`.

    `api_key` None leaves the credentials to the SDK (environment, profiles). Raises AccountRefused when there are none.
    `timeout_s` bounds a whole request; of a stream, each silence in it. `proxied`: whether the proxies of the environment
    are used; for a server on this machine they would only carry documents away.
    """

    def __init__(self, *, base_url: str, api_key: str | None, timeout_s: float, connections: int, proxied: bool) -> None:
        # aiohttp takes None for its own default of 100: limits are always explicit.
        limits = httpx2.Limits(
            max_connections=connections + 64, max_keepalive_connections=connections + 64, keepalive_expiry=60
        )
        timeout = httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        try:
            self._sdk = AsyncAnthropic(
                base_url=base_url,
                api_key=api_key,
                max_retries=0,
                timeout=timeout,
                http_client=DefaultAioHttpClient(limits=limits, timeout=timeout, follow_redirects=False, trust_env=proxied),
            )
        except (AnthropicError, ValueError) as error:
            raise AccountRefused(f"no usable credentials: {error}") from None
        if self._sdk.api_key is None and self._sdk.auth_token is None and self._sdk.credentials is None:
            raise AccountRefused("no credentials: ANTHROPIC_API_KEY is not set", todo="set ANTHROPIC_API_KEY, then run again")
        self._secrets = [secret for secret in (self._sdk.api_key, self._sdk.auth_token) if secret]
        if any(not secret.isprintable() or " " in secret for secret in self._secrets):
            raise AccountRefused("the API key holds a space, a line end or another character that no key has")
        self._timeout_s = timeout_s

    async def send(self, body: Mapping[str, Any]) -> Response | Broken:
        """One POST /v1/messages. A response of any status is a Response; everything else is Broken.

        What an error says comes without the key: a gateway may echo it, and errors end up in files.
        """
        started = time.monotonic()
        try:
            if body.get("stream"):
                return await self._stream(body, started)
            async with asyncio.timeout(self._timeout_s + CONNECT_S):
                raw = await self._sdk.messages.with_raw_response.create(**body)
                return Response(raw.status_code, _kept(raw.headers), await raw.read(), time.monotonic() - started)
        except APIStatusError as error:
            status = error.status_code
            content = error.response.content if status != 200 else orjson.dumps(error.body)
            return Response(status, _kept(error.response.headers), self._redacted(content), time.monotonic() - started)
        except APIConnectionError as error:
            return self._broken(error.__cause__ or error, time.monotonic() - started)
        except (httpx2.TransportError, TimeoutError) as error:
            return self._broken(error, time.monotonic() - started)

    async def _stream(self, body: Mapping[str, Any], started: float) -> Response:
        """The same Response by streaming: the SDK gathers the events into one message.

        A stream that is cut ends like a whole one, with stop_reason null: wire.read refuses it.
        """
        arguments = {name: value for name, value in body.items() if name != "stream"}
        async with self._sdk.messages.stream(**arguments) as stream:
            try:
                message = await stream.get_final_message()
            except (AssertionError, ValueError) as error:
                # An empty stream, or an event that is no JSON: the SDK lets these through raw.
                raise httpx2.ReadError(f"the stream could not be read: {error!r}") from error
            content = message.model_dump_json(exclude_unset=True).encode()
            return Response(200, _kept(stream.response.headers), content, time.monotonic() - started)

    def _redacted(self, content: bytes) -> bytes:
        for secret in self._secrets:
            content = content.replace(secret.encode(), b"[redacted]")
        return content

    def _broken(self, error: BaseException, latency_s: float) -> Broken:
        words = self._redacted(_words(error).encode("utf-8", "backslashreplace")).decode("utf-8", "replace")
        return Broken(not _never_left(error), words, latency_s, unsendable=isinstance(error, (ValueError, TypeError)))

    async def close(self) -> None:
        await self._sdk.close()


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() in KEPT_HEADERS or name.lower().startswith("anthropic-ratelimit-")
    }


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
