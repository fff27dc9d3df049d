"""Whether a repaired value says what the text says: every name, string, number and word of it, in order, and nothing else.

The text is walked with the value in hand. Every bracket and colon must be in its place, between two things only a comma, white
space and comments may stand, and a string must be there character for character between one quote and another. So a repair
that cut a string at a comma, split one at an apostrophe, dropped `...` or the sign of `99%`, or guessed at a backslash, is
found out. Comparing the words alone let 4 % of answers through as other ones (tests/check/damage.py, 2026-11-25).
"""

from __future__ import annotations

import re

from pipeline.records import JSON

_QUOTES = {'"': '"”', "'": "'’", "“": '”"', "‘": "’'"}
"""Opening quote → what may close it."""
_CLOSING = frozenset("\"'”’")
_BETWEEN = re.compile(r"[\s,:]*")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WORD = re.compile(r"\w+")
_PLAIN = re.compile(r"\w+(?: \w+)*")
"""A string that can have lost one of its quotes and still end nowhere else."""
_APART = re.compile(r"[\s{}\[\],:]|\Z|//|/\*|#")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|([\"\\/bfnrt']))")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_DOUBTFUL = re.compile(r"(?<!\\)(?:\\\\)*\\(?:[^A-Za-z0-9\s\"'\\/]|u(?![0-9a-fA-F]{4}))")
"""A backslash that Markdown may have put there, as in snake\\_case, or half an escape."""
_BAD_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\[^\"\\/bfnrtu']")
_LETTER_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\[bfnrt]")
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_NO_STRINGS = frozenset({*_WORDS, "nan", "infinity", "undefined"})
"""Without quotes these, and what they begin with, do not mean their letters."""


def says_the_same(value: JSON, text: str) -> bool:
    """Whether the text spells the value and no more, its comments aside. Brackets may be missing where nothing follows."""
    if _DOUBTFUL.search(text) or (_BAD_ESCAPE.search(text) and _LETTER_ESCAPE.search(text)):
        return False  # C:\Users\new: nobody knows whether \n was meant as a line break
    walk = _Walk(text, text.rfind("*/"))
    return walk.past(value) and walk.between() in ("", ",") and walk.at == len(text)


class _Walk:
    """Through the text, with the value in hand."""

    def __init__(self, text: str, last_comment: int) -> None:
        self.text = text
        self.last_comment = last_comment
        """Where the last comment is closed: keeps hostile text linear."""
        self.at = 0

    def past(self, value: JSON) -> bool:
        """Goes over the value; false where the text says something else."""
        match value:
            case dict():
                return self._opened("{") and all(map(self._past_member, value.items())) and self._closed("}")
            case list():
                flat = bool(value) and not any(isinstance(child, (dict, list)) for child in value)
                return self._opened("[") and all(map(self._past_item, value, range(len(value)))) and self._closed("]", flat)
            case _:
                return self._past_thing(value)

    def between(self) -> str:
        """Goes over white space and comments; the commas and colons among them."""
        marks = ""
        while True:
            mark = _BETWEEN.match(self.text, self.at)
            if mark:
                self.at = mark.end()
                marks += "".join(mark[0].split())
            if self.text.startswith(("//", "#"), self.at):
                line = self.text.find("\n", self.at)
                self.at = len(self.text) if line < 0 else line
            elif self.text.startswith("/*", self.at) and self.at + 2 <= self.last_comment:
                self.at = self.text.index("*/", self.at + 2) + 2
            else:
                return marks

    def _past_member(self, member: tuple[str, JSON]) -> bool:
        name, value = member
        return ":" not in self.between() and self._past_thing(name) and self.between() == ":" and self.past(value)

    def _past_item(self, value: JSON, index: int) -> bool:
        # Two commas may have had a value between them.
        return self.between() in ("", ",")[: index + 1] and self.past(value)

    def _past_thing(self, thing: str | float | bool | None) -> bool:
        if isinstance(thing, str):
            end = _end_of_string(self.text, self.at, thing)
        else:
            end = _end_of_literal(self.text, self.at, thing)
        if end is None or not _APART.match(self.text, end):
            return False
        self.at = end
        return True

    def _opened(self, bracket: str) -> bool:
        self.between()
        found = self.text.startswith(bracket, self.at)
        self.at += found
        return found

    def _closed(self, bracket: str, may_lack: bool = False) -> bool:
        """`may_lack`: a list of plain things is ended by a name with its colon too; an object could go on."""
        before, marks = self.at, self.between()
        if self.text.startswith(bracket, self.at):
            self.at += 1
            return ":" not in marks if bracket == "}" else marks in ("", ",")
        if self.at < len(self.text):
            self.at = before  # the comma belongs to what follows
            return may_lack
        return True


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
    if not closing and not closed and (value[:1].isdecimal() or any(word.startswith(value.lower()) for word in _NO_STRINGS)):
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
