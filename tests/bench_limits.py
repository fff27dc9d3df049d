"""`python -m tests.bench_limits`: how much of a rate limit a whole run uses, how often it is hit, and what faults leave over.

Each scenario is `pipeline run`, by itself or with workers (or two callers on one gate), against tests/limits.py in a process of
its own. The ideal time is that of the binding limit with a full bucket at the start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from pipeline.call.client import Client
from pipeline.call.online import Limits, Online, gate
from pipeline.records import Reply
from tests.call.fakes import SHAPE, Book, free, prompts
from tests.jobs import JobFolder, answer
from tests.limits import CHARACTERS_A_TOKEN

OUT: Callable[[str], Any] = sys.stdout.write


@dataclass
class Serving:
    url: str
    process: subprocess.Popen[str]

    def seen(self) -> dict[str, Any]:
        """What the server saw; it is gone then."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        last: dict[str, Any] = json.loads(out.splitlines()[-1])
        return last


@contextmanager
def serving(*arguments: str) -> Iterator[Serving]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.limits", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    try:
        yield Serving(process.stdout.readline().strip(), process)
    finally:
        process.kill()
        process.wait()


def texts(rows: int) -> list[str]:
    """Each its own, 60 to 1,200 characters."""
    draw = Random(7)  # noqa: S311
    return [f"{'good' if number % 3 else 'bad'} thing {number} " + "word " * draw.randint(10, 230) for number in range(rows)]


def by_run(name: str, rows: int, ideal_s: float, arguments: Sequence[str], *, workers: int = 1, **call: Any) -> None:
    with serving(*arguments) as server, tempfile.TemporaryDirectory() as folder:
        changes = {"call": {"concurrency": "auto", **call}, "run": {"workers": workers}}
        job = JobFolder(Path(folder) / "job", texts(rows), server.url, **changes)
        started = time.monotonic()
        process = job.start("run", "--json")
        out, err = process.communicate()
        seconds = time.monotonic() - started
        summary = json.loads(out)
        wrong = 0
        if summary["exit_code"] in (0, 1):
            wrong = sum((row["label"], row["length"]) != tuple(json.loads(answer(row["text"])).values()) for row in job.rows())
        report(name, server.seen(), ideal_s, rows, wrong)
        counts = {key: summary[key] for key in ("ok", "failed", "in_doubt", "pending", "possible_double_charges", "retries")}
        OUT(f"    exit {summary['exit_code']} in {seconds:.0f} s: {counts}\n")
        for line in err.splitlines():
            if "at once instead" in line or "service" in line or "first ask" in line:
                OUT(f"    {line[:150]}\n")


def by_two_callers(name: str, rows: int, ideal_s: float, arguments: Sequence[str]) -> None:
    """Two callers, each with its own connections and half the rows, on one gate."""

    async def both(url: str) -> int:
        limits = Limits(1000, 6, 900.0)
        draw = Random(1).random  # noqa: S311
        shared = gate(limits, lambda _: None, draw)

        async def one(mine: Sequence[str]) -> int:
            client = Client(base_url=url, api_key="k", timeout_s=30.0, connections=200, proxied=False)
            caller = Online(client, Book(), SHAPE, limits, asyncio.Event(), lambda _: None, time.time, draw, free(), shared)
            try:
                return sum([isinstance(result, Reply) async for _, result in caller.replies(prompts(mine))])
            finally:
                await client.close()

        all_texts = texts(rows)
        return sum(await asyncio.gather(one(all_texts[::2]), one(all_texts[1::2])))

    with serving(*arguments) as server:
        replies = asyncio.run(both(server.url))
        report(name, server.seen(), ideal_s, rows, rows - replies)


def report(name: str, seen: dict[str, Any], ideal_s: float, rows: int, wrong: int) -> None:
    refused = seen["statuses"].get("429", 0)
    used = f"{ideal_s / seen['seconds']:.1%} of the ideal rate" if ideal_s else ""
    OUT(f"{name}\n    {rows} rows, {wrong} wrong or missing; {seen['seconds']} s, {used}; {refused} answered 429 ")
    OUT(f"({refused / seen['requests']:.2%}); {seen}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--fault-rows", type=int, default=5000)
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    options = parser.parse_args()
    rows, fault_rows = options.rows, options.fault_rows
    tokens = sum(30 + len(text) // CHARACTERS_A_TOKEN for text in texts(rows))
    slow = ["--rpm", "1800", "--burst", "30"]
    by_tokens = ["--rpm", "6000", "--burst", "100", "--itpm", "300000", "--token-burst", "10000", "--rounded"]
    scenarios: dict[str, Callable[[str], None]] = {
        "requests": lambda name: by_run(name, rows, (rows - 30) / 30, slow),
        "input tokens": lambda name: by_run(name, rows, (tokens - 10_000) / 5000, by_tokens),
        "two callers": lambda name: by_two_callers(name, rows, (rows - 30) / 30, slow),
        "three workers": lambda name: by_run(name, rows, (rows - 30) / 30, slow, workers=3),
        "a ceiling of ours": lambda name: by_run(name, rows, rows / 30, [], requests_per_minute=1800),
        "faults": lambda name: by_run(name, fault_rows, 0.0, ["--faults", "--latency-s", "0.1"], timeout_s=2),
    }
    for name, scenario in scenarios.items():
        if options.only in name:
            scenario(name)


if __name__ == "__main__":
    main()
