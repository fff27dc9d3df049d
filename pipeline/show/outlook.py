"""What a job would take, before it is run: what `pipeline plan` says."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.show.text import count, dollars, duration, plain

LABEL = 11
WIDTH = 80
FIGURE = 10


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with its interval."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    name: str
    model: str
    where: str
    """Who would be asked."""
    prices_as_of: str
    rows: int
    unaskable: int
    """Rows that make no prompt: they end as input_error and cost nothing."""
    kept: int
    """Rows that have their outcome already."""
    paid: int
    """Rows whose request has a paid reply."""
    repeated: int
    """Rows whose request is that of another row."""
    to_buy: int
    requests: float
    """For those, re-asks included as far as they are known."""
    basis: str
    """What the figures rest on, in a sentence or two."""
    assumes: str
    """What the interval assumes."""
    measured: bool
    """Whether answers were measured, so that the interval is one of 95 %; else it spans what was assumed."""
    constant_tokens: int
    cache: str
    """What becomes of the constant part of the prompt, in words."""
    row_tokens: Range
    output_tokens: Range
    online_usd: Range | None
    batch_usd: Range | None
    worst_usd: float | None
    """Of one request for each: a budget of that is never what stops a run."""
    worst_request_usd: float | None
    budget_usd: float | None
    gone_usd: float | None
    """Of the budget, since the last run that finished."""
    seconds: Mapping[str, float]
    """The least time, by the tier of the organisation or by the job's own ceilings."""
    mode: str
    """How the rows would be asked, and why."""
    batch_seconds: Mapping[str, float]
    """In batches: `mostly`, and `at most`."""
    at_once: int
    latency_s: float
    latency_measured: bool
    next_step: str
    split: int = 0
    """Rows without an outcome whose text goes in pieces."""
    pieces: int = 0
    """So many, of all of them."""
    step: str | None = None
    """What it costs that some prompts are longer than the price of the model admits; None where none is."""


def outlook_text(outlook: Outlook) -> str:
    """At most 80 columns, save names and the command."""
    head = f"{plain(outlook.name)}: {plain(outlook.model)} at {plain(outlook.where, 1000)}"
    blocks = [[head], list(_rows(outlook))]
    if outlook.to_buy:
        blocks += [list(_tokens(outlook)), list(_money(outlook)), list(_time(outlook))]
        blocks.append([*_told("basis", outlook.basis), *_told("", outlook.assumes)])
    blocks.append([f"{'next':<{LABEL}}{plain(outlook.next_step, 4096)}"])
    return "\n\n".join("\n".join(block) for block in blocks)


def _rows(outlook: Outlook) -> Iterator[str]:
    yield _counted("rows", outlook.rows, "in the input")
    for number, what in (
        (outlook.kept, "have their outcome already"),
        (outlook.paid, "are answered by a reply that is paid for"),
        (outlook.repeated, "ask the same as another row, and cost nothing"),
        (outlook.unaskable, "make no prompt (input_error), and cost nothing"),
    ):
        if number:
            yield _counted("", number, what)
    if outlook.split:
        yield _counted("", outlook.split, f"are long, and go in {count(outlook.pieces)} pieces")
    about = f"rows, in about {count(round(outlook.requests))} requests" if outlook.to_buy else "rows: a run sends nothing"
    yield _counted("to buy", outlook.to_buy, about)


def _counted(label: str, number: int, what: str) -> str:
    return f"{label:<{LABEL}}{count(number):>{FIGURE}} {what}"


def _tokens(outlook: Outlook) -> Iterator[str]:
    yield f"{'tokens':<{LABEL}}{'estimate':>{FIGURE + 4}}   {_kind(outlook)}"
    for name, found in (("in", outlook.row_tokens), ("out", outlook.output_tokens)):
        yield f"{f'  {name}':<{LABEL}}{count(round(found.estimate)):>{FIGURE + 4}}   {_between(found, _whole)}"
    yield from _told("  constant", outlook.cache)


def _money(outlook: Outlook) -> Iterator[str]:
    if outlook.online_usd is None or outlook.batch_usd is None:
        yield from _told("dollars", "not known: the model has no price (see pipeline check)")
        return
    yield f"{'dollars':<{LABEL}}{'estimate':>{FIGURE + 4}}   {_kind(outlook)}"
    for name, found in (("online", outlook.online_usd), ("batch", outlook.batch_usd)):
        yield f"{f'  {name}':<{LABEL}}{usd(found.estimate):>{FIGURE + 4}}   {_between(found, usd)}"
    if outlook.worst_usd is not None and outlook.worst_request_usd is not None:
        yield from _told(
            "  at worst",
            f"{usd(outlook.worst_usd)}, each row asked once at its longest; one request at most "
            f"{usd(outlook.worst_request_usd)}",
        )
    if outlook.step is not None:
        yield from _told("  long", outlook.step)
    if outlook.budget_usd is not None:
        gone = f", of which {dollars(outlook.gone_usd)} is gone" if outlook.gone_usd else ""
        yield from _told("  budget", f"{dollars(outlook.budget_usd)} by run.budget_usd{gone}")
    yield from _told("", f"prices of {plain(outlook.prices_as_of)}")


def _kind(outlook: Outlook) -> str:
    return "95 % interval" if outlook.measured else "assumed range"


def _time(outlook: Outlook) -> Iterator[str]:
    how = "as measured" if outlook.latency_measured else "assumed"
    limits = ", ".join(f"{duration(seconds)} {plain(name)}" for name, seconds in outlook.seconds.items())
    at_once = f"{count(outlook.at_once)} at once, {outlook.latency_s:.1f} s a reply ({how})"
    yield "time"
    yield from _told("  online", f"at least {limits}; {at_once}")
    mostly, most = (duration(outlook.batch_seconds[name]) for name in ("mostly", "at most"))
    yield from _told("  batch", f"mostly {mostly}, at most {most}")
    yield from _told("mode", plain(outlook.mode, 500))


def _between(found: Range, shown: Callable[[float], str]) -> str:
    return f"{shown(found.low)} to {shown(found.high)}"


def usd(usd: float) -> str:
    """Cents; below a dollar, hundredths of them: two sums that differ should look it."""
    return dollars(usd) if usd >= 1 or usd < 0.001 else f"${usd:.4f}"


def _whole(number: float) -> str:
    return count(round(number))


def _told(label: str, text: str) -> list[str]:
    lines = textwrap.wrap(text, WIDTH - LABEL, break_long_words=False, break_on_hyphens=False)
    return [f"{label if first == 0 else '':<{LABEL}}{line}" for first, line in enumerate(lines)]
