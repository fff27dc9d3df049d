"""What a message about a config says: keys, values and expectations in words. Everything comes out as one printable line.

An expectation is read from the annotation in settings.py, so that the check and its message cannot differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from annotated_types import DocInfo, Ge, Gt, MinLen

from pipeline.config.tree import Key
from pipeline.records import JSON

LONGEST_VALUE = 60
"""Characters of a value that a message repeats; prompts stand in configs too."""

NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
WORDS_FOR_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def printable(text: str) -> str:
    """The text with everything that could move a terminal's cursor or hide itself escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def named(key: Key) -> str:
    """`input.path[1]` for ("input", "path", 1)."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{printable(step)}" for step in key)
    return "".join(parts).removeprefix(".")


def shown(value: JSON) -> str:
    """A value as it would stand in the config; lists and mappings by their kind only."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else f'{text[:LONGEST_VALUE]}…"'


def expected(kind: object) -> str:
    """What an annotation of settings.py takes: its `doc` where it has one, else type and bounds; null goes unsaid."""
    arguments = get_args(kind)
    origin = get_origin(kind)
    if origin is Annotated:
        base, *bounds = arguments
        for bound in bounds:
            if isinstance(bound, DocInfo):
                return bound.documentation
        return " ".join([expected(base), *(_bound(bound) for bound in bounds)])
    if origin is Literal:
        options = ", ".join(map(_literal, arguments))
        return f"one of {options}" if len(arguments) > 1 else options
    if origin in (Union, UnionType):
        return " or ".join(expected(argument) for argument in arguments if argument is not NoneType)
    if isinstance(kind, type) and is_dataclass(kind):
        return f"a mapping of {', '.join(field.name for field in fields(kind))}"
    if isinstance(kind, type) and kind in NAMES:
        return NAMES[kind]
    raise TypeError(f"an annotation in settings.py without words: {kind!r} needs a doc() around it")


def _literal(value: object) -> str:
    """As the config writes it: YAML has `false`, not `False`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bound(bound: object) -> str:
    match bound:
        case Ge():
            return f"of at least {bound.ge}"
        case Gt():
            return f"above {bound.gt}"
        case MinLen(1):
            return "of at least 1 character"
        case _:
            raise TypeError(f"a bound in settings.py without words: {bound!r} needs a doc() beside it")


def advice(value: JSON, kind: object) -> str:
    """How `value` may have been meant, as `; …` to end a message with; empty where that is anyone's guess."""
    leaves = list(_leaves(kind))
    options = [_literal(leaf) for leaf in leaves if not isinstance(leaf, type)]
    if isinstance(value, str):
        if near := get_close_matches(value.lower(), options, 1):
            return f"; did you mean {near[0]}?"
        if bool in leaves and value.lower() in WORDS_FOR_BOOLEANS:
            return f"; did you mean {WORDS_FOR_BOOLEANS[value.lower()]}?"
        if {int, float} & set(leaves) and _is_number(value):
            return "; write it without quotes"
        if tuple in leaves:
            return f"; did you mean [{printable(value)}]?" if len(value) <= LONGEST_VALUE else ""
    if isinstance(value, float) and not isfinite(value):
        return "; it must be finite"
    if isinstance(value, float) and int in leaves and value.is_integer():
        return f"; did you mean {int(value)}?"
    if isinstance(value, bool | int | float) and str in leaves and int not in leaves:
        return "; if it is meant as text, put it in quotes"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _leaves(kind: object) -> Iterator[object]:
    """The types and the literal values that an annotation admits, lists as `tuple`."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _leaves(get_args(kind)[0])
    elif origin is Literal:
        yield from get_args(kind)
    elif origin in (Union, UnionType):
        for argument in get_args(kind):
            yield from _leaves(argument)
    else:
        yield tuple if origin is tuple else kind


def nearest(key: Key, known: Iterable[Key]) -> str:
    """Which known key an unknown one may have been meant as, or what could stand there, as `; …`."""
    parent, name = key[:-1], str(key[-1])
    places: dict[str, list[Key]] = {}
    for other in known:
        places.setdefault(str(other[-1]), []).append(other)
    beside = [leaf for leaf, keys in places.items() if any(other[:-1] == parent for other in keys)]
    if name in places:
        meant = places[name]
    elif near := get_close_matches(name.lower(), beside, 1):
        meant = [(*parent, near[0])]
    elif near := get_close_matches(name.lower(), places, 1, cutoff=0.8):
        meant = places[near[0]]
    else:
        return f", expected one of {', '.join(beside)}"
    return f"; did you mean {' or '.join(map(named, meant))}?"
