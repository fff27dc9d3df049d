"""How good extracted text, lists and objects are: exact and normalised match, field by field, and what lists miss or add."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.measure.interval import Share
from pipeline.records import JSON


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements of lists of scalars, as sets, normalised, counted over all rows."""

    precision: Share
    """Of the elements answered: those that gold has."""
    recall: Share
    """Of the elements of gold: those answered. A row without an answer has answered none."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """A column of text, lists or objects against gold, or one field of it. Matches are shares of all rows with gold."""

    rows: int
    coverage: Share
    exact: Share
    normalised: Share
    """Equal without regard to case, white space and the encoding of accents."""
    elements: Elements | None
    """Where every value is a list of scalars."""
    fields: Mapping[str, Extraction]
    """Of objects: field → the same; empty for others. A field's rows are those where gold has it."""


def extraction(gold: Sequence[JSON], answers: Sequence[JSON | None]) -> Extraction:
    """Gold values and answers, None where there is none."""
    pairs = list(zip(gold, answers, strict=True))
    answered = [(one, other) for one, other in pairs if other is not None]
    return Extraction(
        rows=len(pairs),
        coverage=Share.counted(len(answered), len(pairs)),
        exact=Share.counted(sum(_same(one, other) for one, other in answered), len(pairs)),
        normalised=Share.counted(sum(_same(normalised(one), normalised(other)) for one, other in answered), len(pairs)),
        elements=_elements(pairs),
        fields=_fields(pairs),
    )


def normalised(value: JSON) -> JSON:
    """Text casefolded, in Unicode's NFC, white space as single blanks; within lists and objects too.

    NFC comes last: casefolding can take a composed character apart.
    """
    match value:
        case str():
            return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFC", value).casefold().split()))
        case list():
            return [normalised(one) for one in value]
        case dict():
            return {name: normalised(one) for name, one in value.items() if one is not None}
        case _:
            return value


def _same(one: JSON, other: JSON) -> bool:
    """As JSON has it: 1 is 1.0, but true is not 1. A field that is null is one that is not there."""
    match one, other:
        case (bool(), _) | (_, bool()):
            return one is other
        case list(), list():
            return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other, strict=True))
        case dict(), dict():
            return all(_same(one.get(name), other.get(name)) for name in {*one, *other})
        case _:
            return one == other


def _elements(pairs: Sequence[tuple[JSON, JSON | None]]) -> Elements | None:
    both = [value for pair in pairs for value in pair if value is not None]
    if not both or not all(
        isinstance(value, list) and not any(isinstance(one, list | dict) for one in value) for value in both
    ):
        return None
    sets = [(_set(one), _set(other)) for one, other in pairs]
    common = sum(len(one & other) for one, other in sets)
    return Elements(
        Share.counted(common, sum(len(other) for _, other in sets)), Share.counted(common, sum(len(one) for one, _ in sets))
    )


def _set(value: JSON | None) -> set[tuple[bool, JSON]]:
    """Truth values apart from numbers, which Python would take for the same."""
    listed = value if isinstance(value, list) else []
    return {(isinstance(one, bool), normalised(one)) for one in listed}


def _fields(pairs: Sequence[tuple[JSON, JSON | None]]) -> dict[str, Extraction]:
    if not pairs or not all(isinstance(one, dict) and (other is None or isinstance(other, dict)) for one, other in pairs):
        return {}
    found = {}
    for name in _names(one for one, _ in pairs):
        there = [(one[name], other) for one, other in pairs if isinstance(one, dict) and one.get(name) is not None]
        given = [other.get(name) if isinstance(other, dict) else None for _, other in there]
        found[name] = extraction([one for one, _ in there], given)
    return found


def _names(objects: Iterable[JSON]) -> list[str]:
    """Fields that gold gives, in the order in which they are met."""
    return list(Counter(name for one in objects if isinstance(one, dict) for name, value in one.items() if value is not None))
