"""What a column of answers is, and a cell of any file as a value of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

from pipeline.measure.extraction import normalised
from pipeline.measure.gold import spelling
from pipeline.records import JSON
from pipeline.schema.arrow import JSON_TEXT, KIND


class Kind(StrEnum):
    """How a column is judged."""

    CLASSES = "classes"
    NUMBERS = "numbers"
    TEXT = "text"
    NESTED = "nested"
    """Lists, objects, and JSON text of what has no fixed type."""


class Unreadable(ValueError):
    """A cell that is no value of its column: the text says which."""


@dataclass(frozen=True, slots=True)
class Column:
    """An answer column."""

    name: str
    """In the table, with the prefix."""
    kind: Kind
    labels: tuple[str, ...] = ()
    """Of classes, as the schema spells them."""
    spellings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, named: pa.Field, labels: Sequence[str] | None, prefix: str = "") -> Column:
        """`labels`: of an enum of strings; None for any other column."""
        name = prefix + named.name
        if pa.types.is_boolean(named.type):
            return cls(name, Kind.CLASSES, ("true", "false"), spelling(("true", "false")))
        if labels:
            return cls(name, Kind.CLASSES, tuple(labels), spelling(labels))
        if pa.types.is_integer(named.type) or pa.types.is_floating(named.type):
            return cls(name, Kind.NUMBERS)
        nested = pa.types.is_nested(named.type) or (named.metadata or {}).get(KIND) == JSON_TEXT
        return cls(name, Kind.NESTED if nested else Kind.TEXT)

    def value(self, cell: object) -> JSON:
        """The cell as a label, a number, a text, or what its JSON text says; None where it is empty. Raises Unreadable."""
        if cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and math.isnan(cell)):
            return None
        match self.kind:
            case Kind.CLASSES:
                said = str(cell).lower() if isinstance(cell, bool) else str(cell).strip()
                return self.spellings.get(said) or self.spellings.get(said.casefold()) or said
            case Kind.NUMBERS:
                return _number(cell)
            case Kind.TEXT:
                return cell if isinstance(cell, str) else str(cell)
            case Kind.NESTED:
                return _parsed(cell)

    def right(self, gold: JSON, answer: JSON | None) -> bool:
        """Whether the answer is the gold value: the label, the very number, or the same but for capitals and white space."""
        return answer is not None and (answer == gold if self.kind is Kind.CLASSES else normalised(answer) == normalised(gold))


def _number(cell: object) -> float:
    try:
        number = float(str(cell).strip())
    except ValueError:
        raise Unreadable(f"{cell!r} is no number") from None
    if not math.isfinite(number):
        raise Unreadable(f"{cell!r} is no finite number")
    return number


def _parsed(cell: object) -> JSON:
    if not isinstance(cell, str):
        read: JSON = json.loads(json.dumps(cell, default=str))
        return read
    try:
        parsed: JSON = json.loads(cell)
    except (ValueError, RecursionError):
        return cell  # a plain string is what an open schema may have there
    return parsed
