"""What handlers share: how a client is waited for, is told of trouble, or hears nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pipeline.local.errors import ApiError
from pipeline.local.faults import Page, Refused, Rule
from pipeline.local.ledger import LEFT

T = TypeVar("T")
GONE = 499
"""What nginx calls a client that has left; nobody reads it."""
JSON, HTML = "application/json", "text/html; charset=utf-8"
PAGE = b"<!DOCTYPE html>\n<html><head><title>%d</title></head><body><h1>A page, and no JSON</h1></body></html>\n"


class Nothing(Response):
    """To a client who is gone, or is to hear nothing. What it sends reaches nobody."""

    def __init__(self, why: str) -> None:
        super().__init__(status_code=GONE)
        self.why = why
        """What the ledger calls it in place of a status."""


def json_response(content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), headers=headers, media_type=JSON)


def html_response(page: Page) -> Response:
    return Response(PAGE % page.status, page.status, media_type=HTML)


def refusal(rule: Rule, refused: Refused, model: str, headers: dict[str, str]) -> ApiError:
    """The error that the fault stands for. `model` is named where the message names one."""
    if refused.retry_after:
        headers = {"retry-after": str(max(1, math.ceil(rule.retry_after_s))), **headers}
    return ApiError(refused.status, model.join(refused.message.split("{model}")), code=refused.code, headers=headers)


async def ended(answering: Awaitable[Response], tell: Callable[[str], None]) -> Response:
    """The response. `tell` hears how the exchange ended: the status, or why nobody hears one."""
    status = "500"
    try:
        response = await answering
        status = response.why if isinstance(response, Nothing) else str(response.status_code)
    except ApiError as error:
        status = str(error.status)
        raise
    except (ClientDisconnect, asyncio.CancelledError):
        status = LEFT
        raise
    else:
        return response
    finally:
        tell(status)


async def waits(request: Request, wait_s: float) -> bool:
    """False, at once, where the client hangs up before the time is over."""
    if not wait_s:
        return True
    try:
        async with asyncio.timeout(wait_s):
            await left(request)
    except TimeoutError:
        return True
    return False


async def unless_left(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` brings; None, and the work broken off, where the client hangs up first."""
    doing = asyncio.create_task(work)
    leaving = asyncio.create_task(left(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        doing.cancel()
        leaving.cancel()


async def left(request: Request) -> None:
    """Returns when the client has hung up. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
