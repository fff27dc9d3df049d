"""What became of a batch whose creation brought no answer: it is looked for, and adopted where the service has it.

The service's list is searched: by time and number of requests while a candidate runs, by the nonce in the names of its requests
once it has ended. Until that is settled nothing of it is sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.call.asking import Asking
from pipeline.call.caller import Memory
from pipeline.call.outbox import Outbox
from pipeline.call.parcel import Remote, candidates, named
from pipeline.call.results import Results, first_name
from pipeline.call.terms import Pace
from pipeline.errors import BatchUnknown
from pipeline.events import Listener, Notice
from pipeline.records import Parcel


@dataclass(slots=True)
class Adopting:
    memory: Memory
    outbox: Outbox
    asking: Asking
    results: Results
    tell: Listener
    clock: Callable[[], float]
    pace: Pace
    _refuted: set[str] = field(default_factory=set, init=False)
    """Batches that are somebody else's."""

    async def settled(self, parcel: Parcel, which: str, *, told: bool) -> bool:
        """Looks for a parcel that may have arrived. Whether that is over: it never came, and is to be sent again. Where it is
        found it goes on as one that arrived, and is not over. `told`: a line of progress is due. Raises BatchUnknown where
        nobody can tell any more."""
        listed = await self.asking.listed(parcel)
        if listed is None:
            return False
        found = candidates(listed, parcel, self.memory.taken() | self._refuted)
        for remote in found:
            if not remote.ended:
                continue
            if remote.are_results_gone(self.clock()):
                raise BatchUnknown(
                    f"{which} is perhaps {remote.batch_id}, whose results were kept for 29 days and are gone: nobody can tell",
                    todo=f"`pipeline cancel CONFIG --forget {parcel.nonce}` lets its {parcel.requests:,} requests be sent "
                    "again, though they may have been paid",
                )
            is_it = await self._is_it(remote, parcel)
            if is_it:
                await self.outbox.arrived(parcel, remote)
            if is_it is not False:
                return False  # it is collected by the next look; or it may be it, and nothing is sent again
            self._refuted.add(remote.batch_id)
        if any(remote.batch_id not in self._refuted for remote in found):
            if told:
                self.tell(Notice(f"{which}: one on the server may be it; it tells which requests it holds when it has ended"))
            return False
        if self.clock() < parcel.after + self.pace.settle_s:
            return False
        self.tell(Notice(f"{which} never came to the service: it is sent again"))
        self.outbox.deferred += parcel.requests
        await self.outbox.never_came(parcel)
        return True

    async def _is_it(self, remote: Remote, parcel: Parcel) -> bool | None:
        """Whether an ended batch is this parcel, by the names of its requests; None: that cannot be told just now."""
        path = await self.results.fetched(remote, parcel, f"batch {remote.batch_id}")
        if path is None:
            return None
        first = first_name(path)
        path.unlink()
        if first is None:
            return None
        name = named(first)
        return name is not None and name[3] == parcel.nonce
