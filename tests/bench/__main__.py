"""`make bench`: what a row costs, beside the SDK alone and a script by hand, in one run on one machine.

Everything asks the same lean server, in a process of its own, in turns; CPU is that of the client process alone (user and
system, from the kernel's accounting at its end). Read CPU and ratios: machines are shared, and wall time is the machine's.
`--full` adds 10^6 rows that are asked and 10^7 that are published, `--rows` and `--rounds` make it longer and steadier. The
figures also go to a JSON file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import load, scale, speed, workers
from tests.bench.jobs import made
from tests.bench.journal import journal_us
from tests.bench.process import PIPELINE, ROOT, measured, serving
from tests.bench.shares import shares
from tests.check import cost

PARTS = ("server", "speed", "workers", "start", "scale", "parts")


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def server(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What the server can do, so that it is known not to be what is measured."""
    with serving(0) as serves:
        rate = median(asyncio.run(load.most(serves.url, 10_000, 64)) for _ in range(options.rounds))
        stats = serves.stats()
    us = stats["cpu_s"] / stats["requests"] * 1e6
    say(f"the server alone: {rate:,.0f} requests/s from a client that reads nothing, {us:.0f} CPU-us each\n")
    return {"requests_a_second": rate, "cpu_us_a_request": us}


def speeds(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    found = list(speed.cells(folder, options.rows, options.rounds, say))
    say("\n".join(["", *speed.table(found), ""]))
    return [asdict(cell) for cell in found]


def crews(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    found = list(workers.cells(folder / "workers", 2 * options.rows))
    say("\n".join(["", *workers.table(found), ""]))
    return [asdict(cell) for cell in found]


def start(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """CPU seconds, the medians."""
    with serving(0) as serves:
        job = made(folder / "start", 2000, serves.url, 64)
        measured([*PIPELINE, "run", "job.yaml", "--quiet"], job, serves)
        asked = serves.stats()["requests"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "--help": [*PIPELINE, "--help"],
            "check": [*PIPELINE, "check", "job.yaml"],
            "run, again": [*PIPELINE, "run", "job.yaml", "--quiet"],
        }
        found = {
            name: median(measured(command, job).cpu_s for _ in range(2 * options.rounds + 1))
            for name, command in commands.items()
        }
        if serves.stats()["requests"] != asked:
            raise SystemExit("a run that has nothing to do has asked something")
    firsts = [scale.started_s(folder / f"first-{number}") for number in range(options.rounds)]
    found["to the first request"] = median(cpu_s for _, cpu_s in firsts)
    found["to the first request, wall"] = median(wall_s for wall_s, _ in firsts)
    say("\n".join(["", f"{'start, s of CPU':<28}", *(f"  {name:<26}{cpu_s:>8.2f}" for name, cpu_s in found.items()), ""]))
    return found


def scales(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    sizes = (10_000, 100_000, 1_000_000) if options.full else (10_000, 100_000)
    found = [scale.asked(folder / f"asked-{rows}", rows) for rows in sizes]
    if options.full:
        found.append(scale.prepared(folder / "prepared", 10_000_000))
    scale.table(found, say)
    return [asdict(one) for one in found]


def parts(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Shares of a run by room, and two stages alone."""
    found = shares(folder / "shares", 2 * options.rows)
    say("\nwhere the time of a run goes\n" if found else "\nno shares: py-spy is not there, or may not look at processes\n")
    say("".join(f"  {share:>6.1%}  {room}\n" for room, share in list(found.items())[:14]))
    alone_us = {at_once: journal_us(folder / f"journal-{at_once}", options.rows, at_once) for at_once in (64, 256)}
    told = ", ".join(f"{us:.0f} with {at_once}" for at_once, us in alone_us.items())
    say(f"the journal alone, CPU-us a row with so many in flight: {told}\n" + "\n".join([*cost.lines(), ""]))
    return {"shares": found, "journal_us": alone_us}


DOES: dict[str, Callable[[Path, argparse.Namespace], Any]] = dict(
    zip(PARTS, (server, speeds, crews, start, scales, parts), strict=True)
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000, help="a run")
    parser.add_argument("--rounds", type=int, default=2, help="of which the medians are told")
    parser.add_argument(
        "--full", action="store_true", help="with 10^6 rows asked and 10^7 published: some 40 minutes and 20 GB of disk"
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given more than once")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "last.json", metavar="PATH")
    options = parser.parse_args()
    found: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg(),
        "rows": options.rows,
        "rounds": options.rounds,
    }
    with tempfile.TemporaryDirectory() as name:
        for part in options.only or PARTS:
            found[part] = DOES[part](Path(name), options)
    found["load_after"] = os.getloadavg()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1))
    say(f"\nload before and after: {found['load_before'][0]:.1f}, {found['load_after'][0]:.1f}; figures: {options.json}\n")


if __name__ == "__main__":
    main()
