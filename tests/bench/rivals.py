"""`python -m tests.bench.rivals floor|by_hand URL ROWS.csv AT_ONCE`: what a row is compared with.

`floor` is the least that the SDK itself takes: requests out, raw responses back, nothing read, checked or kept. `by_hand` is
the script that one writes without this program: typed responses, JSON read, answers in a list that ends with the process; on
the aiohttp transport, as nobody who does not measure would have it. Both have the collector set as the program sets it, so that
what is compared is the work.
"""

from __future__ import annotations

import asyncio
import csv
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
from anthropic import AsyncAnthropic, DefaultAioHttpClient

from tests.bench.jobs import MAX_TOKENS, SCHEMA, SYSTEM
from tests.bench.server import MODEL

Ask = Callable[[AsyncAnthropic, str], Awaitable[object]]


async def floor(client: AsyncAnthropic, text: str) -> bytes:
    raw = await client.messages.with_raw_response.create(
        model=MODEL,
        max_tokens=MAX_TOKENS,
        system=SYSTEM,
        messages=[{"role": "user", "content": text}],
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    return await raw.read()


async def by_hand(client: AsyncAnthropic, text: str) -> object:
    message = await client.messages.create(
        model=MODEL,
        max_tokens=MAX_TOKENS,
        system=SYSTEM,
        messages=[{"role": "user", "content": text}],
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    block = message.content[0]
    assert block.type == "text"
    return json.loads(block.text)


async def everything(ask: Ask, url: str, texts: list[str], at_once: int) -> list[object]:
    limits = httpx2.Limits(max_connections=at_once + 64, max_keepalive_connections=at_once + 64)
    timeout = httpx2.Timeout(600)  # however busy the machine is
    client = AsyncAnthropic(
        base_url=url,
        api_key="local",
        max_retries=0,
        open_telemetry=False,
        timeout=timeout,
        http_client=DefaultAioHttpClient(limits=limits, timeout=timeout),
    )
    left = iter(texts)
    answers: list[object] = []

    async def worker() -> None:
        for text in left:
            answers.append(await ask(client, text))  # noqa: PERF401 one list of all workers

    await asyncio.gather(*(worker() for _ in range(at_once)))
    await client.close()
    return answers


def main() -> None:
    name, url, rows, at_once = sys.argv[1:]
    with Path(rows).open(newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    answers = asyncio.run(everything({"floor": floor, "by_hand": by_hand}[name], url, texts, int(at_once)))
    assert len(answers) == len(texts)


if __name__ == "__main__":
    main()
