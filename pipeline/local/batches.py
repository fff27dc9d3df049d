"""Message Batches over HTTP (docs: build-with-claude/batch-processing and the API reference, read 2026-10-08)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.local import messages, paging
from pipeline.local.batch import Batch, Requests
from pipeline.local.batch_work import Worker
from pipeline.local.broken import Connections, Cut, client_of
from pipeline.local.download import Download
from pipeline.local.errors import ApiError, invalid
from pipeline.local.exchange import JSON, Nothing, ended, html_response, json_response, left, refusal, waits
from pipeline.local.faults import (
    CANCEL,
    CREATE,
    DELETE,
    LIST,
    RESULTS,
    RETRIEVE,
    Archived,
    Halved,
    Hung,
    Page,
    Refused,
    Reset,
    ShortPage,
    Slow,
    Stuck,
)
from pipeline.local.ledger import LEFT, NO_STATUS
from pipeline.local.model import Model
from pipeline.local.stage import Call, Stage
from pipeline.local.submission import Submission

MAX_BODY_BYTES = 256 * 1024 * 1024
"""docs: api/errors, request size limits (2026-10-08)."""
DISCARDED_BYTES = 2 * MAX_BODY_BYTES
"""So much of a body that is too large is read and dropped, as a client that still sends does not see the answer."""
LINES = "application/x-jsonl"
PATH = "/v1/messages/batches"
SEEN = (Slow, Stuck, Archived)
"""Faults of a create that its client hears the answer of."""
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class BatchApi:
    """The handlers of the routes, and the batches that there are."""

    def __init__(self, model: Model, stage: Stage, connections: Connections, new_id: Callable[[str], str]) -> None:
        self._stage = stage
        self._connections = connections
        self._new_id = new_id
        self._worker = Worker(model, stage, new_id)
        self._batches: dict[str, Batch] = {}
        self._work: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}

    def routes(self) -> list[Route]:
        one = f"{PATH}/{{id}}"
        return [
            Route(PATH, self._counted(CREATE, self.create), methods=["POST"]),
            Route(PATH, self._counted(LIST, self.list_batches), methods=["GET"]),
            Route(one, self._counted(RETRIEVE, self.retrieve), methods=["GET"]),
            Route(one, self._counted(DELETE, self.delete), methods=["DELETE"]),
            Route(f"{one}/results", self._counted(RESULTS, self.results), methods=["GET"]),
            Route(f"{one}/cancel", self._counted(CANCEL, self.cancel), methods=["POST"]),
        ]

    def reset(self) -> None:
        """Forgets all batches, and ends the work on them."""
        for task, _ in self._work.values():
            task.cancel()
        self._work.clear()
        self._batches.clear()

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        version = request.headers.get("anthropic-version")
        messages.check_version(version)
        requests, hashed = await _submitted(request)
        call = self._stage.calls(CREATE, hashed)
        if not call.takes_effect:
            return await self._troubled(request, call, None)
        waiting = sum(len(each.requests) for each in self._batches.values() if each.ended_at is None)
        self._stage.check_queue(waiting, len(requests))
        batch = self._opened(requests, hashed, version, call)
        books = self._stage.ledger.batches
        books.unseen += 1
        response = await self._troubled(request, call, json_response(batch.told(str(request.base_url), batch.created_at)))
        if not isinstance(response, Nothing) and (call.rule is None or isinstance(call.rule.effect, SEEN)):
            books.unseen -= 1
        return response

    async def retrieve(self, request: Request) -> Response:
        batch = self._batch(request)
        call = self._stage.calls(RETRIEVE, batch.key)
        return await self._troubled(request, call, self._told(request, batch))

    async def list_batches(self, request: Request) -> Response:
        call = self._stage.calls(LIST, request.url.query.encode())
        newest_first = list(reversed(self._batches.values()))
        is_short = call.rule is not None and isinstance(call.rule.effect, ShortPage)
        ids = [each.id for each in newest_first]
        page = paging.page(ids, request.query_params, "batch", 1 if is_short else paging.MOST)
        wall, base_url = self._stage.wall(), str(request.base_url)
        data = [each.told(base_url, wall) for each in newest_first[page.start : page.end]]
        told = {
            "data": data,
            "has_more": page.has_more,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }
        return await self._troubled(request, call, json_response(told))

    async def results(self, request: Request) -> Response:
        batch = self._batch(request)
        if batch.ended_at is None:
            raise ApiError(404, f"Batch {batch.id} has no results yet: it is {batch.status}")
        if batch.archived_at(self._stage.wall()) is not None:
            raise ApiError(404, f"The results of batch {batch.id} are no longer available: they are kept for 29 days")
        call = self._stage.calls(RESULTS, batch.key)
        end, cut_off = batch.results.size, None
        if call.rule is not None and isinstance(call.rule.effect, Halved):
            end = _within_a_line(batch)
            cut_off = None if call.rule.effect.clean else self._connections
        books, is_part = self._stage.ledger.batches, end < batch.results.size

        def done(is_whole: bool) -> None:
            books.results_read += is_whole and not is_part
            books.results_broken += not is_whole or is_part
            books.lines_sent += batch.lines if is_whole and not is_part else 0

        return await self._troubled(request, call, Download(batch.results, end, LINES, done, cut_off))

    async def cancel(self, request: Request) -> Response:
        batch = self._batch(request)
        if batch.ended_at is not None:
            raise invalid(f"Batch {batch.id} cannot be canceled: it has ended")
        call = self._stage.calls(CANCEL, batch.key)
        if call.takes_effect:
            self._stage.ledger.batches.canceled += batch.cancel_initiated_at is None
            batch.cancel(self._stage.now(), self._stage.wall())
            self._work[batch.id][1].set()
        return await self._troubled(request, call, self._told(request, batch))

    async def delete(self, request: Request) -> Response:
        batch = self._batch(request)
        if batch.ended_at is None:
            raise invalid(f"Batch {batch.id} cannot be deleted: it is {batch.status}; cancel it first")
        call = self._stage.calls(DELETE, batch.key)
        if call.takes_effect:
            self._stage.ledger.batches.deleted += 1
            del self._batches[batch.id]
        return await self._troubled(request, call, json_response({"id": batch.id, "type": "message_batch_deleted"}))

    # -- parts of calls ------------------------------------------------------------------------------------------------

    def _counted(self, place: str, handler: Handler) -> Handler:
        """The handler, its outcome told to the ledger."""

        async def counted(request: Request) -> Response:
            books = self._stage.ledger.batches

            def tell(status: str) -> None:
                books.by_call[f"{place} {status}"] += 1

            return await ended(handler(request), tell)

        return counted

    def _batch(self, request: Request) -> Batch:
        messages.check_version(request.headers.get("anthropic-version"))
        batch = self._batches.get(request.path_params["id"])
        if batch is None:
            raise ApiError(404, f"There is no batch {request.path_params['id']}")
        if batch.is_broken:
            raise ApiError(500, "Internal server error")
        return batch

    def _told(self, request: Request, batch: Batch) -> Response:
        return json_response(batch.told(str(request.base_url), self._stage.wall()))

    def _opened(self, requests: Requests, hashed: bytes, version: str | None, call: Call) -> Batch:
        """A new batch, and the work on it begun."""
        effect = call.rule.effect if call.rule else None
        batch = Batch(
            id=self._new_id("msgbatch"),
            key=hashed + call.luck.to_bytes(8, "big"),
            version=version,
            requests=requests,
            created_at=self._stage.wall(),
            began=self._stage.now(),
            takes_s=self._stage.batch_time_s(call.luck),
            luck=call.luck,
            is_stuck=isinstance(effect, Stuck),
            is_archived=isinstance(effect, Archived),
        )
        books = self._stage.ledger.batches
        books.created += 1
        for custom_id, params in requests.digests():
            books.submitted(custom_id, params)
        wakes = asyncio.Event()
        task = asyncio.create_task(self._worker.works(batch, wakes))
        self._batches[batch.id], self._work[batch.id] = batch, (task, wakes)
        task.add_done_callback(lambda task: self._worked(batch, task))
        return batch

    def _worked(self, batch: Batch, task: asyncio.Task[None]) -> None:
        """A defect of ours, or a full disk, must not look like a batch that takes its time."""
        self._work.pop(batch.id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            batch.is_broken = True
            told = {"message": f"batch {batch.id} broke off", "exception": error, "task": task}
            asyncio.get_running_loop().call_exception_handler(told)

    async def _troubled(self, request: Request, call: Call, answer: Response | None) -> Response:
        """The answer when its time has come, or what becomes of it. None: the call did not take effect."""
        if not await waits(request, call.wait_s):
            return Nothing(LEFT)
        rule = call.rule
        if rule is not None and isinstance(rule.effect, Refused):
            raise refusal(rule, rule.effect, "", {})
        match rule.effect if rule else None, answer:
            case Page() as page, _:
                return html_response(page)
            case Reset(), _:
                self._connections.reset(client_of(request.scope))
                await left(request)
                return Nothing(NO_STATUS)
            case Hung(), _:
                self._connections.hangs(client_of(request.scope))
                await left(request)
                return Nothing(NO_STATUS)
            case Halved(clean), Response() if not isinstance(answer, Download):
                body = bytes(answer.body)
                half = body[: len(body) // 2]
                return Response(half, media_type=JSON) if clean else Cut(half, len(body), self._connections, {}, JSON)
        assert answer is not None, "only refusals, pages, resets and hangs are without effect"
        return answer


async def _submitted(request: Request) -> tuple[Requests, bytes]:
    """The requests of a batch, and a digest of the body. ApiError 400 and 413, once all of it has been read."""
    submission, requests, hashed = Submission(), Requests(), blake2b(digest_size=16)
    size, fault = 0, None
    async for piece in request.stream():
        size += len(piece)
        if size > DISCARDED_BYTES:
            break
        hashed.update(piece)
        fault = fault or _fed(submission, requests, piece, last=False)
    if size > MAX_BODY_BYTES:
        raise ApiError(413, "Request exceeds the maximum size")
    if fault := fault or _fed(submission, requests, b"", last=True):
        raise fault
    return requests, hashed.digest()


def _fed(submission: Submission, requests: Requests, piece: bytes, *, last: bool) -> ApiError | None:
    try:
        for each in submission.feed(piece, last=last):
            requests.add(each)
    except ApiError as fault:
        return fault
    return None


def _within_a_line(batch: Batch) -> int:
    """About half of the results, and not where a line ends."""
    half = batch.results.size // 2
    return half - 8 if half > 8 and batch.results.read(half - 1, 1) == b"\n" else half
