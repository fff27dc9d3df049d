"""Whether a repaired value says what the text says: every name, string, number and word of it, in order, and nothing else.

The text is walked with the value in hand. Between two things only white space, brackets, commas, colons and comments may
stand; a string must be there character for character between one quote and another. So a repair that cut a string at a
comma, split one at an apostrophe, dropped `...` or the sign of `99%`, or guessed at a backslash, is found out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.records import JSON

_QUOTES = {'"': '"”', "'": "'’", "“": '”"', "‘": "’'"}
"""Opening quote → what may close it."""
_CLOSING = frozenset("\"'”’")
_BETWEEN = re.compile(r"[\s{}\[\],:]*")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WORD = re.compile(r"\w+")
_PLAIN = re.compile(r"\w+(?: \w+)*")
"""A string that can have lost one of its quotes and still end nowhere else."""
_APART = re.compile(r"[\s{}\[\],:]|\Z|//|/\*|#")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|([\"\\/bfnrt']))")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_DOUBTFUL = re.compile(r"(?<!\\)(?:\\\\)*\\[^A-Za-z0-9\s\"'\\/]")
"""A backslash that Markdown may have put there, as in snake\\_case."""
_BAD_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\[^\"\\/bfnrtu']")
_LETTER_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\[bfnrt]")
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_NO_STRINGS = frozenset({*_WORDS, "nan", "infinity", "undefined"})
"""Without quotes these mean something, and it is not their letters."""


def says_the_same(value: JSON, text: str) -> bool:
    """Whether the text spells the value and no more, its comments aside."""
    if _DOUBTFUL.search(text) or (_BAD_ESCAPE.search(text) and _LETTER_ESCAPE.search(text)):
        return False  # C:\Users\new: nobody knows whether \n was meant as a line break
    last_comment = text.rfind("*/")
    at = _over(text, 0, last_comment)
    for thing in _things(value):
        end = _end_of_string(text, at, thing) if isinstance(thing, str) else _end_of_literal(text, at, thing)
        if end is None or not _APART.match(text, end):
            return False
        at = _over(text, end, last_comment)
    return at == len(text)


def _things(value: JSON) -> Iterator[str | int | float | bool | None]:
    """Names and scalars, in the order of the text."""
    match value:
        case dict():
            for name, child in value.items():
                yield name
                yield from _things(child)
        case list():
            for child in value:
                yield from _things(child)
        case _:
            yield value


def _over(text: str, at: int, last_comment: int) -> int:
    """Past what may stand between two things. `last_comment`: where the last one is closed; keeps hostile text linear."""
    while True:
        between = _BETWEEN.match(text, at)
        at = between.end() if between else at
        if text.startswith(("//", "#"), at):
            line = text.find("\n", at)
            at = len(text) if line < 0 else line
        elif text.startswith("/*", at) and at + 2 <= last_comment:
            at = text.index("*/", at + 2) + 2
        else:
            return at


def _end_of_literal(text: str, at: int, value: float | bool | None) -> int | None:
    if value is None or isinstance(value, bool):
        word = _WORD.match(text, at)
        return word.end() if word and _WORDS.get(word[0].lower(), word) is value else None
    number = _NUMBER.match(text, at)
    if number is None:
        return None
    digits = number[0].removeprefix("+").lstrip("-")
    if digits.startswith("0") and digits[1:2].isdigit():
        return None  # 007 may be a name
    try:
        said = int(number[0]) if digits.isdigit() else float(number[0])
    except ValueError:  # more digits than Python reads
        return None
    return number.end() if said == value else None


def _end_of_string(text: str, at: int, value: str) -> int | None:
    closing = _QUOTES.get(text[at : at + 1], "")
    end = _end_of_content(text, at + bool(closing), value)
    if end is None:
        return None
    closed = text[end : end + 1] in _CLOSING and bool(text[end : end + 1])
    if closing and closed:
        return end + 1 if text[end] in closing else None
    if not closing and not closed and (value[:1].isdecimal() or value.lower() in _NO_STRINGS):
        return None
    return end + closed if _PLAIN.fullmatch(value) else None


def _end_of_content(text: str, at: int, value: str) -> int | None:
    """Where the characters of a string end, as they stand or escaped."""
    if "\\" not in value and text.startswith(value, at):
        return at + len(value)
    said = 0
    while said < len(value):
        escape = _ESCAPE.match(text, at)
        if escape is None:
            meant, width = text[at : at + 1], 1
        elif escape[3]:
            meant, width = _ESCAPED.get(escape[3], escape[3]), 2
        else:
            units = bytes.fromhex(escape[1] + (escape[2] or ""))
            meant, width = units.decode("utf-16-be", "replace"), len(escape[0])
        if not meant or not value.startswith(meant, said):
            return None
        said += len(meant)
        at += width
    return at
