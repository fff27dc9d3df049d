"""The ports of this room: what a caller is, what it sends through, and whom it tells before and after.

Values here are plain: `Response` and `Broken` are all that the network says, without any type of the SDK.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.errors import PipelineError
from pipeline.records import JSON, Enclosed, Failure, Filed, Parcel, Prompt, Recall, Reply, Slip, Status


@dataclass(frozen=True, slots=True)
class Access:
    """What a client is made of; but for the key, which it takes from the environment itself."""

    base_url: str
    keyless: bool
    """A server on this machine, which takes any key: none of ours is sent there."""
    timeout_s: float
    connections: int
    """Open at once, at most."""
    proxied: bool
    """Whether the proxies of the environment are used."""
    streamed_above: int
    """A reply of more tokens is streamed."""
    api_version: str


@dataclass(frozen=True, slots=True)
class Response:
    """A whole HTTP response of any status."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names; those that matter: request-id, retry-after, x-should-retry, content-type, anthropic-ratelimit-*."""
    body: bytes
    latency_s: float


@dataclass(frozen=True, slots=True)
class Broken:
    """A request that brought no whole response."""

    sent: bool
    """Whether it may have reached the server, and so may be billed."""
    error: str
    latency_s: float
    unsendable: bool = False
    """It never leaves, however often it is tried: what it holds cannot be encoded."""
    ours: bool = False
    """It was lost on this side, with the process that sent it: that says nothing of the service or the way there."""
    stop: type[PipelineError] | None = None
    """What the run ends with, since nothing can be sent any more."""


class Transport(Protocol):
    """Sends one request, once."""

    @property
    def ready(self) -> bool:
        """Whether a request would leave at once. False while whoever sends it has to be started: for that, one is enough."""

    async def send(self, body: Mapping[str, object]) -> Response | Broken: ...

    async def close(self) -> None: ...


class Server(Transport, Protocol):
    """A Transport that can also be asked, free, what it knows of a model."""

    async def describe(self, model: str) -> Response | Broken: ...


class Batches(Protocol):
    """Message Batches: the calls, each made once."""

    async def create_batch(self, body: Path, size: int) -> Response | Broken:
        """Sends the content of a file of so many bytes. What comes back Broken and sent may have taken effect."""

    async def batch(self, batch_id: str) -> Response | Broken: ...

    async def batches(self, after_id: str | None) -> Response | Broken:
        """One page, the newest batch first; the page behind `after_id`."""

    async def results(self, batch_id: str, to: Path) -> Response | Broken:
        """Into a file; the Response of a 200 has no body."""

    async def cancel_batch(self, batch_id: str) -> Response | Broken: ...


class BatchServer(Server, Batches, Protocol):
    """All that a run may ask of the API."""


class Counter(Protocol):
    """Counts tokens without asking: nothing is paid, and nothing answered."""

    async def count(self, body: Mapping[str, object]) -> int | str:
        """Input tokens of this request; in words, why they could not be counted."""

    async def close(self) -> None: ...


class Ledger(Protocol):
    """The durable memory, as a caller sees it. Raises StorageFailed when it cannot remember: then nothing may be sent."""

    def recall(self, prompt: Prompt, key: bytes) -> Recall | None:
        """What is known of this ask: what an earlier run left of it, or a reply to an identical request, if `prompt.use`
        admits one; None if there is neither."""

    async def sent(self, prompt: Prompt, key: bytes, worst_usd: float | None = None) -> None:
        """Returns once it is durable that this request leaves now, and what it may cost at most (None: not known)."""

    async def replied(
        self, prompt: Prompt, key: bytes, *, body: bytes, request_id: str | None, latency_s: float, at: float
    ) -> None:
        """Returns once the raw reply is durable. `at` is Unix time."""

    async def unpaid(self, prompt: Prompt, key: bytes) -> None:
        """The request that was sent is known not to be billed."""

    def priced(self, prompt: Prompt, usd: float) -> None:
        """What the latest reply to this ask has cost. Until then it counts at its worst."""


class Memory(Protocol):
    """What is durable of the batches of a run. Raises StorageFailed like a Ledger."""

    def out(self) -> list[Parcel]:
        """Those that are not collected, the oldest first."""

    def taken(self) -> set[str]:
        """The ids of all batches that are known to be ours."""

    def begin_pass(self) -> None:
        """Before `waits` is asked: it gathers what is out."""

    def waits(self, key: bytes) -> bool:
        """Whether this very request is in a batch and has no result."""

    def last(self) -> int:
        """The position of the last row of which anything is in a batch or came out of one; -1 where there is none."""

    def held_usd(self) -> Iterator[float]:
        """The worst case of every request that has no result, where it is known."""

    def find(self, position: int, ask: int, key: bytes) -> Enclosed | None: ...

    def results(self, retried: Collection[Status]) -> Iterator[tuple[int, int, Enclosed]]:
        """Position, Prompt.place and what became of it, of all asks whose latest result is there and not judged yet, in the
        order of their rows, without replies; not of rows that ended with one of `retried`. Nothing may be told while it is gone
        through."""

    def told(self, position: int, ask: int, key: bytes) -> None:
        """Its reply has been given: whoever finds it again finds one that is counted."""

    async def intend(self, parcel: Parcel, digest: bytes, slips: Sequence[Slip]) -> Parcel:
        """Returns once it is durable that this parcel leaves now; with its number."""

    async def submitted(self, parcel: Parcel, batch_id: str, created_at: float) -> None:
        """The server has it, under this id."""

    async def dropped(self, parcel: Parcel) -> None:
        """The server never took it: what is in it is as if never sent."""

    def asked(self, parcel: Parcel, asks: Collection[tuple[int, int]]) -> dict[tuple[int, int], tuple[Slip, bool]]:
        """(position, ask) → the slip, and whether its result is filed, of those that are in this parcel."""

    def left(self, parcel: Parcel) -> int:
        """How many of its requests have no result."""

    def unfiled(self, parcel: Parcel) -> Iterator[Slip]:
        """What of it has no result. Nothing may be told while it is gone through."""

    async def file(self, parcel: Parcel, results: Sequence[Filed], at: float) -> list[int | None]:
        """Returns once these are durable; the number of each reply."""

    def priced(self, reply: int, usd: float | None) -> None: ...

    async def collected(self, parcel: Parcel) -> None:
        """All its results are filed; what has none is missing."""


class Stake(Protocol):
    """Money set aside for one request. Until the request leaves it comes back by itself; from then on all of it counts, since
    the request may be billed, unless something else is said."""

    def leaves(self) -> float | None:
        """The request leaves now. What it can cost at most, in USD; None: the model has no price."""

    def settle(self, reply: Reply | None) -> float | None:
        """A reply came; None: one that cannot be read, and counts as all that was held. What it cost."""

    def give_back(self) -> None:
        """The request was not billed."""


class Budget(Protocol):
    """What a run may spend."""

    def holding(self, body: Mapping[str, JSON]) -> AbstractAsyncContextManager[Stake]:
        """Sets aside what this request can cost at most. Entering waits for what others may still give back: ask again
        afterwards whether the run goes on. Raises BudgetSpent where the request does not fit although nothing else is out."""


class Caller(Protocol):
    """Prompts in, replies out, in any order.

    `replies` pulls a prompt when it has room for it. A failure that concerns the account or the service, not a row, ends the
    iteration by raising a PipelineError, after all replies in flight were given; prompts without a reply are then given back
    as Failure with status PENDING.
    """

    def replies(self, prompts: AsyncIterator[Prompt]) -> AsyncGenerator[tuple[Prompt, Reply | Failure]]: ...
