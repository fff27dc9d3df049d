"""What a person sees at the end of a run: what came out, what it took, where it is, what to do next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from pipeline.show.text import count, dollars, duration, percent, plain

if TYPE_CHECKING:
    from rich.console import Console

LABEL = 11
VALUE = 40
"""Columns for a fact's name; characters of a value."""
TOP = 10
"""So many values of an answer column are shown, the most frequent first."""
_ANSWERED = ("ok", "ok_repaired")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldColumn:
    """How far an answer agrees with a column of labels that the input holds."""

    property: str
    """Of the answer."""
    column: str
    """Of the input."""
    answered: int
    """Labelled rows that have an answer."""
    agreeing: int
    interval: tuple[float, float] | None = None
    """Of the share that agrees, 95 %, as fractions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A finished run. Counts are those of the table; requests, tokens, dollars and time those of this run."""

    name: str
    statuses: Mapping[str, int]
    """Status → rows, each row once."""
    answers: Mapping[str, Mapping[str, int]]
    """Answer column → value → rows, for columns of few values."""
    reused: int
    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float | None
    seconds: float
    rows_per_second: float
    agreement: tuple[GoldColumn, ...] = ()
    path: str
    """Of the table."""
    notes: tuple[str, ...] = ()
    """Sentences a person should know: what a local model is good for, that cells were defused."""
    next_command: str | None = None

    @property
    def rows(self) -> int:
        return sum(self.statuses.values())

    @property
    def answered(self) -> int:
        return sum(self.statuses.get(status, 0) for status in _ANSWERED)


def show(closing: Closing, console: Console) -> None:
    """Prints the closing table."""
    headline, _, rest = closing_text(closing, min(console.width, 100)).partition("\n")
    console.print(f"\n{headline}", style="bold", soft_wrap=True)
    console.print(rest, soft_wrap=True)


def closing_text(closing: Closing, width: int = 80) -> str:
    """The closing table in lines of at most `width` columns, save the path and the command: they are there to be copied."""
    tables = [
        ("status", closing.statuses, len(closing.statuses)),
        *((name, values, TOP) for name, values in closing.answers.items()),
    ]
    counted = [_counted(name, values, top) for name, values, top in tables]
    widest = max(cell_len(value) for table in counted for value, _, _ in table)
    blocks = [[_headline(closing)]]
    blocks += [[_row(*cells, widest) for cells in table] for table in counted]
    blocks.append([line for name, fact in _facts(closing) for line in _told(name, fact, width)])
    blocks[-1].append(f"{'output':<{LABEL}}{plain(closing.path, 4096)}")
    if closing.next_command is not None:
        blocks[-1].append(f"{'next':<{LABEL}}{plain(closing.next_command, 4096)}")
    return "\n\n".join("\n".join(block) for block in blocks)


def closing_line(closing: Closing) -> str:
    """The same in one line, for a log or a mail."""
    return (
        f"{_headline(closing)}; {count(closing.requests)} requests, spend {dollars(closing.cost_usd)}, "
        f"{duration(closing.seconds)}; {plain(closing.path, 4096)}"
    )


def _headline(closing: Closing) -> str:
    missing = closing.rows - closing.answered
    return f"{plain(closing.name)}: {count(closing.rows)} rows, " + (
        "each with an answer" if not missing else f"{count(closing.answered)} with an answer, {count(missing)} without"
    )


def _counted(title: str, values: Mapping[str, int], top: int) -> list[tuple[str, str, str]]:
    """A header, then value, rows and share; the most frequent first."""
    total = sum(values.values())
    ranked = sorted((item for item in values.items() if item[1]), key=lambda item: (-item[1], item[0]))
    table = [(plain(title, VALUE), "rows", "share")]
    table += [(f"  {plain(value, VALUE)}", count(rows), percent(rows, total)) for value, rows in ranked[:top]]
    if rest := ranked[top:]:
        rows = sum(rows for _, rows in rest)
        table.append((f"  ({count(len(rest))} more)", count(rows), percent(rows, total)))
    return table


def _row(value: str, rows: str, share: str, widest: int) -> str:
    return f"{set_cell_size(value, widest)} {rows:>12} {share:>7}"


def _told(name: str, fact: str, width: int) -> list[str]:
    """A fact beside its name, wrapped."""
    lines = textwrap.wrap(fact, max(width - LABEL, 20), break_long_words=False, break_on_hyphens=False)
    return [f"{name if first == 0 else '':<{LABEL}}{line}" for first, line in enumerate(lines)]


def _facts(closing: Closing) -> Iterator[tuple[str, str]]:
    yield "spend", f"{dollars(closing.cost_usd)} for {count(closing.requests)} requests"
    if closing.reused:
        yield "", f"{count(closing.reused)} rows took the answer of an identical request"
    cached = f", {count(closing.cache_read_tokens)} read from cache" if closing.cache_read_tokens else ""
    written = f", {count(closing.cache_write_tokens)} written to cache" if closing.cache_write_tokens else ""
    yield "tokens", f"{count(closing.input_tokens)} in, {count(closing.output_tokens)} out{cached}{written}"
    yield "time", f"{duration(closing.seconds)}, {closing.rows_per_second:.1f} rows/s"
    for gold in closing.agreement:
        yield "agreement", _agreement(gold)
    for note in closing.notes:
        yield "note", plain(note, 1000)


def _agreement(gold: GoldColumn) -> str:
    between = ""
    if gold.interval is not None:
        low, high = gold.interval
        between = f", 95% interval {low:.1%} to {high:.1%}"
    return (
        f"{plain(gold.property, 40)} = {plain(gold.column, 40)} in {count(gold.agreeing)} of {count(gold.answered)} rows "
        f"({percent(gold.agreeing, gold.answered)}{between})"
    )
