"""Waits for batches to end, and files their results: raw and durable before anything reads them.

Whatever order they come in, and wherever the last collection of the same batch broke off: what is filed is filed once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.call import parcel as shapes
from pipeline.call.adopting import Adopting
from pipeline.call.asking import Asking
from pipeline.call.caller import Batches, Memory
from pipeline.call.outbox import Outbox
from pipeline.call.parcel import Line, Remote
from pipeline.call.purse import Purse
from pipeline.call.results import Results
from pipeline.call.terms import Pace
from pipeline.call.wire import Shape, read
from pipeline.errors import ServiceDown
from pipeline.events import Listener, Notice
from pipeline.records import Filed, Parcel, Reply, Slip

GROUP = 500
"""Results a commit."""


@dataclass(slots=True)
class Collecting:
    server: Batches
    memory: Memory
    outbox: Outbox
    asking: Asking
    adopting: Adopting
    results: Results
    shape: Shape
    purse: Purse
    halt: asyncio.Event
    tell: Listener
    clock: Callable[[], float]
    pace: Pace

    async def collect(self, *, once: bool) -> bool:
        """See call/batch.py."""
        moved = False
        wait_s, begun, next_told_s = self.pace.first_s, self.clock(), 0.0
        while (out := self.memory.out()) and not self.halt.is_set():
            news = False
            told = self.clock() - begun >= next_told_s
            for number, parcel in enumerate(out, 1):
                which = f"batch {number} of {len(out)}"
                news = await self._looked(parcel, which, told=told and not once) or news
                if self.halt.is_set():
                    return moved or news
            moved = moved or news
            if once or (moved and (self.outbox.deferred or self.outbox.full)):
                break
            if told:
                next_told_s = min(max(2 * next_told_s, 30.0), next_told_s + self.pace.told_s)
            if not news:
                await self.asking.pause(wait_s)
                wait_s = min(self.pace.longest_s, wait_s * self.pace.growth)
            else:
                wait_s = self.pace.first_s
        return moved

    async def _looked(self, parcel: Parcel, which: str, *, told: bool) -> bool:
        """Whether this parcel has come to an end."""
        if parcel.batch_id is None:
            return await self.adopting.settled(parcel, which, told=told)
        answer = await self.asking.told(lambda: self.server.batch(parcel.batch_id or ""), f"{which} ({parcel.batch_id})")
        if answer is None:
            return False
        remote = Remote.of(answer)
        if remote is None:
            raise ServiceDown(f"{which}: the service's answer about {parcel.batch_id} holds no batch")
        if remote.ended:
            return await self._taken_in(parcel, remote, which)
        if told:
            minutes = max(0.0, self.clock() - remote.created_at) / 60
            state = remote.status.replace("_", " ")
            self.tell(Notice(f"{which}: {state} since {minutes:.0f} min; counts are told at the end"))
        return False

    async def _taken_in(self, parcel: Parcel, remote: Remote, which: str) -> bool:
        contents = self.memory.contents(parcel)
        fates: Counter[str] = Counter()
        for _ in range(shapes.TRIES):
            path = await self.results.fetched(remote, parcel, which)
            if path is None:
                break
            fates += await self._filed(parcel, path, contents)
            path.unlink()
            if all(filed for _, filed, _ in contents.values()):
                break
            self.tell(Notice(f"{which}: its results end before all requests have one; they are fetched again"))
        missing = [Slip(*where, key, usd) for where, (key, filed, usd) in contents.items() if not filed]
        if self.halt.is_set() and missing:
            return False
        if missing and self.results.are_gone(remote):
            told = f"its results were kept for 29 days and are gone; {len(missing):,} requests may have been paid"
            self.tell(Notice(f"{which}: {told}"))
        elif missing:
            self.tell(Notice(f"{which}: its results say nothing of {len(missing):,} requests, which may have been paid"))
        self.outbox.doubt(missing)
        await self.memory.collected(parcel)
        said = ", ".join(f"{number:,} {fate}" for fate, number in fates.most_common())
        self.tell(Notice(f"{which} has ended: {said or 'nothing new'}"))
        return True

    async def _filed(
        self, parcel: Parcel, path: Path, contents: dict[tuple[int, int], tuple[bytes, bool, float | None]]
    ) -> Counter[str]:
        """Files every line of results that is not filed yet, raw; marks it in `contents`. How many had which fate."""
        fates: Counter[str] = Counter()
        seen: set[tuple[int, int]] = set()
        group: list[Filed] = []
        strange = twice = 0
        with path.open("rb") as file:
            for raw in file:
                told = shapes.line(raw)
                where = None if told is None else _where(told, parcel, contents)
                if told is None or where is None:
                    strange += 1
                    continue
                if where in seen:
                    twice += 1
                    continue
                seen.add(where)
                key, filed, worst_usd = contents[where]
                if filed:
                    continue
                contents[where] = key, True, worst_usd
                group.append(Filed(*where, key, told.fate, told.body))
                fates[told.fate] += 1
                if len(group) == GROUP:
                    await self._written(parcel, group, contents)
                    group = []
        if group:
            await self._written(parcel, group, contents)
        if strange or twice:
            self.tell(
                Notice(f"the results held {strange:,} lines that are none of ours or cut, and {twice:,} for a second time")
            )
        return fates

    async def _written(
        self, parcel: Parcel, group: list[Filed], contents: dict[tuple[int, int], tuple[bytes, bool, float | None]]
    ) -> None:
        replies = await self.memory.file(parcel, group, self.clock())
        for filed, reply in zip(group, replies, strict=True):
            slip = Slip(filed.position, filed.ask, filed.key, contents[filed.position, filed.ask][2])
            if reply is None:
                self.outbox.give_back([slip])
            else:
                self._settled(slip, filed.body, reply)

    def _settled(self, slip: Slip, body: bytes, reply: int) -> None:
        if slip.worst_usd is None or self.purse.account.limit_usd is None:
            self.outbox.settle(slip, 0.0)  # nobody asks what is spent, and the reply is priced where it is judged
            return
        told = read(body, self.shape.form, request_id=None, latency_s=0.0, at=0.0, attempts=0)
        usd = self.purse.cost_usd(told) if isinstance(told, Reply) else None
        self.outbox.settle(slip, slip.worst_usd if usd is None else usd)
        self.memory.priced(reply, usd)


def _where(
    told: Line, parcel: Parcel, contents: dict[tuple[int, int], tuple[bytes, bool, float | None]]
) -> tuple[int, int] | None:
    """The ask of this parcel that a result names; None: it is not one of its."""
    named = shapes.named(told.custom_id)
    if named is None or named[3] != parcel.nonce or named[:2] not in contents:
        return None
    return named[:2] if contents[named[:2]][0].hex().startswith(named[2]) else None
