"""A report → a summary in Markdown, for terminals, chat and pull requests.

Texts from data are made plain (no escapes for a terminal) and cannot act as Markdown: no links, images or HTML come of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline.show.chart import figure
from pipeline.show.report import Bars, Block, Course, Facts, Fold, Histogram, Matrix, Range, Ranges, Reliability, Report, Table
from pipeline.show.text import count, moment, plain

CELL = 120
BAR = 20
"""Characters of the longest bar."""
MOST = 20
"""Rows of a table."""
_ACTIVE = re.compile(r"[\\`*\[\]<>|~@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.|&(?=#|\w+;)", re.IGNORECASE)
"""What Markdown would act on; an underscore inside a word is none, and a price is none either."""


def markdown(report: Report) -> str:
    lines = [f"# {_text(report.name)}", "", _text(report.headline, 400), ""]
    lines += [f"> **Mind:** {_text(warning, 400)}\n" for warning in report.warnings]
    lines += _table(
        ("", ""), [(tile.name, f"{tile.value} {f'({tile.note})' if tile.note else ''}".strip()) for tile in report.tiles]
    )
    for section in report.sections:
        if section.brief:
            lines += ["", f"## {_text(section.title)}"]
            for block in section.blocks:
                lines += ["", *_block(block)]
    lines += ["", f"_{_text(report.made)}_", ""]
    return "\n".join(lines)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Facts(pairs):
            yield from (f"- {_text(name)}: {_text(value)}" for name, value in pairs)
        case Bars():
            most = max((bar.size for bar in block.bars), default=0.0)
            rows = [
                (bar.label, bar.shown, bar.share, "█" * max(1, round(bar.size / most * BAR)) if bar.size else "")
                for bar in block.bars
            ]
            yield from _table((block.title, "", "share", ""), rows)
        case Histogram():
            marks = ", ".join(f"{_text(name)} {figure(value)}" for name, value in block.marks)
            unit = f" {_text(block.unit)}" if block.unit else ""
            yield f"**{_text(block.title)}**: {marks}{unit}" if marks else f"**{_text(block.title)}**"
        case Course():
            known = [value for value in block.values if value is not None]
            if known:
                top, since = figure(max(known)), moment(block.start)
                yield f"**{_text(block.title)}**: at most {top} {_text(block.unit)} since {_text(since)}"
        case Table():
            if block.title:
                yield f"**{_text(block.title)}**"
                yield ""
            if block.rows:
                width = max(len(row) for row in block.rows)
                yield from _table(block.head or [""] * width, block.rows)
        case Matrix():
            yield f"**{_text(block.title)}**"
            yield ""
            yield from _table(("gold ↓ answer →", *block.across), _matrix(block))
        case Ranges():
            yield from _ranges(block.title, block.ranges)
        case Reliability():
            yield from _ranges(block.title, block.points)
        case Fold():
            yield f"- {_text(block.count)} {_text(block.title)}"


def _matrix(block: Matrix) -> list[Sequence[str]]:
    return [(down, *(count(block.counts.get((down, across), 0)) for across in block.across)) for down in block.down]


def _ranges(title: str, ranges: Sequence[Range]) -> Iterator[str]:
    yield from _table((title, "", "of"), [(one.label, one.shown, one.note) for one in ranges])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [_row(head), _row(["---"] * len(head), escaped=False)] + [_row(row) for row in rows[:MOST]]
    if len(rows) > MOST:
        lines.append(_row([f"and {count(len(rows) - MOST)} more", *[""] * (len(head) - 1)]))
    return lines


def _row(cells: Sequence[str], *, escaped: bool = True) -> str:
    return f"| {' | '.join(_text(cell) if escaped else cell for cell in cells)} |"


def _text(text: str, limit: int = CELL) -> str:
    return _ACTIVE.sub(r"\\\g<0>", plain(text, limit))
