"""A value that is almost valid → the value that was meant, where nothing is lost and nothing is guessed.

The violations lead: only what fails is touched, so a valid value cannot change, and references, alternatives and nesting
need no walk of our own through the schema. A place is mended only if exactly one mend fits, and the whole must validate
in the end; else there is no coerced value, nor for a very large one.

Case matters most: with structured outputs the API promises the form of an answer but not the capitals of an enum
(platform.claude.com/docs/en/build-with-claude/structured-outputs, read 2026-10-08). Arrays and objects of a tool call do
arrive as JSON in a string (github.com/inkeep/agents/pull/1285).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from jsonschema_rs import ValidationError, ValidationErrorKind, Validator

from pipeline.check.dates import iso_date, iso_moment
from pipeline.check.parse import Parsed, parse
from pipeline.check.violations import holder, very_large
from pipeline.records import JSON
from pipeline.schema.tree import Tree, kind_of, step

TRIMMED = "trimmed"
"""White space around (in an enum: also doubled within) a string whose enum, const, pattern or format knows none."""
ENUM_CASE = "enum_case"
STRING_FROM_NUMBER = "string_from_number"
"""A number or boolean in place of the string that spells it in an enum or const."""
WRAPPED_IN_ARRAY = "wrapped_in_array"
DATE_FORM = "date_form"

_ROUNDS = 4
"""A mended value can have its next fault, as `["5"]` after `"5"`; each round mends one in every place."""
_MOST_CHOICES = 20
"""Places a round where several mends are tried, each with a validation of the whole."""
_MOST_DIGITS = 300
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
"""As JSON writes it: no plus, no leading zero, no thousands separator."""

_Path: TypeAlias = tuple[str | int, ...]
_Mends: TypeAlias = "dict[_Path, tuple[JSON, str]]"
"""By the place from the root: what is to stand there, and the name of the mend."""


@dataclass(frozen=True, slots=True)
class Coerced:
    value: JSON
    repairs: tuple[str, ...]
    """`<name> <JSON pointer>` for each mend, in the order made; the name alone where it is the whole answer."""


def coerced(value: JSON, validator: Validator, tree: Tree, *, rewriting: bool) -> Coerced | None:
    """The valid value that an invalid one stands for; None where there is none, or more than one.

    `rewriting`: also mends that write something new: a date in its ISO form, an array around a single value.
    """
    repairs: list[str] = []
    for _ in range(_ROUNDS):
        mends = _round(value, validator, tree, rewriting)
        if not mends:
            return None
        repairs.extend(" ".join(filter(None, (name, _pointer(path)))) for path, (_, name) in mends.items())
        value = _replaced(value, mends)
        if validator.is_valid(value):
            return Coerced(value, tuple(repairs))
    return None


def _round(value: JSON, validator: Validator, tree: Tree, rewriting: bool) -> _Mends | None:
    """One mend for every place that has exactly one; None where it cannot be told which."""
    if very_large(value):
        return None
    choices = _choices(value, validator.iter_errors(value), tree, rewriting)
    sure = _together(ways[0] for ways in choices.values() if len(ways) == 1)
    unsure = {path: ways for path, ways in choices.items() if len(ways) > 1}
    if len(unsure) > _MOST_CHOICES:
        return None
    for path, ways in unsure.items():
        trials = [trial for way in ways if sure is not None and (trial := _together((sure, way))) is not None]
        fitting = [trial for trial in trials if _fits(_replaced(value, trial), path, validator)]
        sure = fitting[0] if len(fitting) == 1 else None
    return sure


def _together(all_mends: Iterable[_Mends]) -> _Mends | None:
    """All in one; None if two want different things of one place, or one of them something inside another's."""
    joined: _Mends = {}
    for mends in all_mends:
        for path, mend in mends.items():
            if _identity({path: joined.setdefault(path, mend)}) != _identity({path: mend}):
                return None
    if any(path[:depth] in joined for path in joined for depth in range(len(path))):
        return None
    return joined


