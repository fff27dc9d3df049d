"""`make bench`: what a row costs, beside a hand-written asyncio script around the SDK, in one run on one machine.

Both ask the rehearsal server, which runs in a process of its own; CPU is that of the client process alone (user and system,
from the kernel's own accounting at its end). Read the ratio: machines are shared and noisy.

The journal is measured alone, too; and with `--resume 10000000`, how soon a run of so many rows that was killed near its end
sends again, beside one of a few rows: what is more than that, the journal costs.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.embedded import running
from pipeline.records import Constant, Outcome, Prompt, Status, Text, Turn
from pipeline.write.journal import Journal
from tests.check import cost
from tests.crash.ledger import serving
from tests.prepared import corpus, killed

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


def journal_us(folder: Path, rows: int, at_once: int) -> float:
    """CPU, user and system, of a row's three records, both threads together: sent, a reply of 1 kB, outcome."""
    body = b"x" * 1000

    async def one(journal: Journal, position: int, places: asyncio.Semaphore) -> None:
        prompt = Prompt(position, "k", Constant("s"), (Turn("user", (Text("t"),)),), 1)
        key = position.to_bytes(16, "little")
        async with places:
            await journal.sent(prompt, key)
            await journal.replied(prompt, key, body=body, request_id="req_1", latency_s=0.5, at=1.79e9)
            journal.ended(Outcome(position, Status.OK, answer='{"label":"positive"}', asks=1, attempts=1), key)

    async def all_of_them(journal: Journal) -> None:
        places = asyncio.Semaphore(at_once)
        await asyncio.gather(*(one(journal, position, places) for position in range(rows)))

    started = time.process_time()
    with Journal(folder / "journal.db") as journal:
        asyncio.run(all_of_them(journal))
    return (time.process_time() - started) / rows * 1e6


def resumed(folder: Path, rows: int) -> str:
    """A run of so many rows, killed when 1,000 were left, from its start to its first request."""
    with serving() as ledger:
        killed(corpus(folder, rows, ledger.url), left=1000)
        started = time.monotonic()
        environment = {**os.environ, "ANTHROPIC_API_KEY": "bench"}
        command = [sys.executable, "-m", "pipeline", "run", "job.yaml", "--quiet"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
        while not ledger.requests and process.poll() is None:
            time.sleep(0.005)
        wall_s = time.monotonic() - started
        used = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        memory = Path(f"/proc/{process.pid}/status").read_text()
        process.send_signal(signal.SIGTERM)
        process.wait()
    cpu_s = (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
    peak, private = (int(re.findall(rf"{name}:\s+(\d+) kB", memory)[0]) / 1024 for name in ("VmHWM", "RssAnon"))
    return f"{rows:>12,} rows{wall_s:>9.2f}{cpu_s:>9.2f}{peak:>9.0f}{private:>9.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--resume", type=int, metavar="ROWS", help="measure this alone; 10^7 rows take 5 GB of disk")
    options = parser.parse_args()
    if options.resume is not None:
        lines = [f"{'resume to 1st request':<17}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'private':>9}"]
        with tempfile.TemporaryDirectory() as name:
            lines += [resumed(Path(name) / str(rows), rows) for rows in (2_000, options.resume)]
        sys.stdout.write("\n".join([*lines, ""]))
        return
    pipeline = [sys.executable, "-m", "pipeline", "run", "job.yaml", "--quiet"]
    with tempfile.TemporaryDirectory() as name, running("rehearsal") as url:
        folder = Path(name)
        prepared(folder, options.rows, url, options.at_once)
        by_hand = [sys.executable, "-c", BY_HAND, url, "rows.csv", str(options.at_once), json.dumps(SCHEMA)]
        floor = measured("by hand, keeps nothing", options.rows, by_hand, folder)
        first = measured("pipeline run", options.rows, pipeline, folder)
        again = measured("pipeline run, again", options.rows, pipeline, folder)
        alone_us = journal_us(folder, options.rows, options.at_once)
    lines = [f"{'':<22}{'rows/s':>9}{'CPU ms/row':>11}{'ratio':>8}{'peak MB':>9}"]
    lines += [one.line(floor) for one in (floor, first, again)]
    lines.append(f"the journal alone: {alone_us:.0f} CPU-us a row (sent, reply, outcome)")
    sys.stdout.write("\n".join([*lines, "", *cost.lines(), ""]))


if __name__ == "__main__":
    main()
