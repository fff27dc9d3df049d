"""How the answers of each column are distributed, in all and by a column of the input. Memory is bounded by columns, groups and
labels, never by rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pipeline.measure.pick import Pick
from pipeline.measure.spread import Numbers, Spread

Kind: TypeAlias = Literal["labels", "boolean", "number", "text", "list", "other"]

LABELS = 40
"""Of a column whose schema names no labels, so many different values are counted; where there are more, none is."""
LABEL_CHARACTERS = 120
GROUPS = 500
"""Later groups are counted together under None."""
KEPT_OF_GROUP = 1_000


@dataclass(frozen=True, slots=True)
class Group:
    """The answers of the rows that have one value in the column that divides them."""

    name: str | None
    """None: the groups beyond the first GROUPS together."""
    answered: int
    labels: Mapping[str, int]
    spread: Spread | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of one answer column."""

    name: str
    kind: Kind
    answered: int
    """Rows with an answer that gives a value here."""
    empty: int
    """Rows with an answer that gives none: null, or left out."""
    labels: Mapping[str, int] | None
    """Value → rows (of a list: items), in the order of the schema; None where values are too many to be labels."""
    spread: Spread | None
    """Of numbers; of texts their characters, of lists their items."""
    groups: Sequence[Group]
    """The largest first."""


@dataclass(slots=True)
class _Part:
    """What is counted of a column in one group, or in all."""

    allowed: tuple[str, ...]
    numbers: Numbers
    answered: int = 0
    labels: Counter[str] | None = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.labels = Counter(dict.fromkeys(self.allowed, 0))

    def add(self, labels: Sequence[str], number: float | None) -> None:
        self.answered += 1
        if number is not None:
            self.numbers.add(number)
        for label in labels:
            if self.labels is None:
                return
            self.labels[label] += 1
            long = len(label) > LABEL_CHARACTERS and label not in self.allowed
            if long or len(self.labels) > max(LABELS, len(self.allowed)):
                self.labels = None


class _Column:
    def __init__(self, name: str, kind: Kind, allowed: Sequence[str]) -> None:
        self.name, self.kind = name, kind
        self._allowed = ("true", "false") if kind == "boolean" else tuple(allowed)
        self._all = _Part(self._allowed, Numbers())
        self._empty = 0
        self._groups: dict[str | None, _Part] = {}

    def add(self, value: object, group: str | None, *, grouped: bool) -> None:
        if value is None:
            self._empty += 1
            return
        labels, number = _counted(value)
        self._all.add(labels, number)
        if not grouped:
            return
        if group not in self._groups and len(self._groups) >= GROUPS:
            group = None
        if group not in self._groups:
            self._groups[group] = _Part(self._allowed, Numbers(Pick(KEPT_OF_GROUP)))
        self._groups[group].add(labels, number)

    def result(self) -> Distribution:
        labels = self._all.labels
        if self.kind == "number" and not self._few(labels):
            labels = None
        if self.kind == "text" and labels is not None and len(labels) == self._all.answered > 1:
            labels = None  # each its own: sentences of a small table, and no labels
        return Distribution(
            name=self.name,
            kind=self.kind,
            answered=self._all.answered,
            empty=self._empty,
            labels=None if self.kind == "other" or not labels else dict(labels),
            spread=None if self.kind in ("labels", "boolean", "other") else self._all.numbers.spread(),
            groups=[
                Group(name, part.answered, {} if labels is None else dict(part.labels or {}), part.numbers.spread())
                for name, part in sorted(self._groups.items(), key=lambda item: (-item[1].answered, item[0] or ""))
            ],
        )

    def _few(self, labels: Counter[str] | None) -> bool:
        """Ratings, say: few numbers, each often."""
        return labels is not None and 0 < len(labels) <= 12 and self._all.numbers.whole


class Distributions:
    """Counts the answers, row by row."""

    def __init__(self, kinds: Mapping[str, Kind], enums: Mapping[str, Sequence[str]], *, grouped: bool = False) -> None:
        """`kinds`: the answer columns; `enums`: the labels of those that take one of a few."""
        self._columns = [_Column(name, kind, enums.get(name, ())) for name, kind in kinds.items()]
        self._grouped = grouped

    def add(self, answer: Mapping[str, object], group: str | None = None) -> None:
        """The answer of a row that has one."""
        for column in self._columns:
            column.add(answer.get(column.name), group, grouped=self._grouped)

    def results(self) -> list[Distribution]:
        return [column.result() for column in self._columns]


def _counted(value: object) -> tuple[Sequence[str], float | None]:
    """What a value is counted as: labels, and a number (of a text its characters, of a list its items)."""
    match value:
        case bool():
            return ("true" if value else "false",), None
        case int() | float():
            return (f"{value}" if abs(value) < 1e15 else "…",), value
        case str():
            return (value,), len(value)
        case list():
            return [item for item in value if isinstance(item, str)], len(value)
        case _:
            return (), None
