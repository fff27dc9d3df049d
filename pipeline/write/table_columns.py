"""The columns of the published table, and what stands in them for each row.

Kept input columns first, then the answer columns, then our own, whose names begin with an underscore (docs/output.md).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import pyarrow as pa

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.records import JSON, Outcome, Status
from pipeline.schema.arrow import column

_SURROGATES = re.compile("[\ud800-\udfff]")


def _text(value: str | None) -> str | None:
    """The same, as UTF-8 can carry it: lone surrogates become U+FFFD."""
    return None if value is None else _SURROGATES.sub("\ufffd", value)


def _microseconds(unix_time: float | None) -> int | None:
    return None if unix_time is None else round(unix_time * 1_000_000)


_OWN: tuple[tuple[str, pa.DataType, Callable[[Outcome], object]], ...] = (
    ("_status", pa.string(), lambda outcome: outcome.status.value),
    ("_error", pa.string(), lambda outcome: _text(outcome.error)),
    ("_repairs", pa.list_(pa.string()), lambda outcome: [_text(mend) for mend in outcome.repairs]),
    ("_asks", pa.int32(), lambda outcome: outcome.asks),
    ("_attempts", pa.int32(), lambda outcome: outcome.attempts),
    ("_reused", pa.bool_(), lambda outcome: outcome.reused),
    ("_model", pa.string(), lambda outcome: _text(outcome.model)),
    ("_stop_reason", pa.string(), lambda outcome: _text(outcome.stop_reason)),
    ("_message_id", pa.string(), lambda outcome: _text(outcome.message_id)),
    ("_request_id", pa.string(), lambda outcome: _text(outcome.request_id)),
    ("_input_tokens", pa.int64(), lambda outcome: outcome.usage.input_tokens),
    ("_output_tokens", pa.int64(), lambda outcome: outcome.usage.output_tokens),
    ("_cache_read_tokens", pa.int64(), lambda outcome: outcome.usage.cache_read_tokens),
    ("_cache_write_tokens", pa.int64(), lambda outcome: outcome.usage.cache_write_tokens),
    ("_thinking_tokens", pa.int64(), lambda outcome: outcome.usage.thinking_tokens),
    ("_cost_usd", pa.float64(), lambda outcome: outcome.cost_usd),
    ("_latency_s", pa.float32(), lambda outcome: outcome.latency_s),
    ("_answered_at", pa.timestamp("us", tz="UTC"), lambda outcome: _microseconds(outcome.answered_at)),
    ("_raw", pa.string(), lambda outcome: _text(outcome.raw)),
)
"""Name, type, value: what other programs read in the table, so that none of it is renamed (docs/output.md tells each)."""
_FURTHER: Mapping[str, tuple[pa.DataType, Callable[[Outcome], object]]] = {
    "_pieces": (pa.int32(), lambda outcome: outcome.pieces),
    "_left_out": (pa.int64(), lambda outcome: outcome.left_out),
}
"""Those that only some jobs have, after the others."""

OWN: tuple[pa.Field, ...] = tuple(pa.field(name, kind) for name, kind, _ in _OWN)


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive rows, finished."""

    inputs: pa.RecordBatch
    """All that the input holds of them, kept or not."""
    table: pa.RecordBatch
    """What is published."""
    outcomes: tuple[Outcome, ...]
    """As published: a row whose answer no column could carry has become INVALID_OUTPUT."""
    answers: tuple[Mapping[str, JSON], ...]
    """Property → value, as the model gave it; empty where the row has no answer."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the table holds, in order. Made by `plan`, which sees to it that no two columns share a name."""

    kept: tuple[pa.Field, ...]
    """Input columns that are carried along."""
    answers: tuple[pa.Field, ...]
    """Answer columns under their names in the schema, without the prefix."""
    prefix: str = ""
    further: tuple[str, ...] = ()
    """Those of our own that not every job has: `_pieces`, `_left_out`."""

    @classmethod
    def plan(
        cls,
        inputs: pa.Schema,
        keep: Literal["all"] | Sequence[str],
        answers: Sequence[pa.Field],
        prefix: str = "",
        *,
        further: tuple[str, ...] = (),
    ) -> Self:
        """Raises ConfigInvalid with every fault: a column to keep that is not there, a name that would be there twice."""
        chosen = inputs.names if keep == "all" else keep
        faults = [_unknown(name, inputs.names) for name in chosen if name not in inputs.names]
        # Metadata stays behind: an index of pandas or field ids of another file would not be true of this one.
        kept = [pa.field(name, inputs.field(name).type) for name in chosen if inputs.names.count(name) == 1]
        faults += [
            f"output.keep: the input has several columns {name!r}; leave it out"
            for name in dict.fromkeys(chosen)
            if inputs.names.count(name) > 1
        ]
        faults += [f"output.keep: {name!r} is named twice" for name in _twice(chosen) if inputs.names.count(name) == 1]
        faults += _hidden({field.name for field in kept}, [prefix + field.name for field in answers], further)
        if faults:
            raise ConfigInvalid("the output table cannot have these columns:", faults=faults)
        return cls(tuple(kept), tuple(answers), prefix, further)

    @property
    def schema(self) -> pa.Schema:
        answers = (field.with_name(self.prefix + field.name) for field in self.answers)
        return pa.schema([*self.kept, *answers, *OWN, *(pa.field(name, _FURTHER[name][0]) for name in self.further)])

    def rows(self, inputs: pa.RecordBatch, outcomes: Sequence[Outcome]) -> Piece:
        """The table's rows for input rows and what became of them, one outcome for each, in the same order."""
        read = [_read(outcome) for outcome in outcomes]
        values = [answer for answer, _ in read]
        faults = {index: fault for index, (_, fault) in enumerate(read) if fault is not None}
        arrays, uncarried = self._answers(values)
        if uncarried:  # rare: such a row has no answer at all, so the columns are made again without it
            values = [{} if index in uncarried else answer for index, answer in enumerate(values)]
            arrays, _ = self._answers(values)
            faults |= uncarried
        final = [_without_answer(outcome, faults[at]) if at in faults else outcome for at, outcome in enumerate(outcomes)]
        kept = [_kept(inputs, field) for field in self.kept]
        ours = [*((kind, value) for _, kind, value in _OWN), *(_FURTHER[name] for name in self.further)]
        own = [pa.array([value(outcome) for outcome in final], kind) for kind, value in ours]
        table = pa.RecordBatch.from_arrays([*kept, *arrays, *own], schema=self.schema)
        return Piece(inputs, table, tuple(final), tuple(values))

    def _answers(self, values: Sequence[Mapping[str, JSON]]) -> tuple[list[pa.Array], dict[int, str]]:
        """The answer columns, and the rows that one of them cannot carry: index → why."""
        arrays, faults = [], {}
        for field in self.answers:
            array, uncarried = column([answer.get(field.name) for answer in values], field)
            arrays.append(array)
            faults.update({index: f"/{field.name}: {why}" for index, why in uncarried.items()})
        return arrays, faults


