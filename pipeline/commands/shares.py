"""How common each answer is in the whole table, corrected by gold labels: which rows go into which estimate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.commands.judging import Label, read
from pipeline.commands.labels import PROBABILITY, STRATUM, STRATUM_ROWS
from pipeline.errors import InputUnreadable
from pipeline.measure.kind import Kind
from pipeline.measure.pairing import Keyed
from pipeline.measure.prevalence import Floats, Powered, powered, stratified, thin
from pipeline.records import JSON

Flags = npt.NDArray[np.bool_]
MOST_GROUPS = 20


@dataclass(frozen=True, slots=True)
class Prevalence:
    """The share of one class, or the mean of a number, in the table or a group of it."""

    group: str | None
    """None: the whole table."""
    label: str | None
    """None: the mean."""
    rows: int
    counted: float
    """The share or mean of the answers alone, which the model's errors bias; rows without an answer count as not of the class,
    and are left out of a mean."""
    gold_only: Powered | None
    """From the gold labels alone, drawn as these were; None where there are too few."""
    estimate: Powered | None
    """None where there are too few gold labels."""


@dataclass(frozen=True, slots=True)
class Prevalences:
    answer: str
    by: str | None
    by_stratum: bool
    """Gold rows were drawn by `--sample`; else they count as drawn at random, which only who drew them can know."""
    notes: Sequence[str]
    found: Sequence[Prevalence]


@dataclass(frozen=True, slots=True)
class _Design:
    strata: dict[str, int]
    """Key → stratum, of all rows drawn."""
    sizes: dict[int, int]
    """Stratum → rows of the table."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """The whole table, in order, and which of it has a label."""

    groups: Mapping[str | None, Flags]
    """Group → whether each row is in it; None: all."""
    labelled: Flags
    strata: npt.NDArray[np.int64]
    """Of the labelled rows."""


def prevalences(label: Label, gold: Keyed, table: Keyed, by: str | None) -> Prevalences | None:
    """None for a column that has neither classes nor a mean."""
    column = label.column
    if column.kind not in (Kind.CLASSES, Kind.NUMBERS):
        return None
    keys = list(table.rows)
    answers = read(table, keys, column.name, column, "the table")
    drawn = [key for key in gold.rows if key in table.rows]
    truths = dict(zip(drawn, read(gold, drawn, label.gold, column, "the gold file"), strict=True))
    labelled = np.array([truths.get(key) is not None for key in keys], dtype=bool)
    design = _design(gold)
    notes = _notes(design, len(keys))
    known = [key for key, has in zip(keys, labelled, strict=True) if has]
    strata = np.array([design.strata[key] for key in known] if design is not None else [], dtype=np.int64)
    if design is not None and (few := thin(strata, design.sizes)):
        notes.append(
            f"no estimate yet: {len(few)} of {len(design.sizes)} strata have fewer than 2 labels; label more rows of stratum "
            f"{', '.join(map(str, few[:10]))} (column {STRATUM})"
        )
        return Prevalences(column.name, by, True, notes, ())
    groups: dict[str | None, Flags] = {None: np.ones(len(keys), dtype=bool)}
    if by is not None:
        named = [_group(table.rows[key][by]) for key in keys]
        counted = Counter(named)
        for name, _ in counted.most_common(MOST_GROUPS):
            groups[name] = np.array([one == name for one in named], dtype=bool)
        if len(counted) > MOST_GROUPS:
            notes.append(f"the {MOST_GROUPS} largest of {len(counted):,} groups")
    rows = _Rows(groups, labelled, strata)
    truth = [truths[key] for key in known]
    found = (
        _means(answers, truth, rows, design) if column.kind is Kind.NUMBERS else _shares(label, answers, truth, rows, design)
    )
    return Prevalences(column.name, by, design is not None, notes, found)


def _group(cell: object) -> str:
    return "(none)" if cell is None or cell == "" else str(cell)


def _means(answers: Sequence[JSON], truth: Sequence[JSON], rows: _Rows, design: _Design | None) -> list[Prevalence]:
    numbers = np.array([one if isinstance(one, float) else np.nan for one in answers])
    middle = float(np.nanmean(numbers)) if np.isfinite(numbers).any() else 0.0
    said = np.where(np.isnan(numbers), middle, numbers)  # any number would do, so long as gold has no part in it
    are = np.array([one for one in truth if isinstance(one, float)])
    return [_one(group, None, said, are, rows, design, counted=numbers) for group in rows.groups]


def _shares(
    label: Label, answers: Sequence[JSON], truth: Sequence[JSON], rows: _Rows, design: _Design | None
) -> list[Prevalence]:
    met = {*(str(one) for one in answers if one is not None), *map(str, truth)}
    labels = [*(one for one in label.column.labels if one in met), *sorted(met.difference(label.column.labels))]
    sides = [
        (name, np.array([one == name for one in answers], dtype=float), np.array([one == name for one in truth], dtype=float))
        for name in labels
    ]
    return [_one(group, name, said, are, rows, design, counted=said) for group in rows.groups for name, said, are in sides]


def _one(
    group: str | None, name: str | None, said: Floats, are: Floats, rows: _Rows, design: _Design | None, *, counted: Floats
) -> Prevalence:
    within = rows.groups[group]
    inside = within[rows.labelled]
    some = counted[within]
    both: list[Powered | None] = [None, None]
    if int(inside.sum()) >= 2:
        both = [_estimate(said, are, rows, within, design, share=name is not None, lam=lam) for lam in (None, 0.0)]
    return Prevalence(
        group=group,
        label=name,
        rows=int(within.sum()),
        counted=float(np.nanmean(some)) if np.isfinite(some).any() else 0.0,
        gold_only=both[1],
        estimate=both[0],
    )


def _estimate(
    said: Floats,
    are: Floats,
    rows: _Rows,
    within: Flags,
    design: _Design | None,
    *,
    share: bool,
    lam: float | None,
) -> Powered:
    inside = within[rows.labelled]
    if design is not None:
        return stratified(are, said[rows.labelled], rows.strata, inside, said[within], design.sizes, share=share, lam=lam)
    others = said[within & ~rows.labelled]
    mine = said[within & rows.labelled]
    if not len(others):  # every row has a label: no answer is needed
        return powered(are[inside], mine, mine, share=share, lam=0.0)
    return powered(are[inside], mine, others, share=share, lam=lam)


def _design(gold: Keyed) -> _Design | None:
    """How the gold rows were drawn, as `--sample` stored it; None for any other file."""
    first = next(iter(gold.rows.values()), {})
    if PROBABILITY not in first:
        return None
    strata: dict[str, int] = {}
    sizes: dict[int, int] = {}
    for key, values in gold.rows.items():
        try:
            strata[key], rows = int(str(values[STRATUM])), int(str(values[STRATUM_ROWS]))
        except (KeyError, ValueError):
            rows = 0
        if rows < 1 or sizes.setdefault(strata[key], rows) != rows:
            raise InputUnreadable(
                f"the gold file: row {key}: {STRATUM} and {STRATUM_ROWS} are not as --sample wrote them",
                todo="take these columns over from the file that --sample wrote, or leave all that begin with _ out",
            )
    return _Design(strata, dict(sorted(sizes.items())))


def _notes(design: _Design | None, rows: int) -> list[str]:
    if design is None:
        return ["taken as drawn at random from the table: rows picked in any other way make these intervals wrong"]
    if (then := sum(design.sizes.values())) != rows:
        return [
            f"the strata of the gold file have {then:,} rows and the table has {rows:,}: the table has changed since, or a "
            "whole stratum is gone from the file; if they are far apart, draw anew"
        ]
    return []
