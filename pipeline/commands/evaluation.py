"""The answers of a published table held against gold labels and another run: what `evaluate` tells and the report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.files import schema as schema_in
from pipeline.commands.judging import Compared, Judged, Label, compared, judged
from pipeline.commands.labels import PROBABILITY, STRATUM, STRATUM_ROWS, Opened, opened
from pipeline.commands.shares import Prevalences, prevalences
from pipeline.errors import UsageError
from pipeline.measure.interval import METHODS
from pipeline.measure.kind import Column
from pipeline.measure.pairing import Joined, Keyed, joined, keyed
from pipeline.schema.arrow import fields
from pipeline.settings import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What the answers are held against, as it was asked for."""

    gold: Path | None = None
    on: str | None = None
    labels: Sequence[str] = ()
    """`answer=gold`, or one name for both; none: all columns that table and gold file both have."""
    confidence: str | None = None
    against: Path | None = None
    prevalence: bool = False
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All that was found, in the order in which it is told."""

    table: str
    gold: str | None
    against: str | None
    on: str
    table_rows: int
    keyless: int
    """Rows of the table without a key."""
    repeated: int
    conflicting: Sequence[str]
    gold_rows: int
    gold_keyless: int
    gold_repeated: int
    gold_conflicting: Sequence[str]
    matched: int
    """Keys in both."""
    missing: Sequence[str]
    """Keys of the gold file that the table does not have."""
    unlabelled: int
    """Keys of the table that the gold file does not have."""
    against_rows: int
    against_only: int
    """Keys of the other table that the table does not have."""
    table_only: int
    """Keys of the table that the other table does not have."""
    against_conflicting: Sequence[str]
    labels: Sequence[Judged]
    comparisons: Sequence[Compared]
    prevalences: Sequence[Prevalences]
    intervals: str = METHODS


def evaluated(job: Job, config: Path, yardstick: Yardstick) -> Evaluation:
    """With gold, another table, or both. UsageError, ConfigInvalid, InputUnreadable say what is wrong."""
    columns, on = columns_of(job), key_of(job, yardstick.on)
    return _evaluated(published(job, config, on, yardstick), columns, on, yardstick)


def key_of(job: Job, on: str | None) -> str:
    """The column that pairs rows."""
    key = on or job.input.key
    if key is None:
        raise UsageError("rows of this job have no key (input.key), so --on must name the column that pairs them with gold")
    return key


def published(job: Job, config: Path, on: str, yardstick: Yardstick) -> Opened:
    """The table, which has all the columns that are asked for beside the answers."""
    table = opened(Path(job.output.path), "the table", f"run the job first: pipeline run {config}", is_ours=True)
    table.require(on, "--on")
    for name, option in ((yardstick.confidence, "--confidence"), (yardstick.by, "--by")):
        if name is not None:
            table.require(name, option)
    return table


def columns_of(job: Job) -> dict[str, Column]:
    """The answer columns of the table by their names in it."""
    schema = schema_in(Path(job.schema))
    enums = schema.enums()
    found = [Column.of(one, enums.get(one.name), job.output.prefix) for one in fields(schema)]
    return {column.name: column for column in found}


def labels_of(said: Sequence[str], columns: dict[str, Column], there: Sequence[str]) -> list[Label]:
    """The pairs of columns asked for, `there` being the columns of the gold file. UsageError for what is not there."""
    pairs = [(one, two or one) for one, _, two in (text.partition("=") for text in said)]
    if not said:
        pairs = [(name, name) for name in columns if name in there]
    if not pairs:
        raise UsageError(
            f"no column of the gold file is called like an answer ({', '.join(columns)})",
            todo=f"pair them: --label answer=gold; the gold file has {', '.join(there[:20])}",
        )
    for answer, _ in pairs:
        if answer not in columns:
            raise UsageError(f"--label: {answer!r} is no answer column; they are {', '.join(columns)}")
    return [Label(columns[answer], gold) for answer, gold in pairs]


def _evaluated(table: Opened, columns: dict[str, Column], on: str, yardstick: Yardstick) -> Evaluation:
    gold = None if yardstick.gold is None else opened(yardstick.gold, "the gold file", "check the path after --gold")
    other = (
        None
        if yardstick.against is None
        else opened(yardstick.against, "the other table", "check the path after --against", is_ours=True)
    )
    labels = labels_of(yardstick.labels, columns, gold.columns if gold is not None else list(columns))
    names = [label.column.name for label in labels]
    for name in names:
        table.require(name, "--label")
    extra = [name for name in (yardstick.confidence, yardstick.by) if name is not None]
    rows = _keyed(table, on, [*names, *extra])
    golden = None if gold is None else _golden(gold, on, labels)
    rival = None if other is None else _rival(other, on, names)
    join = joined(golden, rows) if golden is not None else Joined((), (), len(rows.rows))
    asked = yardstick.prevalence or yardstick.by is not None or (gold is not None and PROBABILITY in gold.columns)
    shares = [prevalences(label, golden, rows, yardstick.by) for label in labels] if golden is not None and asked else []
    return Evaluation(
        table=str(table.path),
        gold=None if gold is None else str(gold.path),
        against=None if other is None else str(other.path),
        on=on,
        table_rows=rows.total,
        keyless=rows.keyless,
        repeated=rows.repeated,
        conflicting=rows.conflicting,
        gold_rows=0 if golden is None else golden.total,
        gold_keyless=0 if golden is None else golden.keyless,
        gold_repeated=0 if golden is None else golden.repeated,
        gold_conflicting=() if golden is None else golden.conflicting,
        matched=len(join.keys),
        missing=join.missing,
        unlabelled=join.unlabelled,
        against_rows=0 if rival is None else rival.total,
        against_only=0 if rival is None else sum(key not in rows.rows for key in rival.rows),
        table_only=0 if rival is None else sum(key not in rival.rows for key in rows.rows),
        against_conflicting=() if rival is None else rival.conflicting,
        labels=[judged(label, join.keys, golden, rows, yardstick.confidence) for label in labels] if golden is not None else [],
        comparisons=[compared(label, rows, rival, golden) for label in labels] if rival is not None else [],
        prevalences=[one for one in shares if one is not None],
    )


def _golden(gold: Opened, on: str, labels: Sequence[Label]) -> Keyed:
    gold.require(on, "--on")
    for label in labels:
        gold.require(label.gold, "--label")
    design = [name for name in (PROBABILITY, STRATUM, STRATUM_ROWS) if name in gold.columns]
    return _keyed(gold, on, [*(label.gold for label in labels), *design])


def _rival(other: Opened, on: str, names: Sequence[str]) -> Keyed:
    for name in (on, *names):
        other.require(name, "--against")
    return _keyed(other, on, names)


def _keyed(table: Opened, on: str, names: Sequence[str]) -> Keyed:
    return keyed(*table.read(on, names))
