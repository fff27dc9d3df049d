"""One pass over the input of a job and its journal, and one over its replies: all that a report says, in bounded memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.call.wire import read
from pipeline.commands.wiring import Loaded
from pipeline.measure.distribution import Distribution, Distributions, Kind
from pipeline.measure.gold import Agreed, Agreement
from pipeline.measure.pick import Pick
from pipeline.measure.reasons import Reason, Reasons
from pipeline.measure.spread import Numbers, Spread
from pipeline.measure.timeline import Clock, Timeline
from pipeline.read.union import is_text
from pipeline.records import Outcome, Reply, Status, Usage
from pipeline.schema.arrow import JSON_TEXT, KIND
from pipeline.write.archive import Archive
from pipeline.write.table import merged
from pipeline.write.table_columns import Piece

SAMPLE = 200
"""Rows with an answer that the report shows."""
FAILED = 300
"""Rows without one."""
CELL = 2_000
TEXT = 4_000
"""Characters of an input value; of an answer, an error, a raw text."""
ERROR = 300
"""Characters of an error in the list of reasons: 60 reasons of 20 rows must not fill the file."""
COLUMNS = 40
"""Input columns that a row of the report shows."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A row to look at."""

    key: str
    outcome: Outcome
    inputs: tuple[tuple[str, str], ...]
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    statuses: Mapping[Status, int]
    repairs: Mapping[str, int]
    """Mend → rows."""
    asks: Mapping[int, int]
    attempts: Mapping[int, int]
    """Number → rows that were bought on their own account."""
    reused: int
    usage: Usage
    cost_usd: float | None
    latency: Spread | None
    timeline: Timeline | None
    distributions: Sequence[Distribution]
    agreements: Sequence[Agreed]
    reasons: Sequence[Reason]
    rows: Sequence[Seen]
    """In input order."""
    raws: Mapping[int, str]
    """Position → the model's last text, of rows that have one of their own."""


def findings(made: Loaded, kept: Archive, by: str | None) -> Findings:
    """What became of the rows of `made.source`. `by`: the input column that divides the answers into groups."""
    rows = _Rows(made, by)
    for inputs, outcomes in merged(made.source.batches(), kept.outcomes()):
        rows.add(made.columns.rows(inputs, outcomes))
    seen = sorted([*rows.answered.items, *rows.failed.items], key=lambda row: row.outcome.position)
    clock, latency = Clock(), Numbers()
    last = dict.fromkeys((row.outcome.position for row in seen if row.outcome.raw is None and not row.outcome.reused), 0)
    for came in kept.replies():
        clock.add(came.at, came.latency_s)
        if came.latency_s is not None:
            latency.add(came.latency_s)
        if came.position in last:
            last[came.position] = came.reply
    return Findings(
        statuses=rows.statuses,
        repairs=rows.repairs,
        asks=rows.asks,
        attempts=rows.attempts,
        reused=rows.reused,
        usage=_usage(rows.tokens),
        cost_usd=rows.cost_usd,
        latency=latency.spread((0.5, 0.95, 0.99)),
        timeline=clock.timeline(),
        distributions=rows.distributions.results(),
        agreements=rows.agreement.results(),
        reasons=rows.reasons.results(),
        rows=seen,
        raws=_raws(made, kept, {reply: position for position, reply in last.items() if reply}),
    )


