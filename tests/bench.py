"""`make bench`: what a row costs, beside a hand-written asyncio script around the SDK, in one run on one machine.

Both ask the rehearsal server, which runs in a process of its own; CPU is that of the client process alone (user and system,
from the kernel's own accounting at its end). Read the ratio: machines are shared and noisy.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.embedded import running
from tests.check import cost

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["label"],
    "additionalProperties": False,
}
BY_HAND = """
import asyncio, csv, json, sys
import httpx2
from anthropic import AsyncAnthropic, DefaultAioHttpClient

async def main(url, rows, at_once):
    limits = httpx2.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    client = AsyncAnthropic(base_url=url, api_key="local", max_retries=0, http_client=DefaultAioHttpClient(limits=limits))
    places = asyncio.Semaphore(at_once)
    schema = json.loads(sys.argv[4])
    async def ask(text):
        async with places:
            message = await client.messages.create(
                model="rehearsal", max_tokens=64, system="Label it.", messages=[{"role": "user", "content": text}],
                output_config={"format": {"type": "json_schema", "schema": schema}},
            )
            return json.loads(message.content[0].text)
    with open(rows, newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    answers = await asyncio.gather(*(ask(text) for text in texts))
    await client.close()
    assert len(answers) == len(texts)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@dataclass(frozen=True)
class Measured:
    name: str
    rows: int
    wall_s: float
    cpu_s: float
    peak_mb: float

    def line(self, floor: Measured) -> str:
        return (
            f"{self.name:<22}{self.rows / self.wall_s:>9.0f}{self.cpu_s / self.rows * 1000:>11.2f}"
            f"{self.cpu_s / floor.cpu_s:>8.2f}{self.peak_mb:>9.0f}"
        )


def measured(name: str, rows: int, command: list[str], folder: Path) -> Measured:
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{name} failed with {os.waitstatus_to_exitcode(status)}")
    return Measured(name, rows, time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def prepared(folder: Path, rows: int, url: str, at_once: int) -> None:
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([number, f"Review number {number}: it does what it says, more or less."] for number in range(rows))
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    config = {
        "name": "bench",
        "input": {"path": "rows.csv", "key": "id"},
        "schema": "schema.json",
        "prompt": {"system": "Label it.", "user": "{{ text }}"},
        "model": {"name": "rehearsal", "max_tokens": 64},
        "call": {"base_url": url, "concurrency": at_once},
        "output": {"path": "out.parquet"},
    }
    (folder / "job.yaml").write_text(json.dumps(config))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=64)
    options = parser.parse_args()
    pipeline = [sys.executable, "-m", "pipeline", "run", "job.yaml", "--quiet"]
    with tempfile.TemporaryDirectory() as name, running("rehearsal") as url:
        folder = Path(name)
        prepared(folder, options.rows, url, options.at_once)
        by_hand = [sys.executable, "-c", BY_HAND, url, "rows.csv", str(options.at_once), json.dumps(SCHEMA)]
        floor = measured("by hand, keeps nothing", options.rows, by_hand, folder)
        first = measured("pipeline run", options.rows, pipeline, folder)
        again = measured("pipeline run, again", options.rows, pipeline, folder)
    lines = [f"{'':<22}{'rows/s':>9}{'CPU ms/row':>11}{'ratio':>8}{'peak MB':>9}"]
    lines += [one.line(floor) for one in (floor, first, again)]
    sys.stdout.write("\n".join([*lines, "", *cost.lines(), ""]))


if __name__ == "__main__":
    main()
