"""`pipeline evaluate --sample`: which rows to label next, as a CSV file to fill in."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.commands.labels import PROBABILITY, STRATUM, STRATUM_ROWS, Opened
from pipeline.errors import InputUnreadable, UsageError
from pipeline.measure.kind import Column, Kind
from pipeline.measure.pairing import Values
from pipeline.measure.selection import Drawn, select, strata
from pipeline.show.text import count, plain
from pipeline.write.table_csv import CsvTable
from pipeline.write.table_file import replacement
from pipeline.write.table_values import to_json


@dataclass(frozen=True, slots=True)
class Plan:
    on: str
    columns: Mapping[str, Column]
    """All answer columns."""
    labels: Sequence[Column]
    """Those to label; none: the first with classes, else the first."""
    confidence: str | None
    size: int
    seed: int
    out: Path

    @property
    def asked(self) -> Sequence[Column]:
        classes = [column for column in self.columns.values() if column.kind is Kind.CLASSES]
        return self.labels or (classes or list(self.columns.values()))[:1]


def draw(table: Opened, plan: Plan, config: str, *, as_json: bool) -> str:
    """Writes the file and tells what to do with it.

    It shows what was asked about and not what was answered: whoever sees an answer first tends to agree with it. An
    existing file is never replaced, since it may hold labels.
    """
    if plan.out.suffix.lower() != ".csv":
        raise UsageError(f"--out {plan.out}: the file to fill in is a .csv")
    if plan.out.exists():
        raise UsageError(f"--out {plan.out} is there already and may hold labels", todo="name a new file")
    for column in plan.asked:
        table.require(column.name, "--label")
    shown = [name for name in table.columns if name not in plan.columns and not name.startswith("_") and name != plan.on]
    needed = [column.name for column in plan.asked]
    keys, rows = table.read(plan.on, [*needed, *shown, *([plan.confidence] if plan.confidence is not None else [])])
    names = _strata(plan, rows)
    _refuse_unpaired(table, plan.on, keys)
    try:
        drawn = select(names, plan.size, plan.seed)
    except ValueError as error:
        raise UsageError(f"--sample {plan.size} is too few: {error}", todo="draw more rows") from error
    sizes = [names.count(name) for name in sorted(set(names))]
    with replacement(plan.out) as file:
        batch = _batch(plan, keys, rows, [name for name in shown if name not in needed], drawn, sizes)
        writer = CsvTable(file, batch.schema)
        writer.write(batch)
        note = writer.finish("")
    words = ["pipeline", "evaluate", config, "--gold", str(plan.out), "--on", plan.on]
    then = shlex.join([*words, *(word for name in needed for word in ("--label", name))])
    if as_json:
        told = {"out": str(plan.out), "rows": len(drawn), "strata": len(sizes), "seed": plan.seed, "labels": needed}
        return json.dumps(told)
    filled = plain(str(plan.out), 4096)
    lines = [
        f"{count(len(drawn))} of {count(len(rows))} rows to label, drawn from {len(sizes)} strata, seed {plan.seed}",
        f"fill in    column {plain(', '.join(needed))} of {filled}; leave columns that begin with _ as they are",
        f"then       {plain(then, 4096)}",
        *([f"note       {note}"] if note is not None else []),
    ]
    return "\n".join(lines)


def _strata(plan: Plan, rows: Sequence[Values]) -> list[str]:
    """By the answer of the first column that has classes, and by confidence; others have one stratum for all answers."""
    first = next((column for column in plan.asked if column.kind is Kind.CLASSES), None)
    answers: list[str | None] = [None if first is None else _label(first.value(row[first.name])) for row in rows]
    return strata(answers, None if plan.confidence is None else [_confidence(row[plan.confidence]) for row in rows])


def _label(value: object) -> str | None:
    return None if value is None else str(value)


def _confidence(cell: object) -> float | None:
    try:
        return float(str(cell))
    except ValueError:
        return None


def _refuse_unpaired(table: Opened, on: str, keys: Sequence[str | None]) -> None:
    if (without := sum(not key for key in keys)) or len(set(keys)) < len(keys):
        raise InputUnreadable(
            f"{table.path}: column {on!r} does not name the rows: {count(without)} have none, "
            f"{count(len(keys) - len(set(keys)))} share one with another",
            todo="name the column that does: --on KEY",
        )


def _batch(
    plan: Plan,
    keys: Sequence[str | None],
    rows: Sequence[Values],
    shown: Sequence[str],
    drawn: Sequence[Drawn],
    sizes: Sequence[int],
) -> pa.RecordBatch:
    taken = [rows[one.row] for one in drawn]
    columns: dict[str, pa.Array] = {plan.on: pa.array([keys[one.row] for one in drawn], pa.string())}
    for name in shown:
        if name != plan.confidence:
            columns[name] = pa.array([_text(row[name]) for row in taken], pa.string())
    for column in plan.asked:
        columns[column.name] = pa.nulls(len(drawn), pa.string())
    columns[STRATUM] = pa.array([one.stratum for one in drawn], pa.int64())
    columns[STRATUM_ROWS] = pa.array([sizes[one.stratum] for one in drawn], pa.int64())
    columns[PROBABILITY] = pa.array([one.probability for one in drawn], pa.float64())
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _text(value: object) -> str | None:
    """As a cell shows it; bytes are no text."""
    match value:
        case None | str():
            return value
        case bytes():
            return f"({len(value):,} bytes)"
        case list() | dict():
            return to_json(value).decode()
        case _:
            return str(value)
