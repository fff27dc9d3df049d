"""The ports of this room: what a caller is, what it sends through, and whom it tells before and after.

Values here are plain: `Response` and `Broken` are all that the network says, without any type of the SDK.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.records import Failure, Prompt, Recall, Reply


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


class Transport(Protocol):
    """Sends one request, once."""

    async def send(self, body: Mapping[str, object]) -> Response | Broken: ...

    async def close(self) -> None: ...


class Ledger(Protocol):
    """The durable memory, as a caller sees it. Raises StorageFailed when it cannot remember: then nothing may be sent."""

    def recall(self, prompt: Prompt, key: bytes) -> Recall | None:
        """What is known of this ask: what an earlier run left of it, or a reply to an identical request, if `prompt.use`
        admits one; None if there is neither."""

    async def sent(self, prompt: Prompt, key: bytes) -> None:
        """Returns once it is durable that this request leaves now."""

    async def replied(
        self, prompt: Prompt, key: bytes, *, body: bytes, request_id: str | None, latency_s: float, at: float
    ) -> None:
        """Returns once the raw reply is durable. `at` is Unix time."""

    async def unpaid(self, prompt: Prompt, key: bytes) -> None:
        """The request that was sent is known not to be billed."""


class Caller(Protocol):
    """Prompts in, replies out, in any order.

    `replies` pulls a prompt when it has room for it. A failure that concerns the account or the service, not a row, ends the
    iteration by raising a PipelineError, after all replies in flight were given; prompts without a reply are then given back
    as Failure with status PENDING.
    """

    def replies(self, prompts: AsyncIterator[Prompt]) -> AsyncGenerator[tuple[Prompt, Reply | Failure]]: ...
