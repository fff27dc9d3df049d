"""Questions to the batches API that may be repeated: nothing is bought by them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import orjson

from pipeline.call.caller import Batches, Broken, Response
from pipeline.call.classify import Classifier, Verdict, broken
from pipeline.call.parcel import Remote, past
from pipeline.call.retry import Patience
from pipeline.errors import BatchUnknown, ComeBackLater, PipelineError, ServiceDown
from pipeline.records import JSON, Parcel


@dataclass(frozen=True, slots=True)
class Asking:
    server: Batches
    classify: Classifier
    patience: Callable[[], Patience]
    """For one question."""
    halt: asyncio.Event
    sleep: Callable[[float], Awaitable[None]]

    async def told(self, ask: Callable[[], Awaitable[Response | Broken]], what: str) -> JSON:
        """What the service answers; None where the run halts meanwhile. Raises what ends the run where it does not answer."""
        patience = self.patience()
        while True:
            answer = await ask()
            if isinstance(answer, Response) and answer.status == 200:
                with suppress(orjson.JSONDecodeError):
                    told: JSON = orjson.loads(answer.body) if answer.body else {}
                    return told
                answer = Broken(False, f"{what}: the answer is no JSON", answer.latency_s)
            if isinstance(answer, Response) and answer.status == 404:
                raise BatchUnknown(f"{what}: the service does not know it (HTTP 404)")
            verdict = broken(replace(answer, sent=False)) if isinstance(answer, Broken) else self.classify.failed(answer)
            verdict = replace(verdict, at_most=None, billed=False)
            wait_s = None if verdict.stop is not None else patience.after(verdict)
            if wait_s is None:
                raise (verdict.stop or verdict.ends or ends(verdict))(f"{what}: {verdict.error}")
            await self.pause(wait_s)
            if self.halt.is_set():
                return None

    async def listed(self, parcel: Parcel) -> list[Remote] | None:
        """All batches that are young enough to be this parcel; None where the run halts meanwhile."""
        found: list[Remote] = []
        after_id: str | None = None
        while True:
            page = await self._page(after_id)
            if page is None:
                return None
            told = page.get("data") if isinstance(page, dict) else None
            if not isinstance(page, dict) or not isinstance(told, list):
                raise ServiceDown("the service's list of batches is none")
            listed = [remote for entry in told if (remote := Remote.of(entry)) is not None]
            found += listed
            last = page.get("last_id")
            if not page.get("has_more") or not isinstance(last, str) or last == after_id or past(listed, parcel):
                return found
            after_id = last

    async def _page(self, after_id: str | None) -> JSON:
        return await self.told(lambda: self.server.batches(after_id), "the list of batches")

    async def pause(self, wait_s: float) -> None:
        """Until then, or until the run halts."""
        halted = asyncio.create_task(self.halt.wait())
        over = asyncio.ensure_future(self.sleep(wait_s))
        try:
            await asyncio.wait((halted, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            halted.cancel()
            over.cancel()


def ends(verdict: Verdict) -> type[PipelineError]:
    """What ends the run where a batch cannot be sent or asked about, however often."""
    return ServiceDown if verdict.retry is None or verdict.wait_s is None else ComeBackLater
