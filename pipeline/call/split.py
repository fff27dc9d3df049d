"""A server to whose messages others see: workers, for example. All that is asked once or rarely goes by a client of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.call.caller import BatchServer, Broken, Response, Transport


@dataclass(frozen=True, slots=True)
class Split:
    """A BatchServer."""

    senders: Transport
    own: BatchServer

    @property
    def ready(self) -> bool:
        return self.senders.ready

    async def send(self, body: Mapping[str, object]) -> Response | Broken:
        return await self.senders.send(body)

    async def describe(self, model: str) -> Response | Broken:
        return await self.own.describe(model)

    async def create_batch(self, body: Path, size: int) -> Response | Broken:
        return await self.own.create_batch(body, size)

    async def batch(self, batch_id: str) -> Response | Broken:
        return await self.own.batch(batch_id)

    async def batches(self, after_id: str | None) -> Response | Broken:
        return await self.own.batches(after_id)

    async def results(self, batch_id: str, to: Path) -> Response | Broken:
        return await self.own.results(batch_id, to)

    async def cancel_batch(self, batch_id: str) -> Response | Broken:
        return await self.own.cancel_batch(batch_id)

    async def close(self) -> None:
        try:
            await self.senders.close()
        finally:
            await self.own.close()
