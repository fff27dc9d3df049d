"""A row's value as a prompt has it: exact, in one form, and never as Python would write it (docs/prompts.md has the table)."""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal


def printed(value: object) -> object:
    """What `str` makes the value's text of. Raises ValueError for bytes that are no text."""
    match value:
        case None:  # a null column is nothing in a prompt, not the word "None"
            return ""
        case Decimal():
            return format(value, "f")  # str would write 1E-10
        case date() | time():  # a datetime is a date
            return value.isoformat()
        case bytes():
            return _text(value)
        case list() | tuple() | dict() if type(value) in (list, tuple, dict):  # the few-shot examples print themselves
            return json.dumps(value, ensure_ascii=False, default=_inside)
        case _:
            return value


def _inside(value: object) -> str:
    return str(printed(value))


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"a value of {len(value):,} bytes is no UTF-8 text, and a prompt is text") from None
