"""What a report says, as values: page.py makes HTML of it, markdown.py a summary for terminals and chat.

A report is tiles and sections; a section is blocks, of few kinds, so that whoever has something to add needs no new template.
Texts are plain texts, from data or not: whoever shows them escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure that is seen first."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    size: float
    """Not negative."""
    shown: str
    """The same, in its unit."""
    share: str = ""
    """Of whatever the block says."""


@dataclass(frozen=True, slots=True)
class Bars:
    """How often, of a few things."""

    kind: ClassVar[str] = "bars"
    title: str
    bars: Sequence[Bar]
    note: str = ""
    tone: str = ""
    """`status` where labels are statuses."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often, of numbers."""

    kind: ClassVar[str] = "histogram"
    title: str
    edges: Sequence[float]
    """One more than there are counts."""
    counts: Sequence[int]
    marks: Sequence[tuple[str, float]] = ()
    """Name, number: percentiles."""
    unit: str = ""
    note: str = ""
    beyond: float | None = None
    """Up to here goes what the last bin holds, too."""


@dataclass(frozen=True, slots=True)
class Course:
    """A figure over time: one value a bin of equal width."""

    kind: ClassVar[str] = "course"
    title: str
    start: float
    """Unix time."""
    width_s: float
    values: Sequence[float | None]
    unit: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    kind: ClassVar[str] = "table"
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    """Columns that hold numbers."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """How often of each pair: gold labels down, answers across. Notes of a block may be several lines."""

    kind: ClassVar[str] = "matrix"
    title: str
    down: Sequence[str]
    across: Sequence[str]
    counts: Mapping[tuple[str, str], int]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with the interval that holds it."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    """None: it is not defined."""
    shown: str
    """All three, as text."""
    note: str = ""
    """What it is a figure of: `82 of 100`."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Figures on one scale, with their intervals."""

    kind: ClassVar[str] = "ranges"
    title: str
    ranges: Sequence[Range]
    """On a scale from 0 to 1; a figure may lie beyond."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reliability:
    """A confidence against how often it was right, both from 0 to 1: the diagonal is one that means what it says."""

    kind: ClassVar[str] = "reliability"
    title: str
    points: Sequence[Range]
    """By the confidence given, which `at` has; value and interval are the share that was right."""
    at: Sequence[float]
    head: Sequence[str] = ("confidence", "rows", "right")
    note: str = ""


@dataclass(frozen=True, slots=True)
class Fold:
    """What is there for those who open it: a table under a line, or a long text."""

    kind: ClassVar[str] = "fold"
    title: str
    count: str
    text: str = ""
    table: Table | None = None
    opened: bool = False


Block: TypeAlias = Facts | Bars | Histogram | Course | Table | Matrix | Ranges | Reliability | Fold


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: Sequence[Block]
    note: str = ""
    brief: bool = False
    """Whether the Markdown summary has it, too."""


@dataclass(frozen=True, slots=True)
class Example:
    """A row to look at."""

    key: str
    status: str
    inputs: Sequence[tuple[str, str]]
    """Column, value."""
    answer: str | None
    """As JSON text."""
    error: str | None
    raw: str | None
    """The model's last text."""
    facts: str
    """What it took, in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    name: str
    headline: str
    """How it ended, in a sentence."""
    made: str
    """When, by what."""
    warnings: Sequence[str]
    """What whoever reads it must know first."""
    tiles: Sequence[Tile]
    sections: Sequence[Section]
    examples: Sequence[Example]
    examples_note: str
