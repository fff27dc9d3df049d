"""The journal without anything else."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from pipeline.records import Constant, Outcome, Prompt, Status, Text, Turn
from pipeline.write.journal import Journal


def journal_us(folder: Path, rows: int, at_once: int) -> float:
    """CPU, user and system, of a row's four records, both threads together: sent, a reply of 1 kB, its price, outcome."""
    folder.mkdir()
    body = b"x" * 1000

    async def one(journal: Journal, position: int) -> None:
        prompt = Prompt(position, "k", Constant("s"), (Turn("user", (Text("t"),)),), 1)
        key = position.to_bytes(16, "little")
        await journal.sent(prompt, key, 0.01)
        await journal.replied(prompt, key, body=body, request_id="req_1", latency_s=0.5, at=1.79e9)
        journal.priced(prompt, 0.001)
        journal.ended(Outcome(position, Status.OK, answer='{"label":"positive"}', asks=1, attempts=1), key)

    async def all_of_them(journal: Journal) -> None:
        positions = iter(range(rows))

        async def worker() -> None:
            for position in positions:
                await one(journal, position)

        await asyncio.gather(*(worker() for _ in range(at_once)))

    started = time.process_time()
    with Journal(folder / "journal.db") as journal:
        asyncio.run(all_of_them(journal))
    return (time.process_time() - started) / rows * 1e6
