"""`pipeline serve`: the local Anthropic-compatible server."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.commands.prices import shipped_prices
from pipeline.commands.rehearsal import read_script
from pipeline.errors import UsageError
from pipeline.local.limits import Limit, Limits
from pipeline.local.model import REHEARSAL
from pipeline.local.script import Latency, Script
from pipeline.local.server import run
from pipeline.records import Usage


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; None where it is silent and the file of faults, or the default, holds."""

    model: str
    port: int
    latency_s: float | None
    seed: int | None
    slots: int | None
    faults: Path | None
    rpm: int | None
    burst: int | None
    itpm: int | None
    itpm_burst: int | None
    otpm: int | None
    otpm_burst: int | None
    until_eof: bool
    batch_time_s: float | None = None


def serve(options: Options) -> None:
    """Serves until a signal, or until standard input ends. Its base URL is the first and only line on stdout."""
    made = script(options)
    rehearses = options.model == REHEARSAL

    def announce(base_url: str) -> None:
        print(base_url, flush=True)  # noqa: T201 the answer of this command
        if not options.until_eof:
            figures = f"What it answered, and what that would have cost: curl {base_url}/stats\n" if rehearses else ""
            print(  # noqa: T201
                f"{options.model} answers at {base_url} (loopback only, any key). Try:\n"
                f"  ANTHROPIC_BASE_URL={base_url} ANTHROPIC_API_KEY=local python your_script.py\n"
                f"{figures}ctrl-C stops it.",
                file=sys.stderr,
            )

    prices = shipped_prices()

    def price(model: str, usage: Usage, geo: str | None, tier: str) -> float | None:
        return prices.cost_usd(model, usage, geo=geo, tier=tier)

    run(
        options.model,
        port=options.port,
        script=made,
        seed=made.seed or 0,
        slots=options.slots,
        price=price,
        announce=announce,
        until_eof=sys.stdin.buffer if options.until_eof else None,
    )


def script(options: Options) -> Script:
    """The file of faults, with what the command line says on top. Raises ConfigInvalid and UsageError."""
    read = Script() if options.faults is None else read_script(options.faults, "--faults")
    limits = Limits(
        _limit("rpm", options.rpm, "burst", options.burst, read.limits.requests),
        _limit("itpm", options.itpm, "itpm-burst", options.itpm_burst, read.limits.input_tokens),
        _limit("otpm", options.otpm, "otpm-burst", options.otpm_burst, read.limits.output_tokens),
    )
    latency = read.latency if options.latency_s is None else Latency(options.latency_s)
    seed = read.seed if options.seed is None else options.seed
    batch_time = read.batch_time if options.batch_time_s is None else Latency(options.batch_time_s)
    made = replace(read, limits=limits, latency=latency, seed=seed, batch_time=batch_time)
    times = Script(latency=latency, seed=seed, batch_time=batch_time)
    if options.model != REHEARSAL and made != times:
        raise UsageError(
            f"limits, sizes and faults are for the model {REHEARSAL}, not for {options.model}",
            todo=f"add --model {REHEARSAL}, or leave them out",
        )
    return made


def _limit(name: str, rate: int | None, burst_name: str, burst: int | None, read: Limit | None) -> Limit | None:
    """The command line wins over the file, one figure at a time."""
    rate = rate if rate is not None else read.per_minute if read else None
    if rate is None:
        if burst is not None:
            raise UsageError(f"--{burst_name} says nothing without --{name}", todo=f"add --{name}: so many a minute")
        return None
    return Limit(rate, burst if burst is not None else read.burst if read else None)