def _choices(value: JSON, faults: Iterable[ValidationError], tree: Tree, rewriting: bool) -> dict[_Path, list[_Mends]]:
    """By the place of the fault: the different ways to mend it. What has none is left to the validation at the end."""
    found: dict[_Path, dict[str, _Mends]] = {}
    for fault in faults:
        path = tuple(fault.instance_path)
        for mends in _ways(value, fault, tree, rewriting):
            found.setdefault(path, {})[_identity(mends)] = mends
    return {path: list(ways.values()) for path, ways in found.items()}


def _ways(root: JSON, fault: ValidationError, tree: Tree, rewriting: bool) -> Iterator[_Mends]:
    path: _Path = tuple(fault.instance_path)
    value = _at(root, path)
    match fault.kind:
        case ValidationErrorKind.AnyOf(context=branches) | ValidationErrorKind.OneOfNotValid(context=branches):
            for branch in branches:
                mends = _all_of(root, branch, tree, rewriting)
                if mends:
                    yield mends
        case kind:
            for mended, name in _leaf(value, kind, rewriting):
                yield {path: (mended, name)}
            if rewriting and isinstance(kind, ValidationErrorKind.Type) and _takes_one(value, fault, tree):
                yield {path: ([value], WRAPPED_IN_ARRAY)}


def _all_of(root: JSON, faults: Iterable[ValidationError], tree: Tree, rewriting: bool) -> _Mends | None:
    """What mends every fault that one alternative has; None if one of them stays, or could be mended in two ways."""
    every: list[_Mends] = []
    for fault in faults:
        ways = {_identity(way): way for way in _ways(root, fault, tree, rewriting)}
        if len(ways) != 1:
            return None
        every.extend(ways.values())
    return _together(every)


def _leaf(value: JSON, kind: ValidationErrorKind, rewriting: bool) -> Iterator[tuple[JSON, str]]:
    """The mends of one value against one keyword."""
    match kind:
        case ValidationErrorKind.Enum(options=options) if isinstance(options, list):
            yield from _listed(value, options)
        case ValidationErrorKind.Constant(expected_value=expected):
            yield from _listed(value, [expected])
        case ValidationErrorKind.Type(types=types) if isinstance(value, str):
            yield from _unquoted(value, frozenset(types))
        case ValidationErrorKind.Pattern() if isinstance(value, str) and value != value.strip():
            yield value.strip(), TRIMMED
        case ValidationErrorKind.Format(format=form) if isinstance(value, str):
            iso = {"date": iso_date, "date-time": iso_moment}.get(form) if rewriting else None
            written = iso(value) if iso is not None else None
            if written is not None and written != value.strip():
                yield written, DATE_FORM
            elif value != value.strip():
                yield value.strip(), TRIMMED
        case _:
            pass


def _listed(value: JSON, options: Sequence[object]) -> Iterator[tuple[JSON, str]]:
    """The members of an enum that a value spells: alike but for white space, else but for capitals too."""
    if isinstance(value, (bool, int)):
        spelled = json.dumps(value)
        yield from ((option, STRING_FROM_NUMBER) for option in options if option == spelled)
    if not isinstance(value, str):
        return
    strings = [option for option in options if isinstance(option, str)]
    spaced = [option for option in strings if _spaced(option) == _spaced(value)]
    if spaced:
        yield from ((option, TRIMMED) for option in spaced)
        return
    folded = _spaced(value).casefold()
    yield from ((option, ENUM_CASE) for option in strings if _spaced(option).casefold() == folded)
    yield from (
        (mended, name)
        for mended, name in _unquoted(value, frozenset({"boolean", "null", "integer", "number"}))
        if any(mended == option and isinstance(mended, bool) == isinstance(option, bool) for option in options)
    )


