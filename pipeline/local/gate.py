"""What every request passes first, whatever it asks for: it gets an id, and shows that it may come in.

The host must be loopback by name, else a web page could reach the server under a name of its own that resolves to
127.0.0.1 (DNS rebinding). Any key will do, but there must be one: a browser cannot add it without asking first.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.local import reply
from pipeline.local.errors import ApiError

LOOPBACK_NAMES = frozenset(("127.0.0.1", "localhost", "[::1]"))
UNKEYED = frozenset(("/stats",))
"""Figures only, for a person with curl. A web page cannot read them: no CORS header allows it."""


class Gate:
    """ASGI middleware. Adds `request-id` to every response and keeps it in the scope's state as `request_id`."""

    def __init__(self, app: ASGIApp, *, new_id: Callable[[str], str]) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        identity = [
            (b"request-id", request_id.encode()),
            (b"anthropic-organization-id", reply.ORGANISATION.encode()),
            (b"anthropic-workspace-id", reply.WORKSPACE.encode()),
        ]

        async def send_with_identity(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *identity]
            await send(message)

        refusal = refused(Headers(scope=scope), keyed=scope["path"] not in UNKEYED)
        if refusal:
            await error_response(refusal, request_id)(scope, receive, send_with_identity)
        else:
            await self._app(scope, receive, send_with_identity)


def refused(headers: Headers, *, keyed: bool) -> ApiError | None:
    """Why a request with these headers may not come in; None where it may. `keyed`: it needs a key."""
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
    if name.lower() not in LOOPBACK_NAMES:
        return ApiError(403, f"host {name!r} is not loopback: this server answers to {', '.join(sorted(LOOPBACK_NAMES))}")
    if not keyed:
        return None
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if headers.get("x-api-key", "").strip() or (scheme.lower() == "bearer" and token.strip()):
        return None
    given = "x-api-key" in headers or "authorization" in headers
    return ApiError(401, "invalid x-api-key" if given else "x-api-key header is required")


def error_response(error: ApiError, request_id: str) -> Response:
    return Response(
        orjson.dumps(reply.error(error.type, error.message, request_id, error.code)),
        error.status,
        error.headers,
        "application/json",
    )
