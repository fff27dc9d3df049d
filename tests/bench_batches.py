"""`make batches`: what batch mode takes of memory and time, against a rehearsal server in a process of its own.

Two runs of the program: one that plans the rows, submits them and leaves (`--detach`), and one that collects, judges and
publishes. Memory is the peak of the process by the kernel's own accounting; that of a job of ten rows, which holds the program
and its libraries, stands beside it. Read the difference: it must not grow with the rows. Then, how fast results are read and
filed durably, in an order of chance.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from random import Random

from pipeline.call.adopting import Adopting
from pipeline.call.asking import Asking
from pipeline.call.budget import Account
from pipeline.call.caller import Response
from pipeline.call.classify import Classifier
from pipeline.call.collecting import Collecting
from pipeline.call.form import Form
from pipeline.call.outbox import Outbox
from pipeline.call.parcel import custom_id
from pipeline.call.purse import Purse
from pipeline.call.results import Results
from pipeline.call.retry import Patience
from pipeline.call.slips import Slips
from pipeline.call.terms import Pace
from pipeline.call.wire import shape
from pipeline.records import JSON, Constant, Parcel, Slip
from pipeline.write.journal import Journal
from pipeline.write.parcels import Parcels
from tests.jobs import SCHEMA

COME_BACK = 75
PAUSE_S = 5.0


class Serving:
    """A service whose one batch has ended, and whose results are a file."""

    def __init__(self, remote: JSON, results: Path) -> None:
        self.remote = remote
        self.lines = results

    async def batch(self, batch_id: str) -> Response:
        return Response(200, {}, json.dumps(self.remote).encode(), 0.0)

    async def results(self, batch_id: str, to: Path) -> Response:
        shutil.copy(self.lines, to)
        return Response(200, {}, b"", 0.0)


def filed(folder: Path, lines: int) -> tuple[float, float]:
    """Seconds and CPU seconds from the end of a batch of so many requests to its last result, durable."""
    content = [{"type": "text", "text": json.dumps({"label": "yes", "length": 7})}]
    usage = {"input_tokens": 90, "output_tokens": 12, "service_tier": "batch"}
    message = {"id": "msg_0123456789", "type": "message", "role": "assistant", "model": "claude-haiku-5-5", "content": content}
    body = json.dumps({**message, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage, "padding": "x" * 600})
    slips = Slips()
    names = []
    for position in range(lines):
        key = blake2b(position.to_bytes(8), digest_size=16).digest()
        slips.add(Slip(position, 1, key, None))
        names.append(custom_id(position, 1, key, "0123abcd"))
    Random(7).shuffle(names)  # noqa: S311
    results = folder / "results.jsonl"
    result = f'"result": {{"type": "succeeded", "message": {body}}}'
    results.write_text("".join(f'{{"custom_id": "{name}", {result}}}\n' for name in names))
    now = time.time()
    created_at = datetime.fromtimestamp(now, UTC).isoformat()
    remote = {
        "id": "msgbatch_1",
        "processing_status": "ended",
        "created_at": created_at,
        "request_counts": {"succeeded": lines},
    }

    async def collected(parcels: Parcels) -> tuple[float, float]:
        parcel = await parcels.intend(Parcel(0, "0123abcd", lines, 0, now), b"", slips)
        await parcels.submitted(parcel, "msgbatch_1", now)
        form = Form("claude-haiku-5-5", 64, "native", {}, None, None, "off", stream=False)
        halt, tell = asyncio.Event(), (lambda _: None)
        asking = Asking(Serving(remote, results), Classifier(900), lambda: Patience(1, 1, lambda: 0.5), halt, asyncio.sleep)  # type: ignore[arg-type]
        outbox = Outbox(parcels, Purse(Account(None), lambda _: None, lambda _: None, tell), tell)
        fetching = Results(asking, folder, time.time)
        adopting = Adopting(parcels, outbox, asking, fetching, tell, time.time, Pace())
        through = shape(Constant("s"), form)
        collecting = Collecting(parcels, outbox, asking, adopting, fetching, through, tell, time.time, Pace())
        started, cpu = time.monotonic(), time.process_time()
        if not await collecting.collect(once=True):
            raise SystemExit("the batch was not collected")
        return time.monotonic() - started, time.process_time() - cpu

    with Journal(folder / "journal.db") as journal:
        taken = asyncio.run(collected(Parcels(journal)))
        if journal.paid()[0] != lines:
            raise SystemExit("not every result was filed")
    return taken


@contextmanager
def serving(batch_time_s: float) -> Iterator[str]:
    command = ["serve", "--model", "rehearsal", "--port", "0", "--latency", "0s", "--batch-time", f"{batch_time_s:.0f}s"]
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", *command, "--until-eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def prepared(folder: Path, rows: int, url: str) -> None:
    folder.mkdir()
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
        "model": {"name": "claude-haiku-5-5", "max_tokens": 64},
        "call": {"base_url": url, "mode": "batch"},
        "output": {"path": "out.parquet"},
    }
    (folder / "job.yaml").write_text(json.dumps(config))


def measured(folder: Path) -> tuple[int, float, float, float]:
    """Exit code, seconds, CPU seconds and peak MB of one `pipeline run --detach`."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pipeline", "run", "job.yaml", "--quiet", "--detach"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started
    return os.waitstatus_to_exitcode(status), wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="make batches ARGS=…")
    parser.add_argument("--rows", type=int, nargs="+", default=[10, 20_000])
    parser.add_argument("--batch-time", type=float, default=30.0, help="seconds from the creation of a batch to its end")
    parser.add_argument("--lines", type=int, default=100_000, help="results that are filed")
    options = parser.parse_args()
    print(f"{'rows':>12}{'run':>10}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}")  # noqa: T201
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as path, serving(options.batch_time) as url:
            folder = Path(path) / "job"
            prepared(folder, rows, url)
            code, *figures = measured(folder)
            if code != COME_BACK:
                raise SystemExit(f"{rows} rows: the batches had ended before all were sent ({code}): raise --batch-time")
            _line(rows, "plans", figures)
            while code == COME_BACK:
                time.sleep(PAUSE_S)
                code, *figures = measured(folder)
            if code:
                raise SystemExit(f"{rows} rows: the run failed with {code}")
            _line(rows, "collects", figures)
    # Last: the kernel counts what this process holds in the peak of those that it starts.
    with tempfile.TemporaryDirectory() as path:
        wall_s, cpu_s = filed(Path(path), options.lines)
    rate = f"{options.lines / wall_s:,.0f} a second, {options.lines / cpu_s:,.0f} a CPU second"
    print(f"{options.lines:,} results of 1 kB read and filed: {rate}", flush=True)  # noqa: T201


def _line(rows: int, what: str, figures: list[float]) -> None:
    wall_s, cpu_s, peak_mb = figures
    print(f"{rows:>12,}{what:>10}{wall_s:>9.1f}{cpu_s:>9.1f}{peak_mb:>9.0f}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
