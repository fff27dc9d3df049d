"""Answers the requests of a batch, one after another, while the server answers others.

Results are made before a batch ends, and not when they are read: its counts must be true, and they must be read faster
than answers can be made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import orjson

from pipeline.local import messages, reply
from pipeline.local.batch import Batch
from pipeline.local.errors import ApiError
from pipeline.local.exchange import refusal
from pipeline.local.faults import Doubled, Effect, Lacking, Lost, Refused, Unanswered
from pipeline.local.model import Model
from pipeline.local.question import Question
from pipeline.local.reply import Part
from pipeline.local.spoil import spoiled
from pipeline.local.stage import Scene, Stage, divided
from pipeline.local.submission import Submitted

SLICE_S = 0.01
"""So long at most other requests wait."""


class Worker:
    def __init__(self, model: Model, stage: Stage, new_id: Callable[[str], str]) -> None:
        self._model = model
        self._stage = stage
        self._new_id = new_id

    async def works(self, batch: Batch, wakes: asyncio.Event) -> None:
        """Until the batch has ended. `wakes` is set when it was canceled."""
        books = self._stage.ledger.batches
        while not batch.is_over(now := self._stage.now()):
            if batch.made < batch.due(now):
                await self._answers(batch, now)
                await asyncio.sleep(0)
            else:
                await _set_or_over(wakes, batch.next_s(now))
        await self._leaves(batch)
        batch.end(self._stage.wall())
        books.ended += 1
        books.by_result.update(batch.counts)

    async def _answers(self, batch: Batch, now: float) -> None:
        due = batch.due(now)
        while batch.made < due and self._stage.now() < now + SLICE_S:
            submitted = batch.upcoming()
            result, effect = await self._result(submitted, batch.version)
            copies = 0 if effect == Lost() else 2 if effect == Doubled() else 1
            batch.put(result["type"], _line(submitted, result), copies=copies)

    async def _leaves(self, batch: Batch) -> None:
        """Requests that nobody will answer have a line as well."""
        result = {"type": batch.unanswered}
        since = self._stage.now()
        while batch.made < len(batch.requests):
            batch.put(batch.unanswered, _line(batch.upcoming(), result))
            if self._stage.now() >= since + SLICE_S:
                await asyncio.sleep(0)
                since = self._stage.now()

    async def _result(self, submitted: Submitted, version: str | None) -> tuple[dict[str, Any], Effect | None]:
        """What stands in the results, and the fault that it met."""
        try:
            question = messages.batched(submitted.params, version)
            card = self._model.card(question.model)
            scene = self._stage.enters_in_batch(submitted.params, question, card)
            if isinstance(scene.effect, Unanswered):
                return {"type": scene.effect.result}, scene.effect
            if scene.rule is not None and isinstance(scene.effect, Refused):
                raise refusal(scene.rule, scene.effect, question.model, {})
            heading = reply.Heading(
                self._new_id("msg"), self._new_id("toolu"), card.name, question.form, question.geo or "global", scene.tier
            )
            message = reply.message(heading, await self._parts(scene, question))
        except ApiError as error:
            told = reply.error(error.type, error.message, self._new_id("req"), error.code)
            return {"type": "errored", "error": told}, None
        if scene.effect == Lacking("usage"):
            del message["usage"]
        return {"type": "succeeded", "message": message}, scene.effect

    async def _parts(self, scene: Scene, question: Question) -> list[Part]:
        async with aclosing(self._model.reply(question)) as given:
            parts = [part async for part in given]
        if scene.rule is not None:
            parts = spoiled(parts, scene.rule.effect, scene.rule.category, scene.random)
        parts = [divided(part, scene) for part in parts]
        self._stage.begins(scene)
        self._stage.ends(scene, parts, unread=scene.effect == Lost())
        return parts


async def _set_or_over(event: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await event.wait()
    except TimeoutError:
        return
    event.clear()


def _line(submitted: Submitted, result: dict[str, Any]) -> bytes:
    return orjson.dumps({"custom_id": submitted.custom_id, "result": result}, option=orjson.OPT_APPEND_NEWLINE)
