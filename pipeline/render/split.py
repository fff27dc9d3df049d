"""A text that is too long for one request → pieces of it, cut where its structure allows. Pure.

    spans   all of the text, in pieces that overlap a little
    cut     its beginning, as long as it may be

A cut is made at the strongest boundary near the place where it is due: before a heading, between paragraphs, at the end of a
sentence, of a line, of a word; only where there is none of them, between two characters. Nothing is dropped or changed, white
space neither: without their overlap the pieces are the text.

Sizes are bytes of UTF-8. The same text and sizes make the same pieces wherever and whenever, and a text that has grown at its
end makes the same pieces but for the last two: a piece is part of a request, and a request that differs by a character is paid
for again. So pieces must not change with the release of a library; and the best that was found, semantic-text-splitter 0.33,
never joins across several blank lines, so that of a book of 1.2 million characters it made 53 pieces where 30 hold it, some no
longer than "CHAPTER 1" (tried 2026-11-26): requests that say nothing, each with a vote.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_SPACES = r"[^\S\r\n]*+"
_BREAK = r"(?:\r\n|\n|\r)"
_PARAGRAPH = rf"(?<=\S){_SPACES}{_BREAK}{_SPACES}{_BREAK}\s*+"
_CLOSING = "[\"'”’»)\\]」』）】]*+"
# A run of white space is met once, at its beginning, and taken whole (`*+`): a text of nothing else costs no more than another.
BOUNDARIES = tuple(
    re.compile(pattern)
    for pattern in (
        # Before a heading: one of Markdown, or a short line between blank ones that ends like no sentence; and a page break.
        rf"\f\s*+|{_PARAGRAPH}(?=\#{{1,6}}[ \t]|[^\r\n]{{1,80}}(?<![.!?;:,。！？…]){_BREAK}{_SPACES}{_BREAK})",
        _PARAGRAPH,
        rf"[.!?…]{_CLOSING}\s++(?![a-z])|[。！？｡]{_CLOSING}\s*+",
        rf"{_BREAK}|[\v\u0085\u2028\u2029]",
        r"\s++",
    )
)
"""From the strongest to the weakest; each is cut after."""
SPLIT = 1
"""Raised whenever a text may come out in other pieces than before: they are other requests, to be paid for anew."""
SENTENCE = 2
"""Which of them is the end of a sentence."""
SMALLEST = 64
"""Bytes of the smallest pieces that are made."""
SLACK = 0.25
"""How far from the place where it is due a cut may be, as a share of the piece."""
CUT_SLACK = 0.1
"""The same of a text of which only the beginning is taken: what is cut off is lost."""
GROUPED = 120
"""Characters of a heading with the white space behind it."""
_JOINER = "\u200d"
"""Holds two emoji together."""
_BELONGING = {_JOINER, "\ufe0e", "\ufe0f"}
"""What belongs to the emoji before it."""
MOST_JOINED = 32
"""So far is looked for a place between two characters that belong to nobody else."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece is `text[start:end]`; what is before `core` stands in the piece before it, too."""

    start: int
    core: int
    end: int


def spans(text: str, most_bytes: int, overlap_bytes: int) -> tuple[Span, ...]:
    """All pieces, each of at most `most_bytes`; one, where the text fits. At least SMALLEST, more than twice the overlap."""
    if most_bytes < SMALLEST or not 0 <= 2 * overlap_bytes < most_bytes:
        raise ValueError(f"pieces of {most_bytes} bytes that share {overlap_bytes}")
    left = size(text)
    if left <= most_bytes:
        return (Span(0, 0, len(text)),)
    room = most_bytes - overlap_bytes
    found: list[Span] = []
    at = 0
    while True:
        start = _back(text, at, overlap_bytes)
        if left <= room:
            return (*found, Span(start, at, len(text)))
        due = room if left > 2 * room else left / 2  # the last two share what is left: no piece is a mere remainder
        low = at + reach(text, at, int(due * (1 - SLACK)))
        high = at + reach(text, at, min(room, int(due * (1 + SLACK))))
        end = _boundary(text, low, high, at + reach(text, at, int(due)))
        found.append(Span(start, at, end))
        left -= size(text[at:end])
        at = end


def cut(text: str, most_bytes: int) -> int:
    """How many characters of the text are its beginning of at most so many bytes, up to the last sentence that fits."""
    high = reach(text, 0, most_bytes)
    if high == len(text):
        return high
    low = reach(text, 0, int(most_bytes * (1 - CUT_SLACK)))
    for boundary in BOUNDARIES[1 : SENTENCE + 1]:
        if places := list(_places(boundary, text, low, high)):
            return places[-1]
    return _boundary(text, low, high, high)


def size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def reach(text: str, at: int, most_bytes: int) -> int:
    """How many characters from there on are at most so many bytes."""
    ahead = text[at : at + most_bytes]
    if ahead.isascii():
        return len(ahead)
    encoded = ahead.encode("utf-8", "surrogatepass")
    while most_bytes < len(encoded) and encoded[most_bytes] & 0xC0 == 0x80:  # in the middle of a character
        most_bytes -= 1
    return len(encoded[:most_bytes].decode("utf-8", "surrogatepass"))


def _boundary(text: str, low: int, high: int, due: int) -> int:
    """Where to cut: at the strongest boundary in (low, high], the one nearest to where the cut is due."""
    for boundary in BOUNDARIES:
        if places := list(_places(boundary, text, low, high)):
            if boundary is BOUNDARIES[0]:
                places = _of_groups(text, places)
            return min(places, key=lambda at: (abs(at - due), -at))
    return _between(text, max(low + 1, high - MOST_JOINED), high)


def _of_groups(text: str, headings: list[int]) -> list[int]:
    """Without those that follow another heading at once: number, title and subtitle stay together, with what they are above."""
    alone = [at for before, at in pairwise(headings) if len(text[before:at].strip().splitlines()) > 1 or at - before > GROUPED]
    return [headings[0], *alone]


def _places(boundary: re.Pattern[str], text: str, low: int, high: int) -> Iterator[int]:
    """What begins before `low` or ends behind `high` is none: white space is never cut through."""
    for match in boundary.finditer(text, low, min(high + 200, len(text))):
        if low < match.end() <= high:
            yield match.end()


def _between(text: str, low: int, high: int) -> int:
    """The last place up to `high` between two characters that are no parts of one; `high`, where there is none."""
    for at in range(high, low - 1, -1):
        if at < len(text) and not _joined(text[at - 1], text[at]):
            return at
    return high


def _joined(before: str, after: str) -> bool:
    if before == _JOINER or after in _BELONGING:
        return True
    return before + after == "\r\n" or unicodedata.combining(after) > 0


def _back(text: str, at: int, overlap_bytes: int) -> int:
    """Where a piece begins that goes on at `at`: so many bytes before it at most, at the start of a sentence, or of a word."""
    if not overlap_bytes or not at:
        return at
    low = at - reach(text[max(0, at - overlap_bytes) : at][::-1], 0, overlap_bytes)
    for boundary in (BOUNDARIES[SENTENCE], BOUNDARIES[-1]):
        if (place := next(_places(boundary, text, low, at - 1), None)) is not None:
            return place
    return next((place for place in range(low, at) if not place or not _joined(text[place - 1], text[place])), at)
