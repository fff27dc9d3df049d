"""Waits for batches to end, and files their results: raw and durable before anything reads them.

Whatever order they come in, and wherever the last collection of the same batch broke off: what is filed is filed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.call import parcel as shapes
from pipeline.call.adopting import Adopting
from pipeline.call.asking import Asking
from pipeline.call.caller import Memory
from pipeline.call.outbox import Outbox
from pipeline.call.parcel import Remote
from pipeline.call.results import Results
from pipeline.call.terms import Pace
from pipeline.call.wire import Shape, read
from pipeline.errors import BatchUnknown, ServiceDown
from pipeline.events import Listener, Notice
from pipeline.records import Filed, Parcel, Reply

GROUP = 2000
GROUP_BYTES = 8 << 20
"""Results a commit."""


@dataclass(slots=True)
class Collecting:
    memory: Memory
    outbox: Outbox
    asking: Asking
    adopting: Adopting
    results: Results
    shape: Shape
    tell: Listener
    clock: Callable[[], float]
    pace: Pace

    async def collect(self, *, once: bool) -> bool:
        """See call/batch.py."""
        moved = False
        lost: dict[int, BatchUnknown] = {}
        wait_s, begun, next_told_s = self.pace.first_s, self.clock(), 0.0
        while (out := self.memory.out()) and not self.asking.halt.is_set():
            news = False
            told = self.clock() - begun >= next_told_s
            for number, parcel in enumerate(out, 1):
                which = f"batch {number} of {len(out)}"
                if parcel.number in lost:
                    continue
                try:
                    news = await self._looked(parcel, which, told=told and not once) or news
                except BatchUnknown as error:  # the others are collected all the same
                    lost[parcel.number] = error = _way_out(error, parcel)
                    self.tell(Notice(f"{error.message}; {error.next_step}"))
                if self.asking.halt.is_set():
                    return moved or news
            moved = moved or news
            if lost and lost.keys() >= {parcel.number for parcel in self.memory.out()}:
                if not moved:
                    raise next(iter(lost.values()))
                break  # what was collected is judged first
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
        answer = await self.asking.told(lambda: self.asking.server.batch(parcel.batch_id or ""), f"{which} ({parcel.batch_id})")
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
        fates: Counter[str] = Counter()
        for _ in range(shapes.TRIES):
            path = await self.results.fetched(remote, parcel, which)
            if path is None:
                break
            fates += await self._filed(parcel, path)
            path.unlink()
            if not self.memory.left(parcel):
                break
            self.tell(Notice(f"{which}: its results end before all requests have one; they are fetched again"))
        if self.asking.halt.is_set() and self.memory.left(parcel):
            return False
        missing = self.outbox.doubt(slip.worst_usd for slip in self.memory.unfiled(parcel))
        if missing and remote.are_results_gone(self.clock()):
            told = f"its results were kept for 29 days and are gone; {missing:,} requests may have been paid"
            self.tell(Notice(f"{which}: {told}"))
        elif missing:
            self.tell(Notice(f"{which}: its results say nothing of {missing:,} requests, which may have been paid"))
        await self.memory.collected(parcel)
        said = ", ".join(f"{number:,} {fate}" for fate, number in fates.most_common())
        self.tell(Notice(f"{which} has ended: {said or 'nothing new'}"))
        return True

    async def _filed(self, parcel: Parcel, path: Path) -> Counter[str]:
        """Files every line of results that is not filed yet, raw. How many had which fate."""
        fates: Counter[str] = Counter()
        before = parcel.requests - self.memory.left(parcel)
        strange = known = 0
        with path.open("rb") as file:
            for group in _groups(file):
                lines = [told for raw in group if (told := shapes.line(raw)) is not None]
                names = [(told, name) for told in lines if (name := shapes.named(told.custom_id)) is not None]
                # Sorted: the journal is gone through from page to page, not back and forth.
                asked = self.memory.asked(parcel, sorted(name[:2] for _, name in names if name[3] == parcel.nonce))
                fresh: dict[tuple[int, int], Filed] = {}
                for told, (position, ask, key, nonce) in names:
                    slip, filed = asked.get((position, ask), (None, False))
                    if slip is None or nonce != parcel.nonce or not slip.key.hex().startswith(key):
                        strange += 1
                    elif filed or (position, ask) in fresh:
                        known += 1
                    else:
                        fresh[position, ask] = Filed(position, ask, slip.key, told.fate, told.body, slip.worst_usd)
                        fates[told.fate] += 1
                strange += len(group) - len(names)
                if fresh:
                    await self._written(parcel, [fresh[where] for where in sorted(fresh)])
        twice = max(0, known - before)  # a collection that broke off has filed the others
        if strange or twice:
            self.tell(
                Notice(f"the results held {strange:,} lines that are none of ours or cut, and {twice:,} for a second time")
            )
        return fates

    async def _written(self, parcel: Parcel, group: list[Filed]) -> None:
        replies = await self.memory.file(parcel, group, self.clock())
        for filed, reply in zip(group, replies, strict=True):
            if reply is not None:
                self._settled(filed.worst_usd, filed.body, reply)
        self.outbox.give_back(filed.worst_usd for filed, reply in zip(group, replies, strict=True) if reply is None)

    def _settled(self, worst_usd: float | None, body: bytes, reply: int) -> None:
        if worst_usd is None or self.outbox.purse.account.limit_usd is None:
            self.outbox.settle(worst_usd, 0.0)  # nobody asks what is spent, and the reply is priced where it is judged
            return
        told = read(body, self.shape.form, request_id=None, latency_s=None, at=0.0, attempts=0)
        usd = self.outbox.purse.cost_usd(told) if isinstance(told, Reply) else None
        self.outbox.settle(worst_usd, worst_usd if usd is None else usd)
        self.memory.priced(reply, usd)


def _groups(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """As many as are written together: a result may be of a megabyte."""
    group: list[bytes] = []
    size = 0
    for line in lines:
        group.append(line)
        size += len(line)
        if len(group) == GROUP or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _way_out(error: BatchUnknown, parcel: Parcel) -> BatchUnknown:
    if parcel.batch_id is None:
        return error
    todo = (
        "use the key that sent it, of the same workspace; if it was deleted, `pipeline cancel CONFIG --forget "
        f"{parcel.batch_id}` lets its {parcel.requests:,} requests be sent again, though they may have been paid"
    )
    return BatchUnknown(error.message, todo=todo)
