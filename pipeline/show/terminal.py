"""Blocks of a report as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.show import blocks
from pipeline.show.report import Block, Fold, Matrix, Ranges, Reliability, Table
from pipeline.show.text import count


def terminal_blocks(shown: Sequence[Block]) -> list[blocks.Block]:
    """Tables, figures with intervals, matrices and reliabilities; other kinds are pictures, and left out."""
    return [made for block in shown for made in _made(block)]


def _made(block: Block) -> Iterator[blocks.Block]:
    match block:
        case Table(title, head, rows, numbers, note):
            left = min(numbers, default=len(head) or max((len(row) for row in rows), default=1))
            yield blocks.Block(title, tuple(head), [tuple(row) for row in rows], _lines(note), left=left)
        case Ranges(title, ranges, note=note):
            yield blocks.Block(title, (), [(one.label, one.note, one.shown) for one in ranges], _lines(note))
        case Reliability(title, points, _, head, note):
            yield blocks.Block(title, tuple(head), [(one.label, one.note, one.shown) for one in points], _lines(note))
        case Matrix():
            counts = [(down, *(count(block.counts.get((down, across), 0)) for across in block.across)) for down in block.down]
            yield blocks.Block(block.title, ("", *block.across), counts, _lines(block.note))
        case Fold(title, table=Table() as table):
            yield from _made(replace(table, title=title))
        case _:
            return


def _lines(note: str) -> list[str]:
    return note.split("\n") if note else []
