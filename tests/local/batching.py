"""Batches of the embedded server through the real SDK: what the tests of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

from anthropic import AsyncAnthropic

from pipeline.commands.prices import shipped_prices
from pipeline.local.faults import Rule
from pipeline.local.script import Latency, Script
from pipeline.records import Usage
from tests.local.running import in_thread, stats

HAIKU = "claude-haiku-5-5"
PRICES = shipped_prices()
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"label": {"enum": ["a", "b"]}},
    "required": ["label"],
    "additionalProperties": False,
}
Params = dict[str, Any]


def price(model: str, usage: Usage, geo: str | None, tier: str) -> float | None:
    return PRICES.cost_usd(model, usage, geo=geo, tier=tier)


def params(text: str, **changes: Any) -> Params:
    return {
        "model": HAIKU,
        "max_tokens": 200,
        "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": text}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        **changes,
    }


def some(count: int, prefix: str = "r") -> list[Any]:
    return [{"custom_id": f"{prefix}{number}", "params": params(f"Text {number}")} for number in range(count)]


class Server:
    """A rehearsal of its own, and the SDK."""

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def client(self, patience_s: float = 10) -> AsyncIterator[AsyncAnthropic]:
        async with AsyncAnthropic(
            api_key="any", base_url=self.url, max_retries=0, timeout=patience_s, _strict_response_validation=True
        ) as made:
            yield made

    def batches(self) -> dict[str, Any]:
        told: dict[str, Any] = stats(self.url)["batches"]
        return told


Starts = Callable[..., Server]
"""Starts a rehearsal with faults, whose batches end at once unless `batch_time_s` says else."""


@contextmanager
def starting() -> Iterator[Starts]:
    with ExitStack() as stack:

        def start(*rules: Rule, batch_time_s: float = 0.0, seed: int = 0, queue: int | None = None) -> Server:
            script = Script(rules=rules, batch_time=Latency(batch_time_s), batch_queue=queue)
            return Server(stack.enter_context(in_thread("rehearsal", script=script, price=price, seed=seed)))

        yield start


async def ended(client: AsyncAnthropic, batch_id: str) -> Any:
    """The batch once it has ended; asked for again and again, as often as answers come."""
    for _ in range(5_000):
        if (batch := await client.messages.batches.retrieve(batch_id)).processing_status == "ended":
            return batch
    raise AssertionError("the batch did not end")


async def results(client: AsyncAnthropic, batch_id: str) -> list[Any]:
    return [each async for each in await client.messages.batches.results(batch_id)]
