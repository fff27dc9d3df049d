"""What is in batches: which requests wait for the reply of one, and the money that is set aside for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.call.caller import Memory
from pipeline.call.parcel import Remote
from pipeline.call.purse import Purse
from pipeline.events import Listener, Notice
from pipeline.records import Parcel, Slip


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
    _waiting: set[int] = field(default_factory=set, init=False)
    """The first eight bytes of the key of every request in a batch: an identical one waits for its reply. About 60 bytes a
    request that is out."""

    def __post_init__(self) -> None:
        for key, worst_usd in self.memory.waiting():
            self._waiting.add(_prefix(key))
            if worst_usd is not None:
                self.purse.account.set_aside(worst_usd)

    def holds(self, key: bytes) -> bool:
        """Whether this very request is in a batch, or about to be."""
        return _prefix(key) in self._waiting

    def begin_pass(self) -> None:
        self.deferred = 0
        self.full = False

    def put(self, slip: Slip) -> None:
        """It is about to leave. Each is ended by one of `settle`, `give_back`, `doubt`."""
        if slip.worst_usd is not None:
            self.purse.account.set_aside(slip.worst_usd)
        self._waiting.add(_prefix(slip.key))

    def settle(self, slip: Slip, paid_usd: float) -> None:
        """Its reply came, and cost that."""
        self._waiting.discard(_prefix(slip.key))
        if slip.worst_usd is not None:
            self.purse.account.settle(slip.worst_usd, paid_usd)

    def give_back(self, slips: Iterable[Slip]) -> None:
        """They were not paid."""
        for slip in slips:
            self._waiting.discard(_prefix(slip.key))
            if slip.worst_usd is not None:
                self.purse.account.give_back(slip.worst_usd)
        self.purse.wake()

    def doubt(self, slips: Iterable[Slip]) -> None:
        """They may have been paid, and nothing more will be heard of them."""
        for slip in slips:
            self._waiting.discard(_prefix(slip.key))
            if slip.worst_usd is not None:
                self.purse.account.doubt(slip.worst_usd)
        self.purse.wake()

    async def arrived(self, parcel: Parcel, remote: Remote) -> None:
        """The service has it."""
        await self.memory.submitted(parcel, remote.batch_id, remote.created_at)
        self.requests += parcel.requests
        self.tell(Notice(f"batch {remote.batch_id}: {parcel.requests:,} requests are with the service"))

    async def never_came(self, parcel: Parcel) -> None:
        """The service does not have it, and never had: what is in it is as if never sent."""
        contents = self.memory.contents(parcel).items()
        await self.memory.dropped(parcel)
        self.give_back([Slip(position, ask, key, usd) for (position, ask), (key, filed, usd) in contents if not filed])


def _prefix(key: bytes) -> int:
    return int.from_bytes(key[:8])
