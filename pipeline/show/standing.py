"""Where a run is: what `pipeline status` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.show.pace import Left, left_text
from pipeline.show.text import count, dollars, duration, moment, percent, plain


@dataclass(frozen=True, slots=True)
class Last:
    requests: int
    seconds: float
    rows_per_second: float


@dataclass(frozen=True, slots=True)
class Budget:
    """`run.budget_usd`, since the last run that finished."""

    gone_usd: float
    """With what is out just now, at its worst."""
    in_batches_usd: float
    """Held for what is out in batches, beside that."""
    budget_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    name: str
    live: bool
    """A process holds the run's lock."""
    since: float | None
    """Unix time: of the start where live, of the end where not; None where it never ran."""
    rows: int | None
    """None where the input has not been read through yet."""
    statuses: Mapping[str, int]
    """Status → rows that have ended."""
    cost_usd: float | None
    budget: Budget | None = None
    """None where there is none."""
    rows_per_second: float | None = None
    """Over the last minute; None where it does not run, or nothing can be said."""
    left: Left | None = None
    silent_s: float | None = None
    """So long no reply has come, where that is longer than it should be."""
    last: Last | None = None
    """The last execution that has ended."""
    batches: tuple[str, ...] = ()
    """That are not collected, each in words."""
    reason: str | None = None
    """Why the last execution ended."""
    log: tuple[str, ...] = ()
    """What happened last."""


def status_text(standing: Standing) -> str:
    """A few lines of `name value`, without colour, each safe to print."""
    return "\n".join(f"{name:<8} {value}".rstrip() for name, value in _told(standing))


def _told(standing: Standing) -> Iterator[tuple[str, str]]:
    yield "run", f"{plain(standing.name)}, {_life(standing)}"
    ended = sum(rows for status, rows in standing.statuses.items() if status != "pending")
    if standing.rows is None:
        yield "rows", f"{count(ended)} ended"
    else:
        yield "rows", f"{count(ended)} of {count(standing.rows)} ended ({percent(ended, standing.rows)})"
    for status, rows in sorted(standing.statuses.items(), key=lambda item: (-item[1], item[0])):
        if rows:
            yield "", f"{count(rows):>9} {plain(status, 40)}"
    yield "spend", dollars(standing.cost_usd)
    if standing.budget is not None:
        money = standing.budget
        yield "budget", f"{dollars(money.gone_usd)} of {dollars(money.budget_usd)} gone since the last run that finished"
        if money.in_batches_usd:
            yield "", f"{dollars(money.in_batches_usd)} held for batches that are out, at their worst"
    if standing.silent_s is not None:
        yield "rate", f"no reply for {duration(standing.silent_s)}"
    elif standing.rows_per_second is not None:
        left = "" if standing.left is None else f", {left_text(standing.left)}"
        yield "rate", f"{standing.rows_per_second:.1f} rows/s{left}"
    for number, text in enumerate(standing.batches):
        yield "batches" if number == 0 else "", plain(text, 200)
    if (last := standing.last) is not None:
        rate = f", {last.rows_per_second:.1f} rows/s" if last.rows_per_second else ""
        yield "last", f"{count(last.requests)} requests in {duration(last.seconds)}{rate}"
    if standing.reason is not None:
        yield "reason", plain(standing.reason, 1000)
    for number, text in enumerate(standing.log):
        yield "log" if number == 0 else "", plain(text, 1000)


def _life(standing: Standing) -> str:
    if standing.since is None:
        return "running" if standing.live else "never run"
    return f"running since {moment(standing.since)}" if standing.live else f"not running since {moment(standing.since)}"
