"""The Messages API over HTTP: routes, and the way from a request to a reply. What is said is decided elsewhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from secrets import token_hex
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from pipeline.local import cards, messages, reply
from pipeline.local.batches import BatchApi
from pipeline.local.broken import Connections, Cut, client_of
from pipeline.local.errors import ApiError
from pipeline.local.exchange import GONE, JSON, Nothing, ended, html_response, json_response, left, refusal, unless_left, waits
from pipeline.local.faults import BrokenOff, Halved, Hung, Lacking, Page, Refused, Reset
from pipeline.local.gate import Gate, error_response
from pipeline.local.ledger import LEFT, NO_STATUS
from pipeline.local.model import Model
from pipeline.local.question import Question
from pipeline.local.reply import Ended, Part
from pipeline.local.spoil import spoiled
from pipeline.local.stage import Scene, Stage, divided

MAX_BODY_BYTES = 32 * 1024 * 1024
"""docs: api/errors, request size limits (2026-10-08)."""
DISCARDED_BYTES = 256 * 1024 * 1024
"""So much of a body that is too large is read and dropped, as a client that still sends does not see the answer."""
EVENTS = "text/event-stream"
UNCACHED = {"cache-control": "no-cache"}


def app(model: Model, stage: Stage, connections: Connections) -> ASGIApp:
    """The server's ASGI application. `connections` are those it is served on, for faults that break them."""
    batches = BatchApi(model, stage, connections, new_id)
    api = Api(model, stage, connections, batches)
    routes = [
        *batches.routes(),
        Route("/v1/messages", api.create, methods=["POST"]),
        Route("/v1/messages/count_tokens", api.count, methods=["POST"]),
        Route("/v1/models", api.list_models, methods=["GET"]),
        Route("/v1/models/{name:path}", api.retrieve_model, methods=["GET"]),
        Route("/stats", api.stats, methods=["GET"]),
        Route("/reset", api.reset, methods=["POST"]),
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
    return f"{kind}_01{token_hex(11)}"


class Api:
    """The handlers of the routes."""

    def __init__(self, model: Model, stage: Stage, connections: Connections, batches: BatchApi) -> None:
        self._model = model
        self._stage = stage
        self._connections = connections
        self._batches = batches

    async def create(self, request: Request) -> Response:
        return await ended(self._answer(request, self._stage.arrives()), self._stage.ledger.ends)

    async def count(self, request: Request) -> Response:
        self._stage.ledger.counts += 1
        question = messages.counted(await _body(request), request.headers.get("anthropic-version"))
        return json_response({"input_tokens": await self._model.count(question)})

    async def list_models(self, request: Request) -> Response:
        return json_response(cards.page(self._model.cards(), request.query_params.multi_items()))

    async def retrieve_model(self, request: Request) -> Response:
        return json_response(cards.model(self._model.card(request.path_params["name"])))

    async def stats(self, _: Request) -> Response:
        return json_response({"model": self._model.name, **self._stage.figures()})

    async def reset(self, _: Request) -> Response:
        self._stage.reset()
        self._batches.reset()
        return json_response({"reset": True})

    # -- one message ---------------------------------------------------------------------------------------------------

    async def _answer(self, request: Request, number: int) -> Response:
        raw = await _body(request)
        question = messages.question(raw, request.headers.get("anthropic-version"))
        card = self._model.card(question.model)
        scene = self._stage.enters(raw, question, card, number)
        heading = reply.Heading(new_id("msg"), new_id("toolu"), card.name, question.form, question.geo or "global")
        if scene.rule is None and question.stream and self._model.computes:
            return await self._streamed(request, scene, question, heading)
        try:
            parts = await self._parts(request, question)
        except BaseException:
            self._stage.fails(scene)
            raise
        if parts is None:
            self._stage.fails(scene)
            return Nothing(LEFT)
        if scene.rule is not None:
            parts = spoiled(parts, scene.rule.effect, scene.rule.category, scene.random)
        return await self._played(request, scene, question, heading, [divided(part, scene) for part in parts])

    async def _parts(self, request: Request, question: Question) -> list[Part] | None:
        """The whole reply; None where the client left before it was made."""

        async def made() -> list[Part]:
            async with aclosing(self._model.reply(question)) as parts:
                return [part async for part in parts]

        return await (unless_left(request, made()) if self._model.computes else made())

    async def _played(
        self, request: Request, scene: Scene, question: Question, heading: reply.Heading, parts: list[Part]
    ) -> Response:
        """The reply, or what becomes of it, when its time has come. The books are closed before a byte is sent."""
        stays = await waits(request, scene.wait_s)
        unread = not stays or isinstance(scene.effect, Refused | Page | Reset | Hung)
        if unread and scene.rule and not scene.rule.billed:
            self._stage.fails(scene)
        else:
            self._stage.begins(scene)
            self._stage.ends(scene, parts, unread=unread)
        if not stays:
            return Nothing(LEFT)
        match scene.effect:
            case Refused() | Page() as trouble:
                return self._trouble(scene, trouble, question)
            case Reset():
                self._connections.reset(client_of(request.scope))
                await left(request)
                return Nothing(NO_STATUS)
            case Hung():
                self._connections.hangs(client_of(request.scope))
                await left(request)
                return Nothing(NO_STATUS)
        headers = self._stage.headers()
        if question.stream:
            return self._events(scene, heading, parts, headers, request.state.request_id)
        return self._whole(scene, heading, parts, headers)

    def _trouble(self, scene: Scene, trouble: Refused | Page, question: Question) -> Response:
        if isinstance(trouble, Page):
            return html_response(trouble)
        assert scene.rule is not None
        raise refusal(scene.rule, trouble, question.model, {} if trouble.door else self._stage.headers())

    def _whole(self, scene: Scene, heading: reply.Heading, parts: list[Part], headers: dict[str, str]) -> Response:
        message = reply.message(heading, parts)
        if scene.effect == Lacking("usage"):
            del message["usage"]
        body = orjson.dumps(message)
        match scene.effect:
            case Halved(clean=True):
                body = body[: len(body) // 2]
            case Halved():
                return Cut(body[: len(body) // 2], len(body), self._connections, headers, JSON)
        return Response(body, headers=headers, media_type=JSON)

    def _events(
        self, scene: Scene, heading: reply.Heading, parts: list[Part], headers: dict[str, str], request_id: str
    ) -> Response:
        stream = reply.Events(heading)
        events = [event for part in parts for event in stream.of(part)]
        half = events[: max(1, len(events) // 2)]
        headers = {**headers, **UNCACHED}
        match scene.effect:
            case Halved(clean=True):
                events = half
            case Halved():
                return Cut(b"".join(half) + b"event: content_bl", None, self._connections, headers, EVENTS)
            case BrokenOff():
                events = [*half, reply.error_event("overloaded_error", "Overloaded", request_id)]
        return StreamingResponse(_each(events), headers=headers, media_type=EVENTS)

    async def _streamed(self, request: Request, scene: Scene, question: Question, heading: reply.Heading) -> Response:
        """As it is computed. The first part is awaited before the status is sent, so that a refusal is a status."""
        parts = self._model.reply(question)
        try:
            if not await waits(request, scene.wait_s):
                self._stage.fails(scene)
                return Nothing(LEFT)
            first = await anext(parts)
        except BaseException:
            self._stage.fails(scene)
            raise
        self._stage.begins(scene)
        events = self._computed(first, parts, scene, heading, request.state.request_id)
        return StreamingResponse(events, headers={**self._stage.headers(), **UNCACHED}, media_type=EVENTS)

    async def _computed(
        self, first: Part, parts: AsyncGenerator[Part], scene: Scene, heading: reply.Heading, request_id: str
    ) -> AsyncGenerator[bytes]:
        events = reply.Events(heading)
        said = [divided(first, scene)]
        async with aclosing(parts):
            try:
                for event in events.of(said[0]):
                    yield event
                async for part in parts:
                    said.append(part)
                    for event in events.of(part):
                        yield event
            except ApiError as error:
                yield reply.error_event(error.type, error.message, request_id)
            finally:
                if isinstance(said[-1], Ended):
                    self._stage.ends(scene, said, unread=False)
                else:
                    self._stage.fails(scene)


async def _each(events: Sequence[bytes]) -> AsyncGenerator[bytes]:
    for event in events:
        yield event


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


async def _answer_api_error(request: Request, error: ApiError) -> Response:
    return error_response(error, request.state.request_id)


async def _answer_http_error(request: Request, error: HTTPException) -> Response:
    text = {404: "Not found", 405: "Method Not Allowed"}.get(error.status_code, error.detail)
    return error_response(ApiError(error.status_code, text), request.state.request_id)


async def _answer_bug(request: Request, _: Exception) -> Response:
    return error_response(ApiError(500, "Internal server error"), request.state.request_id)


async def _answer_nobody(_: Request, __: ClientDisconnect) -> Response:
    return Response(status_code=GONE)
