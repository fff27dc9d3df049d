"""How the first long row of a job would be sent, for `pipeline check`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pipeline.commands.wiring import Loaded
from pipeline.read.rows import rows
from pipeline.records import Pieces, Prompt, Row, Text
from pipeline.render.long import tokens
from pipeline.show.text import count, plain

LOOKED_AT = 10_000
"""Rows among which a long one is looked for."""
SHOWN_PIECES = 6
SHOWN_CHARACTERS = 40


def settings(made: Loaded) -> list[str]:
    """What a long text is, and what becomes of it."""
    long, fit = made.job.prompt.long, made.fit
    if fit.do == "fail":
        return []
    assert fit.room is not None
    column = f"column {long.column}" if long.column is not None else "the longest text"
    lines = [f"long       a row of more than {fit.room:,} tokens, at two bytes a token: {column} is {_done(made)}"]
    if fit.do == "split":
        rules = "one more question" if long.combine == "prompt" else ", ".join(f"{k}: {v}" for k, v in long.combine.items())
        lines.append(f"           the answers to its pieces become one by {rules}")
    return lines


def _done(made: Loaded) -> str:
    if made.fit.do == "truncate":
        return "cut to its beginning"
    return f"cut into pieces that share {made.fit.overlap:,} tokens"


def first_long(made: Loaded) -> list[str]:
    """The first row that is cut; or that there is none."""
    if made.fit.do == "fail":
        return []
    looked = 0
    for row in islice(_rows(made), LOOKED_AT):
        looked += 1
        match made.first(row):
            case Pieces() as pieces:
                return list(_split(row, pieces))
            case Prompt(left_out=left_out) as asked if left_out:
                return [
                    f"row {plain(row.key)} is long: {count(left_out)} characters at its end are left out, after",
                    f"   …{plain(_text(asked)[-SHOWN_CHARACTERS:])}",
                ]
            case _:
                pass
    return [f"no row of the first {count(looked)} is long"]


def _split(row: Row, pieces: Pieces) -> Iterator[str]:
    number, text = len(pieces.prompts), str(row.values[pieces.column])
    yield f"row {plain(row.key)} is long: the {count(len(text))} characters of {pieces.column} go in {count(number)} pieces"
    for asked, (start, end) in list(zip(pieces.prompts, pieces.spans, strict=True))[:SHOWN_PIECES]:
        begins, ends = plain(text[start : start + SHOWN_CHARACTERS]), plain(text[end - SHOWN_CHARACTERS : end])
        yield f"   {asked.piece:>4}  {count(tokens(asked)):>9} tokens  {begins} … {ends}"
    if number > SHOWN_PIECES:
        yield f"         and {count(number - SHOWN_PIECES)} more"


def _rows(made: Loaded) -> Iterator[Row]:
    key = made.job.input.key
    columns = list(dict.fromkeys([*made.needs, *([key] if key is not None else [])]))
    for batch in made.source.batches(columns):
        yield from rows(batch, made.needs, key)


def _text(asked: Prompt) -> str:
    return "".join(block.text for turn in asked.turns for block in turn.blocks if isinstance(block, Text))
