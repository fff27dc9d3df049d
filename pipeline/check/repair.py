"""The last rung: `json_repair` on what looks like an object and is not JSON, believed only if it lost nothing.

Alone the library makes another answer, without a word, of 8 % of answers damaged on purpose and of 18 % of those that were cut
(tests/check/damage.py, 0.64.6, 2026-11-25), mostly by cutting a string at a comma, an apostrophe or a quote; the alignment
with the text finds these out. Its `schema=` and salvage modes fill in values and take drafts for answers: they are not used.
What the model did not finish never comes here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import json_repair

from pipeline.check.alignment import says_the_same
from pipeline.records import JSON

MAX_CHARACTERS = 100_000
"""json_repair takes 2 to 6 µs a character. The patterns below are linear too: what comes here is hostile."""
MAX_PARENTHESES = 2_000
"""At each of them it looks ahead for a Python tuple: 80 µs (0.64, 2026-11-23)."""

_OPEN_STRING = re.compile(r"(?:[:,\[{]\s*|(?<!\\)(?:\\\\)*\\)[\"'“]$")
_SWALLOWED = re.compile(r"(?:^|[\"“”])\s*[,;:]\s*[\"“”{\[]|[\"“”]\s*[,;:]\s*$")
"""Inside a string: the border between two values that were taken for one; their words are all there."""


def repaired(span: str) -> str | None:
    """The object that the text means, as JSON text; None where that is not certain enough."""
    if len(span) > MAX_CHARACTERS or span.count("(") > MAX_PARENTHESES or not _ends(span):
        return None
    try:
        value = json_repair.loads(span, skip_json_loads=True)
        if not isinstance(value, dict) or any(_SWALLOWED.search(string) for string in _strings(value)):
            return None
        if not says_the_same(value, span):
            return None
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):  # nesting, a number beyond the limits, NaN
        return None


def _ends(span: str) -> bool:
    """Whether the text ends where a value can end: a cut word or number would pass for a whole one."""
    return span.rstrip().endswith(("}", "]", '"', "”")) and not _OPEN_STRING.search(span.rstrip())


def _strings(value: JSON) -> Iterator[str]:
    match value:
        case dict():
            for name, child in value.items():
                yield name
                yield from _strings(child)
        case list():
            for child in value:
                yield from _strings(child)
        case str():
            yield value
        case _:
            pass
