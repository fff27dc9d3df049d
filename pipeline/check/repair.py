"""The last rung: `json_repair` on what looks like an object and is not JSON, believed only if it lost no word.

Alone the library is wrong in silence in 0.8 % of damaged answers, mostly by cutting a string at a comma or by
merging two objects; comparing words brings that to 0.2 % (TRIALS 2). Its `schema=` and salvage modes fill in values
and take drafts for answers: they are not used. Nothing that the model did not finish may come here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import json_repair

from pipeline.records import JSON

MAX_CHARACTERS = 256_000
"""json_repair takes about 2 µs a character. The patterns below are linear too: what comes here is hostile."""
MAX_PARENTHESES = 2_000
"""At each of them it looks ahead for a Python tuple: 80 µs (0.64, 2026-11-23)."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*(?:"|\Z)|//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_TOKEN = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?!\w)|\w+")
_OPEN_STRING = re.compile(r"(?:[:,\[{]\s*|(?<!\\)(?:\\\\)*\\)[\"'“]$")
_SWALLOWED = re.compile(r"(?:^|[\"“”])\s*[,;:]\s*[\"“”{\[]|[\"“”]\s*[,;:]\s*$")
"""Inside a string: the border between two values that were taken for one; their words are all there."""
_PLAIN_INTEGER = re.compile(r"[-+]?(?:0|[1-9]\d*)")
_NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?")
_BAD_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\[^\"\\/bfnrtu]")
_LETTER_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\[bfnrt]")


def repaired(span: str) -> str | None:
    """The object that the text means, as JSON text; None where that is not certain enough."""
    if len(span) > MAX_CHARACTERS or span.count("(") > MAX_PARENTHESES or not _ends(span):
        return None
    try:
        value = json_repair.loads(span, skip_json_loads=True)
        if not isinstance(value, dict) or not _same_words(value, span):
            return None
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):  # nesting, a number beyond the limits, NaN
        return None


def _ends(span: str) -> bool:
    """Whether the text ends where a value can end: a cut word or number would pass for a whole one."""
    return span.rstrip().endswith(("}", "]", '"', "”")) and not _OPEN_STRING.search(span.rstrip())


def _same_words(value: JSON, span: str) -> bool:
    """Whether the value says every word and number of the text, in order, and no other; comments may be left out."""
    if _BAD_ESCAPE.search(span) and _LETTER_ESCAPE.search(span):
        return False  # C:\Users\new: nobody knows whether \n was meant as a line break
    words = list(_words(value))
    if any(_SWALLOWED.search(word) for word in words):
        return False
    said = _tokens("\n".join(words))
    return any(said == _tokens(_unescaped(text)) for text in (span, _without_comments(span)))


def _words(value: JSON) -> Iterator[str]:
    match value:
        case dict():
            for name, child in value.items():
                yield name
                yield from _words(child)
        case list():
            for child in value:
                yield from _words(child)
        case str():
            yield value
        case None:
            yield "null"
        case bool():
            yield "true" if value else "false"
        case _:
            yield repr(value)


def _tokens(text: str) -> list[str]:
    return [_normal(token) for token in _TOKEN.findall(text)]


def _normal(token: str) -> str:
    """One spelling for each number and for the words of other languages that mean null."""
    if _PLAIN_INTEGER.fullmatch(token):
        return str(int(token))
    if _NUMBER.fullmatch(token):
        return repr(float(token))
    word = token.casefold()
    return "null" if word in ("none", "undefined") else word


def _without_comments(span: str) -> str:
    return _STRING_OR_COMMENT.sub(lambda hit: hit[0] if hit[0].startswith('"') else " ", span)


def _unescaped(span: str) -> str:
    return _ESCAPE.sub(lambda hit: chr(int(hit[1], 16)) if hit[1] else _ESCAPED.get(hit[2], hit[2]), span)
