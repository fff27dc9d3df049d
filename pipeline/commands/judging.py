"""Answers held against gold, and against those of another run: which figures a column gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import InputUnreadable
from pipeline.measure.calibration import Calibration, calibration
from pipeline.measure.classes import Classes, classes
from pipeline.measure.disagreement import Disagreement, disagreements
from pipeline.measure.extraction import Extraction, extraction
from pipeline.measure.kind import Column, Kind, Unreadable
from pipeline.measure.numeric import Numbers, numbers
from pipeline.measure.pairing import Keyed
from pipeline.measure.rivals import Agreement, Paired, agreement, paired
from pipeline.records import JSON

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Label:
    """An answer column, and the gold column that it is held against."""

    column: Column
    gold: str


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer column against its gold column."""

    answer: str
    gold: str
    kind: Kind
    unlabelled: int
    """Rows of the gold file, found in the table, whose label is empty."""
    figures: Classes | Numbers | Extraction | None
    """None where no row has a label."""
    unknown: Mapping[str, int]
    """Gold labels that the schema does not have, which no answer can be; and their rows."""
    calibration: Calibration | None
    unsure: int
    """Answered rows whose confidence is none from 0 to 1, which the calibration leaves out."""
    disagreements: Sequence[Disagreement]
    """All of them, the hardest first."""


@dataclass(frozen=True, slots=True)
class Differing:
    """A row to which two runs gave different answers."""

    key: str
    this: JSON
    other: JSON


@dataclass(frozen=True, slots=True)
class Compared:
    """One answer column against that of another run."""

    answer: str
    agreement: Agreement
    paired: Paired | None
    """None without gold."""
    differing: Sequence[Differing]
    """All of them, in the order of the table; None stands for no answer."""


def read(rows: Keyed, keys: Sequence[str], name: str, column: Column, what: str) -> list[JSON]:
    """The values of a column for the keys. InputUnreadable with the cells that are no value of it."""
    found: list[JSON] = []
    faults: list[str] = []
    for key in keys:
        try:
            found.append(column.value(rows.rows[key][name]))
        except Unreadable as error:
            faults.append(f"row {key}: {error}")
    if faults:
        more = [f"and {len(faults) - MOST_NAMED} more"] if len(faults) > MOST_NAMED else []
        raise InputUnreadable(
            "\n  ".join([f"{what}: column {name!r} is to hold {column.kind}", *faults[:MOST_NAMED], *more]),
            todo="mend these cells, or name another column with --label; an empty cell is no label",
        )
    return found


def confidences(rows: Keyed, keys: Sequence[str], name: str | None) -> list[float | None]:
    """From 0 to 1; None for whatever else stands there."""
    found: list[float | None] = []
    for key in keys:
        try:
            value = float(str(rows.rows[key][name])) if name is not None else -1.0
        except ValueError:
            value = -1.0
        found.append(value if 0 <= value <= 1 else None)
    return found


def judged(label: Label, keys: Sequence[str], gold: Keyed, table: Keyed, confidence: str | None) -> Judged:
    """`keys`: those in both."""
    truths = read(gold, keys, label.gold, label.column, "the gold file")
    kept = [key for key, truth in zip(keys, truths, strict=True) if truth is not None]
    truths = [truth for truth in truths if truth is not None]
    answers = read(table, kept, label.column.name, label.column, "the table")
    right = [label.column.right(truth, answer) for truth, answer in zip(truths, answers, strict=True)]
    sure = confidences(table, kept, confidence)
    said = [
        (one, is_right)
        for one, is_right, answer in zip(sure, right, answers, strict=True)
        if one is not None and answer is not None
    ]
    answered = sum(answer is not None for answer in answers)
    return Judged(
        answer=label.column.name,
        gold=label.gold,
        kind=label.column.kind,
        unlabelled=len(keys) - len(kept),
        figures=_figures(label.column, truths, answers) if kept else None,
        unknown=_unknown(label.column, truths),
        calibration=calibration([one for one, _ in said], [is_right for _, is_right in said]) if confidence else None,
        unsure=answered - len(said) if confidence else 0,
        disagreements=disagreements(kept, truths, answers, right, sure),
    )


def _figures(column: Column, gold: Sequence[JSON], answers: Sequence[JSON]) -> Classes | Numbers | Extraction:
    match column.kind:
        case Kind.CLASSES:
            return classes([str(one) for one in gold], [None if one is None else str(one) for one in answers], column.labels)
        case Kind.NUMBERS:
            return numbers(
                [one for one in gold if isinstance(one, float)], [one if isinstance(one, float) else None for one in answers]
            )
        case Kind.TEXT | Kind.NESTED:
            return extraction(gold, answers)


def _unknown(column: Column, gold: Sequence[JSON]) -> dict[str, int]:
    if column.kind is not Kind.CLASSES:
        return {}
    strange = [str(one) for one in gold if one not in column.labels]
    return {label: strange.count(label) for label in dict.fromkeys(strange)}


def compared(label: Label, table: Keyed, other: Keyed, gold: Keyed | None) -> Compared:
    """Over the keys that both tables have; which run is right more often over those of them that have gold."""
    column = label.column
    keys = [key for key in table.rows if key in other.rows]
    this, theirs = (
        read(rows, keys, column.name, column, what) for rows, what in ((table, "the table"), (other, "the other table"))
    )
    same = [one == two if one is None or two is None else column.right(one, two) for one, two in zip(this, theirs, strict=True)]
    return Compared(
        answer=column.name,
        agreement=agreement(this, theirs, same, labels=column.kind is Kind.CLASSES),
        paired=None if gold is None else _paired(label, keys, this, theirs, gold),
        differing=[
            Differing(key, one, two) for key, one, two, alike in zip(keys, this, theirs, same, strict=True) if not alike
        ],
    )


def _paired(label: Label, keys: Sequence[str], this: Sequence[JSON], other: Sequence[JSON], gold: Keyed) -> Paired | None:
    places = [place for place, key in enumerate(keys) if key in gold.rows]
    truths = read(gold, [keys[place] for place in places], label.gold, label.column, "the gold file")
    known = [(place, truth) for place, truth in zip(places, truths, strict=True) if truth is not None]
    right = label.column.right
    if not known:
        return None
    return paired([right(truth, this[p]) for p, truth in known], [right(truth, other[p]) for p, truth in known])
