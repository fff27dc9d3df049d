"""What is out in batches, and the money that is set aside for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.call.caller import Memory
from pipeline.call.parcel import Remote
from pipeline.call.purse import Purse
from pipeline.events import Listener, Notice
from pipeline.records import Parcel


@dataclass(slots=True)
class Outbox:
    """One a run. Holds what an earlier run has left out as soon as it is made."""

    memory: Memory
    purse: Purse
    tell: Listener
    requests: int = field(default=0, init=False)
    """In batches that arrived in this run."""
    deferred: int = field(default=0, init=False)
    """Prompts of this pass that wait for batches to end before they can be enclosed."""
    full: bool = field(default=False, init=False)
    """Nothing more is submitted in this pass."""

    def __post_init__(self) -> None:
        for worst_usd in self.memory.held_usd():
            self.purse.account.set_aside(worst_usd)

    def begin_pass(self) -> None:
        self.deferred = 0
        self.full = False
        self.memory.begin_pass()

    def put(self, worst_usd: float | None) -> None:
        """A request is about to leave; None: nobody knows what it may cost. Each is ended by one of the next three."""
        if worst_usd is not None:
            self.purse.account.set_aside(worst_usd)

    def settle(self, worst_usd: float | None, paid_usd: float) -> None:
        """Its reply came, and cost that."""
        if worst_usd is not None:
            self.purse.account.settle(worst_usd, paid_usd)

    def give_back(self, requests: Iterable[float | None]) -> None:
        """The worst case of some that were not paid."""
        for worst_usd in requests:
            if worst_usd is not None:
                self.purse.account.give_back(worst_usd)
        self.purse.wake()

    def doubt(self, requests: Iterable[float | None]) -> int:
        """Of some that may have been paid, and nothing more will be heard of them. How many they are."""
        number = 0
        for worst_usd in requests:
            number += 1
            if worst_usd is not None:
                self.purse.account.doubt(worst_usd)
        self.purse.wake()
        return number

    async def arrived(self, parcel: Parcel, remote: Remote) -> None:
        """The service has it."""
        await self.memory.submitted(parcel, remote.batch_id, remote.created_at)
        self.requests += parcel.requests
        self.tell(Notice(f"batch {remote.batch_id}: {parcel.requests:,} requests are with the service"))

    async def never_came(self, parcel: Parcel) -> None:
        """The service does not have it, and never had: what is in it is as if never sent."""
        self.give_back(slip.worst_usd for slip in self.memory.unfiled(parcel))
        await self.memory.dropped(parcel)