def _unknown(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"output.keep: the input has no column {name!r}; " + (
        f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, names))}"
    )


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if list(names).count(name) > 1]


def _hidden(kept: set[str], answers: Sequence[str], further: Sequence[str]) -> list[str]:
    """A fault for each column that would hide another."""
    own = {*(field.name for field in OWN), *further}
    return [
        *(
            f"{name!r} is an input column and an answer: set output.prefix, or leave the input column out of output.keep"
            for name in answers
            if name in kept
        ),
        *(f"the answer {name!r} has the name of a column of ours: set output.prefix" for name in answers if name in own),
        *(
            f"the input column {name!r} has the name of a column of ours: list in output.keep only the others"
            for name in sorted(kept & own)
        ),
    ]


def _kept(inputs: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """The input column under the type that was planned; nulls where a later file has no such column."""
    at = inputs.schema.get_field_index(field.name)
    if at < 0:
        return pa.nulls(inputs.num_rows, field.type)
    array = inputs.column(at)
    try:
        return array if array.type == field.type else array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputUnreadable(
            f"column {field.name!r} is {field.type} in the first file, but {array.type} in another: {error}"
        ) from error


def _read(outcome: Outcome) -> tuple[Mapping[str, JSON], str | None]:
    """The row's answer, property → value, and why it cannot be read although there should be one."""
    if outcome.answer is None:
        return {}, "the journal holds no answer for this row" if outcome.status.answered else None
    try:
        value = json.loads(outcome.answer)  # not orjson: it rounds integers beyond 64 bits without a word
    except (ValueError, RecursionError) as error:
        return {}, f"the stored answer cannot be read: {error}"
    if not isinstance(value, dict):
        return {}, "the stored answer is no object"
    return value, None


def _without_answer(outcome: Outcome, why: str) -> Outcome:
    return replace(
        outcome,
        status=Status.INVALID_OUTPUT,
        error=f"no column can carry the answer: {why}",
        answer=None,
        raw=outcome.answer if outcome.raw is None else outcome.raw,
    )