def _spaced(text: str) -> str:
    """One spelling for a text however its white space and its accents are encoded."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _unquoted(text: str, kinds: frozenset[str]) -> Iterator[tuple[JSON, str]]:
    """What a string says that holds JSON of a kind that is wanted, where no string is."""
    text = text.strip()
    word = text.lower()
    if "boolean" in kinds and word in ("true", "false"):
        yield word == "true", "boolean_from_string"
    elif "null" in kinds and text == "null":
        yield None, "null_from_string"
    elif not kinds.isdisjoint({"integer", "number"}) and len(text) <= _MOST_DIGITS and _NUMBER.fullmatch(text):
        number = _exact(text, whole="number" not in kinds)
        if number is not None:
            yield number, "number_from_string"
    elif text[:1] in ("{", "["):
        read = parse(text)
        if isinstance(read, Parsed) and not read.repairs and kind_of(read.value) in kinds:
            yield read.value, f"{kind_of(read.value)}_from_string"


def _exact(text: str, *, whole: bool) -> int | float | None:
    """The number as JSON reads it without its quotes, or the integer; None where a digit would be lost."""
    number = Decimal(text)
    if number.adjusted() > _MOST_DIGITS:
        return None
    if whole or text.removeprefix("-").isdecimal():
        return int(number) if number == number.to_integral_value() else None
    double = float(text)
    return double if Decimal(repr(double)) == number else None


def _takes_one(value: JSON, fault: ValidationError, tree: Tree) -> bool:
    """Whether the schema wants an array here and says so of its items that the value can only be one of them.

    A free string may be a list in itself (`"red, green"`), so it is none; a member of an enum, a number or an object cannot.
    """
    if not isinstance(fault.kind, ValidationErrorKind.Type) or not {"array"} <= set(fault.kind.types) <= {"array", "null"}:
        return False
    place = holder(fault, tree)
    if place is None or isinstance(value, (list, type(None))):
        return False
    for pointer, part in tree.shapes(*place, "array").items():
        items = part.get("items")
        if isinstance(items, dict):
            at = step(pointer, "items")
            if not isinstance(value, str) or "string" not in tree.kinds(at, items):
                return True
            together = tree.together(at, items).values()
            return any(isinstance(one, dict) and ("enum" in one or "const" in one) for one in together)
    return False


def _fits(value: JSON, path: _Path, validator: Validator) -> bool:
    """Whether nothing at this place or below is wrong any more."""
    return not any(tuple(fault.instance_path[: len(path)]) == path for fault in validator.iter_errors(value))


def _at(value: JSON, path: _Path) -> JSON:
    for part in path:
        match value, part:
            case dict(), str(name):
                value = value[name]
            case list(), int(index):
                value = value[index]
    return value


def _replaced(value: JSON, mends: Mapping[_Path, tuple[JSON, str]]) -> JSON:
    """A copy with the mends in place; the deeper ones last, into what the shallower ones have put there."""
    copy = _copied(value)
    for path in sorted(mends, key=len):
        mended = mends[path][0]
        if not path:
            copy = _copied(mended)
            continue
        around = _at(copy, path[:-1])
        match around, path[-1]:
            case dict(), str(name):
                around[name] = _copied(mended)
            case list(), int(index):
                around[index] = _copied(mended)
    return copy


def _copied(value: JSON) -> JSON:
    match value:
        case dict():
            return {name: _copied(child) for name, child in value.items()}
        case list():
            return [_copied(child) for child in value]
        case _:
            return value


def _pointer(path: _Path) -> str:
    pointer = ""
    for part in path:
        pointer = step(pointer, part)
    return pointer


def _identity(mends: Mapping[_Path, tuple[JSON, str]]) -> str:
    """The same for the same result; the name of the mend does not count, 1 and true are two things."""
    return json.dumps([[list(path), mended] for path, (mended, _) in sorted(mends.items(), key=lambda held: _pointer(held[0]))])