class _Rows:
    """Counts rows as they would be published."""

    def __init__(self, made: Loaded, by: str | None) -> None:
        self._key, self._by = made.job.input.key, by
        enums = made.schema.enums()
        kinds = {field.name: _kind(field, enums) for field in made.columns.answers}
        self.distributions = Distributions(kinds, enums, grouped=by is not None)
        self.agreement = Agreement(enums, [field.name for field in made.source.schema if is_text(field.type)])
        self.statuses: Counter[Status] = Counter()
        self.repairs: Counter[str] = Counter()
        self.asks: Counter[int] = Counter()
        self.attempts: Counter[int] = Counter()
        self.tokens: Counter[str] = Counter()
        self.reused = 0
        self.cost_usd: float | None = 0.0
        self.reasons = Reasons()
        self.answered, self.failed = Pick[Seen](SAMPLE), Pick[Seen](FAILED)
        self._ordinal = 0

    def add(self, piece: Piece) -> None:
        groups = piece.inputs.column(self._by) if self._by is not None else None
        labels = piece.inputs.select(self.agreement.columns).to_pylist() if self.agreement.columns else []
        for at, (outcome, answer) in enumerate(zip(piece.outcomes, piece.answers, strict=True)):
            self._count(outcome)
            given = answer if outcome.status.answered else None
            if labels:
                self.agreement.add(labels[at], given)
            if given is not None:
                self.distributions.add(given, None if groups is None else value(groups[at], 120))
            self._keep(piece, at, outcome)
            self._ordinal += 1

    def _count(self, outcome: Outcome) -> None:
        self.statuses[outcome.status] += 1
        self.repairs.update({mend.split(" ", 1)[0] for mend in outcome.repairs})
        self.reused += outcome.reused
        if outcome.asks and not outcome.reused:
            self.asks[outcome.asks] += 1
            self.attempts[outcome.attempts] += 1
        if outcome.cost_usd is None:
            self.cost_usd = None
        elif self.cost_usd is not None:
            self.cost_usd += outcome.cost_usd
        for name in Usage.__slots__:
            self.tokens[name] += getattr(outcome.usage, name)

    def _keep(self, piece: Piece, at: int, outcome: Outcome) -> None:
        def seen() -> Seen:
            return _seen(piece, at, self._called(piece, at))

        if outcome.status.answered:
            self.answered.offer_made(seen)
        elif outcome.status is not Status.PENDING:
            self.failed.offer_made(seen)
            self.reasons.add(
                outcome.status, None if outcome.error is None else cut(outcome.error, ERROR), self._called(piece, at)
            )

    def _called(self, piece: Piece, at: int) -> str:
        return str(self._ordinal) if self._key is None else value(piece.inputs.column(self._key)[at], 200)


def _seen(piece: Piece, at: int, key: str) -> Seen:
    names = piece.inputs.schema.names[:COLUMNS]
    inputs = tuple((name, value(piece.inputs.column(number)[at], CELL)) for number, name in enumerate(names))
    outcome, answer = piece.outcomes[at], piece.answers[at]
    told = json.dumps(answer, ensure_ascii=False, indent=1) if outcome.status.answered else None
    return Seen(key, outcome, inputs, None if told is None else cut(told, TEXT))


def _raws(made: Loaded, kept: Archive, wanted: Mapping[int, int]) -> dict[int, str]:
    """Position → text, from the stored bodies; `wanted`: reply → position."""
    found: dict[int, str] = {}
    for reply, body in kept.bodies(sorted(wanted)):
        said = read(body, made.form, request_id=None, latency_s=0.0, at=0.0, attempts=1)
        if isinstance(said, Reply):
            found[wanted[reply]] = cut(said.text, TEXT)
    return found


def _kind(field: pa.Field, enums: Mapping[str, Iterable[str]]) -> Kind:
    kind = field.type
    if field.name in enums:
        return "labels"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "list"
    # A column of JSON text is a string, too, and says so in its metadata.
    return "text" if pa.types.is_string(kind) and (field.metadata or {}).get(KIND) != JSON_TEXT else "other"


def _usage(tokens: Mapping[str, int]) -> Usage:
    return Usage(**{name: tokens.get(name, 0) for name in Usage.__slots__})


def value(scalar: pa.Scalar, most: int) -> str:
    """A value of the input as text; bytes by their number alone."""
    if pa.types.is_binary(scalar.type) or pa.types.is_large_binary(scalar.type):
        return "" if not scalar.is_valid else f"({len(scalar.as_buffer()):,} bytes)"
    try:
        told = scalar.as_py()
    except (ValueError, OverflowError, ImportError):  # a date that Python has not; nanoseconds without pandas
        told = str(scalar)
    return "" if told is None else cut(str(told), most)


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters in all)"
