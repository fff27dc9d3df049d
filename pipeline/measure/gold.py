"""How far the answers agree with gold labels that the input happens to carry, found without configuration.

An input column is gold for an answer column when all its labels are among the values that the schema allows there. That
is known for sure only at the end, so every pair of columns is counted until a value shows that it is none: memory is
bounded by columns and enums, never by rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

Z_95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution: 95 % lie within ±Z_95."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """How far one answer column agrees with one gold column."""

    property_name: str
    """Of the answer."""
    column: str
    """Of the input."""
    labelled: int
    """Rows with a gold label; at least one."""
    answered: int
    """Labelled rows whose answer gives a value for the property; one left out or null is no answer to it."""
    agreeing: int
    """Answered rows whose value is the gold label."""
    confusion: Mapping[tuple[str, str], int]
    """(gold label, answer) → answered rows, both as the schema spells them. Pairs that did not occur are not there."""

    @property
    def accuracy(self) -> float | None:
        """The share of the answered rows that agree; None where none was answered."""
        return self.agreeing / self.answered if self.answered else None

    @property
    def coverage(self) -> float:
        """The share of the labelled rows that were answered."""
        return self.answered / self.labelled

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the accuracy; None where none was answered."""
        return wilson(self.agreeing, self.answered) if self.answered else None


def wilson(hits: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """The interval that holds the share behind `hits` of `trials` (at least one) with the confidence that `z` stands for.

    Wilson's score interval without continuity correction: (p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n), p = hits/n.
    E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22 (1927) 209-212; method 3
    of R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, whose examples the tests use. Unlike p ± z·√(p(1-p)/n)
    it stays within 0 to 1 and keeps its width where everything, or nothing, agrees.
    """
    share, spread = hits / trials, z * z / trials
    middle = share + spread / 2
    half = z * sqrt(share * (1 - share) / trials + spread / (4 * trials))
    # Rounding may carry the ends at 0 and 1 out of the range by an ulp.
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


@dataclass(slots=True)
class _Pair:
    """The counts of one input column held against one answer column."""

    property_name: str
    column: str
    spelling: Mapping[str, str]
    labelled: int = 0
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, value: object, answer: Mapping[str, object] | None) -> bool:
        """Counts a row; False when the value shows that the column is no gold for this property."""
        if value is None:
            return True
        if not isinstance(value, str):
            return False
        label = value.strip()
        if not label:
            return True
        gold = self.spelling.get(label) or self.spelling.get(label.casefold())
        if gold is None:
            return False
        self.labelled += 1
        given = None if answer is None else answer.get(self.property_name)
        if isinstance(given, str):
            self.confusion[gold, given] += 1
        return True

    def result(self) -> Agreed:
        return Agreed(
            property_name=self.property_name,
            column=self.column,
            labelled=self.labelled,
            answered=self.confusion.total(),
            agreeing=sum(rows for (gold, given), rows in self.confusion.items() if gold == given),
            confusion=dict(self.confusion),
        )


class Agreement:
    """Holds answers against what may be gold columns, row by row."""

    def __init__(self, enums: Mapping[str, Sequence[str]], columns: Sequence[str]) -> None:
        """`enums`: answer property → the strings its schema allows; `columns`: input columns that may hold gold labels."""
        self._pairs = [_Pair(name, column, spelling(values)) for name, values in enums.items() if values for column in columns]

    @property
    def columns(self) -> list[str]:
        """Input columns that may still be gold; only their values are asked for."""
        return list(dict.fromkeys(pair.column for pair in self._pairs))

    def add(self, values: Mapping[str, object], answer: Mapping[str, object] | None) -> None:
        """One row: its input values and its answer, None where it has none. A column that is missing has no label."""
        self._pairs = [pair for pair in self._pairs if pair.add(values.get(pair.column), answer)]

    def results(self) -> list[Agreed]:
        """What agrees so far, in the order of the enums, then of the columns; empty when the input holds no gold."""
        return [pair.result() for pair in self._pairs if pair.labelled]


def spelling(values: Sequence[str]) -> dict[str, str]:
    """A label as written, or without regard to case → the value of the schema.

    Where two values differ by case alone ("A", "a") only their exact spelling names them.
    """
    folded = Counter(value.strip().casefold() for value in values)
    loose = {value.strip().casefold(): value for value in values if folded[value.strip().casefold()] == 1}
    return loose | {value.strip(): value for value in values}
