"""CPU and rows a second of the program, beside the floor and the script by hand, in turns: A B C A B C."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.jobs import made
from tests.bench.process import PIPELINE, Server, Used, measured, serving

FEW = 64
"""Rows of a run that shows what starting takes."""
PROGRAMS = ("floor", "by_hand", "pipeline")
AT_ONCE = (64, 256, 1000)
LATENCIES_MS = (0, 200)


@dataclass(frozen=True)
class Cell:
    """The medians of one program under one load."""

    program: str
    mode: str
    latency_ms: float
    at_once: int
    rows: int
    cpu_ms_a_row: float
    """All in: the start, too."""
    cpu_ms_a_further_row: float
    """Without the start, which a run of few rows has shown."""
    rows_a_second: float
    """From start to end of the process."""
    peak_mb: float
    server_share: float
    """Of one core."""


def cells(folder: Path, rows: int, rounds: int, tell: Callable[[str], object]) -> Iterator[Cell]:
    for latency_ms in LATENCIES_MS:
        with serving(latency_ms) as server:
            for at_once in AT_ONCE:
                # Under latency the machine waits: one round shows it, and twice as many rows fill the pipe.
                times, many = (rounds, rows) if not latency_ms else (1, max(rows, 4 * at_once))
                yield from _cells(folder, server, latency_ms, at_once, many, times)
                tell(f"{latency_ms} ms, {at_once} in flight: done\n")
    with serving(0) as server:
        yield from _cells(folder, server, 0, 64, rows, rounds, programs=("batch",))


def _cells(
    folder: Path, server: Server, latency_ms: float, at_once: int, rows: int, rounds: int, programs: tuple[str, ...] = PROGRAMS
) -> Iterator[Cell]:
    runs: dict[tuple[str, int], list[Used]] = {}
    for number in range(rounds):
        for program in programs:
            for size in (FEW, rows):
                named = folder / f"{program}-{latency_ms}-{at_once}-{size}-{number}"
                runs.setdefault((program, size), []).append(_run(program, named, server, at_once, size))
    for program in programs:
        few, many = runs[program, FEW], runs[program, rows]
        cpu_s = median(used.cpu_s for used in many)
        yield Cell(
            program="pipeline" if program == "batch" else program,
            mode="batch" if program == "batch" else "online",
            latency_ms=latency_ms,
            at_once=at_once,
            rows=rows,
            cpu_ms_a_row=cpu_s / rows * 1e3,
            cpu_ms_a_further_row=(cpu_s - median(used.cpu_s for used in few)) / (rows - FEW) * 1e3,
            rows_a_second=rows / median(used.wall_s for used in many),
            peak_mb=median(used.peak_mb for used in many),
            server_share=median(used.server_share for used in many),
        )


def _run(program: str, folder: Path, server: Server, at_once: int, rows: int) -> Used:
    made(folder, rows, server.url, at_once, "batch" if program == "batch" else "online")
    if program in ("pipeline", "batch"):
        used = measured([*PIPELINE, "run", "job.yaml", "--quiet"], folder, server)
    else:
        command = [sys.executable, "-m", "tests.bench.rivals", program, server.url, "rows.csv", str(at_once)]
        used = measured(command, folder, server)
    if program != "batch" and used.requests < rows:
        raise SystemExit(f"{program} sent {used.requests} requests for {rows} rows")
    return used


def table(found: list[Cell]) -> Iterator[str]:
    yield (
        f"{'latency':>8}{'in flight':>10}  {'':<18}{'CPU ms/row':>11}{'a row more':>11}{'× floor':>9}{'× by hand':>10}"
        f"{'rows/s':>8}{'peak MB':>9}{'server':>8}"
    )
    rivals = {(one.program, one.latency_ms, one.at_once): one for one in found if one.mode == "online"}
    for one in found:
        floor, hand = (rivals[name, one.latency_ms, one.at_once].cpu_ms_a_row for name in ("floor", "by_hand"))
        name = {"floor": "SDK alone", "by_hand": "by hand", "pipeline": "pipeline run"}[one.program]
        yield (
            f"{one.latency_ms:>5.0f} ms{one.at_once:>10}  {name if one.mode == 'online' else f'{name}, batch':<18}"
            f"{one.cpu_ms_a_row:>11.2f}{one.cpu_ms_a_further_row:>11.2f}{one.cpu_ms_a_row / floor:>9.2f}"
            f"{one.cpu_ms_a_row / hand:>10.2f}{one.rows_a_second:>8.0f}{one.peak_mb:>9.0f}{one.server_share:>8.0%}"
        )
