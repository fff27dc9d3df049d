"""The Messages API over HTTP: routes, and the way from a request to a reply. What is said is decided elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from pipeline.local import cards, messages, reply
from pipeline.local.errors import ApiError
from pipeline.local.gate import Gate, error_response
from pipeline.local.model import Model
from pipeline.local.question import Question

MAX_BODY_BYTES = 32 * 1024 * 1024
"""docs: api/errors, request size limits (2026-10-08)."""
DISCARDED_BYTES = 256 * 1024 * 1024
"""So much of a body that is too large is read and dropped, as a client that still sends does not see the answer."""
T = TypeVar("T")
GONE = 499
"""What nginx calls a client that has left; nobody reads it."""


def app(model: Model, *, latency_s: float) -> ASGIApp:
    """The server's ASGI application. Each reply waits `latency_s` first.

    Trouble at will can be made around it at two places: a Model that wraps `model` (errors, refusals, slow streams) and
    an ASGI application that wraps this one (connections that break).
    """
    api = Api(model, latency_s)
    routes = [
        Route("/v1/messages", api.create, methods=["POST"]),
        Route("/v1/messages/count_tokens", api.count, methods=["POST"]),
        Route("/v1/models", api.list_models, methods=["GET"]),
        Route("/v1/models/{name:path}", api.retrieve_model, methods=["GET"]),
    ]
    handlers: dict[Any, Any] = {
        ApiError: _answer_api_error,
        HTTPException: _answer_http_error,
        ClientDisconnect: _answer_nobody,
        Exception: _answer_bug,
    }
    return Gate(Starlette(routes=routes, exception_handlers=handlers), new_id=new_id)


def new_id(kind: str) -> str:
    """An id in the style of the API: `msg_01…`, `req_01…`, `toolu_01…`."""
    return f"{kind}_01{uuid4().hex[:22]}"


class Api:
    """The handlers of the routes."""

    def __init__(self, model: Model, latency_s: float) -> None:
        self._model = model
        self._latency_s = latency_s

    async def create(self, request: Request) -> Response:
        question = messages.question(await _body(request), request.headers.get("anthropic-version"))
        heading = reply.Heading(new_id("msg"), new_id("toolu"), self._model.card(question.model).name, question.form)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        headers = reply.rate_limit_headers(datetime.now(UTC))
        if question.stream:
            return await self._streamed(request, question, heading, headers)
        parts = await _unless_left(request, self._parts(question))
        return _json(reply.message(heading, parts), headers) if parts is not None else Response(status_code=GONE)

    async def count(self, request: Request) -> Response:
        question = messages.counted(await _body(request), request.headers.get("anthropic-version"))
        return _json({"input_tokens": await self._model.count(question)})

    async def list_models(self, _: Request) -> Response:
        own = cards.model(self._model.card(self._model.name))
        return _json({"data": [own], "has_more": False, "first_id": own["id"], "last_id": own["id"]})

    async def retrieve_model(self, request: Request) -> Response:
        return _json(cards.model(self._model.card(request.path_params["name"])))

    async def _parts(self, question: Question) -> list[reply.Part]:
        async with aclosing(self._model.reply(question)) as parts:
            return [part async for part in parts]

    async def _streamed(
        self, request: Request, question: Question, heading: reply.Heading, headers: dict[str, str]
    ) -> Response:
        """The first part is awaited before the status is sent, so that a refusal is a status and no event."""
        parts = self._model.reply(question)
        first = await anext(parts)
        events = _events(first, parts, heading, request.state.request_id)
        return StreamingResponse(events, headers={**headers, "cache-control": "no-cache"}, media_type="text/event-stream")


async def _events(
    first: reply.Part, parts: AsyncGenerator[reply.Part], heading: reply.Heading, request_id: str
) -> AsyncGenerator[bytes]:
    events = reply.Events(heading)
    async with aclosing(parts):
        try:
            for event in events.of(first):
                yield event
            async for part in parts:
                for event in events.of(part):
                    yield event
        except ApiError as error:
            yield reply.error_event(error.type, error.message, request_id)


async def _unless_left(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` brings; None, and the work broken off, where the client hangs up first."""
    doing = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        doing.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> bytes:
    """The body. ApiError 413 where it is larger than the API takes."""
    held = bytearray()
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= MAX_BODY_BYTES:
            held += part
        elif size > DISCARDED_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise ApiError(413, "Request exceeds the maximum size")
    return bytes(held)


def _json(content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")


async def _answer_api_error(request: Request, error: ApiError) -> Response:
    return error_response(error, request.state.request_id)


async def _answer_http_error(request: Request, error: HTTPException) -> Response:
    text = {404: "Not found", 405: "Method Not Allowed"}.get(error.status_code, error.detail)
    return error_response(ApiError(error.status_code, text), request.state.request_id)


async def _answer_bug(request: Request, _: Exception) -> Response:
    return error_response(ApiError(500, "Internal server error"), request.state.request_id)


async def _answer_nobody(_: Request, __: ClientDisconnect) -> Response:
    return Response(status_code=GONE)
