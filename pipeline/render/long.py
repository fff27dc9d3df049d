"""A row whose text is longer than a request holds: refused before it is sent, cut, or asked about in pieces. Pure.

Nobody has counted the tokens of a text before it is sent, so they are estimated, each time on the side where an error costs
least. Refused is only what surely does not fit: by the fewest tokens that a text of this length may have, since a request
that does not fit is refused by the API, too, and not paid. Cut or split is whatever might not fit: by the most tokens that
ordinary text has, since a piece that is too long would have no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from pipeline.records import ASKS_A_PIECE, Document, Image, Pieces, Prompt, Row, Text
from pipeline.render.prompt import Unaskable
from pipeline.render.split import cut, size, spans

BYTES_A_TOKEN = 2
"""Fewer than ordinary text has in any language (English has more than 3): tokens counted by it come out too high."""
MOST_BYTES_A_TOKEN = 8
"""More than any text has but one made for it (English 4 to 5, source code with deep indentation 6): tokens counted by it come
out too low."""
MOST_BYTES_A_CHARACTER = 4
MOST_PIECES = 999_999 // ASKS_A_PIECE - 1
"""The names of requests in a batch have six digits for `Prompt.place`."""
LEAST_TOKENS = 100
"""Of a row's text in one request: with less room than that it says nothing."""
MEND = "prompt.long: split asks about it in pieces, prompt.long: truncate about its beginning"

Asked: TypeAlias = "Prompt | Pieces | Unaskable"
"""What a row is asked, or why it is not."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How much of a row a request holds, and what becomes of more."""

    do: Literal["fail", "truncate", "split"]
    window: int | None
    """Tokens that the model reads at once; None: not known."""
    reserved: int
    """Tokens of it that are not for the row: of the constant part, of replies and what is said about them."""
    tokens: int | None = None
    """The most for a row, where less than the window is wanted."""
    overlap: int = 0
    """Tokens."""
    columns: tuple[str, ...] = ()
    """Texts of which the longest is cut."""

    @property
    def room(self) -> int | None:
        """Tokens for what a row brings; None: any number."""
        fits = None if self.window is None else self.window - self.reserved
        return fits if self.tokens is None else self.tokens if fits is None else min(fits, self.tokens)


def fitted(row: Row, *, fit: Fit, prompt: Callable[[Row], Prompt | Unaskable]) -> Asked:
    """What is asked about a row; `prompt` makes the question about it whole, however long it is."""
    asked = prompt(row)
    if isinstance(asked, Unaskable):
        return asked
    if fit.do == "fail":
        return asked if fit.window is None else _refused(asked, fit.window)
    room = fit.room
    if room is None or _fits(asked, room):
        return asked
    column = max(fit.columns, key=lambda name: len(text) if isinstance(text := row.values.get(name), str) else -1)
    text = row.values.get(column)
    if not isinstance(text, str):
        return _too_much(tokens(asked), room)
    beside = max(0, tokens(asked) - _tokens_of(text))
    most = room - beside
    if most < max(LEAST_TOKENS, 2 * fit.overlap + 1):
        return _too_much(beside, room, column)
    if fit.do == "truncate":
        kept = cut(text, most * BYTES_A_TOKEN)
        begun = prompt(replace(row, values={**row.values, column: text[:kept]}))
        return begun if isinstance(begun, Unaskable) else _checked(replace(begun, left_out=len(text) - kept), room, column)
    return _split(row, column, most, room, fit, prompt)


def _split(
    row: Row, column: str, most: int, room: int, fit: Fit, prompt: Callable[[Row], Prompt | Unaskable]
) -> Pieces | Unaskable:
    text = str(row.values[column])
    made: list[Prompt] = []
    places: list[tuple[int, int]] = []
    for span in spans(text, most * BYTES_A_TOKEN, fit.overlap * BYTES_A_TOKEN):
        piece = text[span.start : span.end]
        if not piece.strip():
            continue
        number = len(made) + 1
        if number > MOST_PIECES:
            return Unaskable(f"{column} makes more than {MOST_PIECES:,} pieces of {most:,} tokens: raise prompt.long.tokens")
        asked = prompt(replace(row, values={**row.values, column: piece}))
        asked = asked if isinstance(asked, Unaskable) else _checked(replace(asked, piece=number), room, column)
        if isinstance(asked, Unaskable):
            return Unaskable(f"piece {number} of {column}: {asked.reason}")
        made.append(asked)
        places.append((span.start, span.end))
    if not made:
        return Unaskable(f"{column} holds nothing but white space, and more of it than one request holds")
    return Pieces(tuple(made), column, tuple(places))


def _refused(asked: Prompt, window: int) -> Prompt | Unaskable:
    if sum(map(len, _texts(asked))) * MOST_BYTES_A_CHARACTER <= window * MOST_BYTES_A_TOKEN:  # nearly all: nothing is encoded
        return asked
    least = sum(map(size, _texts(asked))) // MOST_BYTES_A_TOKEN
    if least <= window:
        return asked
    return Unaskable(f"the text has at least {least:,} tokens, and the model reads {window:,} at once: {MEND}")


def _checked(asked: Prompt, room: int, column: str) -> Prompt | Unaskable:
    """A template may show a text twice, or make more of it."""
    if _fits(asked, room):
        return asked
    return Unaskable(
        f"with a part of {column} that should fit, the prompt still takes {tokens(asked):,} tokens, of {room:,} that it may: "
        "does prompt.user show that column twice?"
    )


def _too_much(beside: int, room: int, column: str | None = None) -> Unaskable:
    what = "what prompt.user takes" if column is None else f"what prompt.user takes beside {column}"
    advice = "" if column is None else "; name the long column in prompt.long.column, or raise prompt.long.tokens"
    return Unaskable(
        f"{what} has about {beside:,} tokens, and {room:,} are there for the row: no cut of one text helps{advice}"
    )


def _fits(asked: Prompt, room: int) -> bool:
    most = sum(map(len, _texts(asked))) * MOST_BYTES_A_CHARACTER // BYTES_A_TOKEN + _media(asked)
    return most <= room or tokens(asked) <= room


def tokens(asked: Prompt) -> int:
    """What a row brings into its request, at most for ordinary text."""
    return sum(map(_tokens_of, _texts(asked))) + _media(asked)


def _tokens_of(text: str) -> int:
    return -(-size(text) // BYTES_A_TOKEN)


def _texts(asked: Prompt) -> list[str]:
    return [block.text for turn in asked.turns for block in turn.blocks if isinstance(block, Text)]


def _media(asked: Prompt) -> int:
    return sum(block.tokens for turn in asked.turns for block in turn.blocks if isinstance(block, Image | Document))
