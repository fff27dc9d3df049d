"""Text → JSON value, strictly, with the limits that hostile text needs: size, depth, digits.

jiter reads (1.4 µs): it keeps integers of any size and notices a key written twice; orjson was not taken because it
makes a double of an integer beyond 64 bits and lets the last key win in silence. What jiter refuses is read once more
by the standard library, which can tell the two things that are accepted with a mark: keys written twice (the last one
wins) and halves of surrogate pairs (which become U+FFFD: no file format of ours can hold them).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import jiter

from pipeline.records import JSON

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 64

DUPLICATE_KEY = "duplicate_key"
LONE_SURROGATE = "replaced_lone_surrogate"


@dataclass(frozen=True, slots=True)
class Parsed:
    value: JSON
    repairs: tuple[str, ...] = ()
    """DUPLICATE_KEY, LONE_SURROGATE: what had to be decided about the text."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    why: str
    """With line and column where there is one; never with a part of the text."""


class _NotANumber(ValueError):
    """NaN or Infinity."""


def parse(text: str) -> Parsed | Unreadable:
    """The JSON value that is the whole text. Never raises."""
    if len(text) > MAX_CHARACTERS:
        return Unreadable(f"{len(text):,} characters, more than the {MAX_CHARACTERS:,} that are read")
    try:
        value: JSON = jiter.from_json(text.encode(), allow_inf_nan=False, catch_duplicate_keys=True)
        repairs: tuple[str, ...] = ()
    except ValueError:
        slowly = _slowly(text)
        if isinstance(slowly, Unreadable):
            return slowly
        value, repairs = slowly.value, slowly.repairs
    fault = _fault(value, MAX_DEPTH)
    return Unreadable(fault) if fault else Parsed(value, repairs)


def _slowly(text: str) -> Parsed | Unreadable:
    repairs: dict[str, None] = {}

    def members(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
        held = {_whole(name): value for name, value in pairs}
        if len(held) < len(pairs):
            repairs[DUPLICATE_KEY] = None
        return held

    def no_number(word: str) -> JSON:
        raise _NotANumber(f"{word} is not JSON")

    def _whole(string: str) -> str:
        if string.isascii():
            return string
        # Two halves that were escaped apart and belong together are one character.
        whole = string.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if whole != string:
            repairs[LONE_SURROGATE] = None
        return whole

    def mended(value: JSON) -> JSON:
        match value:
            case str():
                return _whole(value)
            case list():
                return [mended(child) for child in value]
            case dict():
                return {name: mended(child) for name, child in value.items()}
            case _:
                return value

    try:
        value: JSON = mended(json.loads(text, object_pairs_hook=members, parse_constant=no_number))
    except json.JSONDecodeError as error:
        return Unreadable(f"{error.msg} (line {error.lineno}, column {error.colno})")
    except RecursionError:
        return Unreadable(f"nested deeper than {MAX_DEPTH} levels")
    except _NotANumber as error:
        return Unreadable(str(error))
    except ValueError:  # Python reads no more than 4,300 digits
        return Unreadable("a number with too many digits")
    return Parsed(value, tuple(repairs))


def _fault(value: JSON, levels: int) -> str | None:
    """Why a value that reads as JSON is none of ours: too deep, or a number that became infinite."""
    children: list[JSON]
    if isinstance(value, dict):
        children = list(value.values())
    elif isinstance(value, list):
        children = value
    else:
        return "a number too large for a double" if isinstance(value, float) and math.isinf(value) else None
    if levels == 0:
        return f"nested deeper than {MAX_DEPTH} levels"
    for child in children:
        if isinstance(child, (dict, list, float)) and (fault := _fault(child, levels - 1)):
            return fault
    return None
