"""Tables of a few columns and sentences, one below the other, in lines of at most so many columns of a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size

from pipeline.show.text import plain

GAP = 2
NARROWEST = 4
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Block:
    """A table under a title, sentences below it. Texts may come from data: they are escaped here."""

    title: str
    header: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    """Each as long as the header; or, where that is empty, as the others."""
    notes: Sequence[str] = ()
    left: int = 1
    """So many columns, from the first, are flush left; the others, numbers, flush right."""


def blocks_text(blocks: Sequence[Block], width: int = 80) -> str:
    """Columns too wide for the line are cut, the widest first, and the cut is shown."""
    return "\n\n".join("\n".join(line.rstrip() for line in _lines(block, width)) for block in blocks)


def _lines(block: Block, width: int) -> Iterator[str]:
    yield from _wrapped(block.title, width) or [""]
    rows = [tuple(plain(cell, LONGEST) for cell in row) for row in ([block.header] if block.header else []) + [*block.rows]]
    if rows:
        widths = _widths(rows, width - GAP)
        for row in rows:
            cells = (
                _cell(cell, size, number < block.left) for number, (cell, size) in enumerate(zip(row, widths, strict=True))
            )
            yield " " * GAP + (" " * GAP).join(cells)
    for note in block.notes:
        yield from (" " * GAP + line for line in _wrapped(note, width - GAP))


def _wrapped(text: str, width: int) -> list[str]:
    """Between words; then, since textwrap counts characters, between characters that take two columns each."""
    lines = textwrap.wrap(plain(text, 4 * LONGEST), width, break_on_hyphens=False)
    return [part for line in lines for part in chop_cells(line, width)]


def _widths(rows: Sequence[tuple[str, ...]], room: int) -> list[int]:
    widths = [max(cell_len(row[number]) for row in rows) for number in range(len(rows[0]))]
    while sum(widths) + GAP * (len(widths) - 1) > room and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _cell(text: str, size: int, left: bool) -> str:
    if cell_len(text) > size:
        return set_cell_size(text, size - 1) + "…"
    blank = " " * (size - cell_len(text))
    return text + blank if left else blank + text
