"""A row whose documents have more pages than one request may hold: a question about each share of them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipeline.records import Pieces, Prompt, Row
from pipeline.render.long import MOST_PIECES, Asked
from pipeline.render.prompt import Unaskable


def shared(row: Row, *, prompt: Callable[[Row], Asked]) -> Asked:
    """What is asked about a row; `prompt` makes the question about one that is not shared out."""
    if not row.shares or row.fault is not None:
        return prompt(row)
    if len(row.shares) > MOST_PIECES:
        return Unaskable(f"its documents make more than {MOST_PIECES:,} requests: raise input.pages_per_request")
    made: list[Prompt] = []
    for number, share in enumerate(row.shares, start=1):
        asked = prompt(replace(row, media=share, shares=()))
        if isinstance(asked, Unaskable):
            return Unaskable(f"request {number} of the {len(row.shares)} for its documents: {asked.reason}")
        assert isinstance(asked, Prompt), "a config cuts texts or shares out documents, never both"
        made.append(replace(asked, piece=number))
    return Pieces(tuple(made))
