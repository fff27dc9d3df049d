"""Outcomes, in input order → the published table.

The input is read a second time and merged with the outcomes by position: two ordered streams, so memory holds one piece
of rows (and Parquet's open row group), whatever the size of the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from pipeline.errors import Bug, ConfigInvalid
from pipeline.records import Batch, Outcome, Status
from pipeline.remote import Place
from pipeline.write.table_columns import Columns, Piece
from pipeline.write.table_csv import CsvTable
from pipeline.write.table_file import replacement, storage
from pipeline.write.table_jsonl import JsonlTable
from pipeline.write.table_parquet import ParquetTable

PIECE_ROWS = 4_096
PIECE_BYTES = 16 << 20
"""Rows are finished in pieces of so many, or fewer where their texts are long."""
_BEYOND = 1 << 63
"""After every position (records.FILE_SHIFT)."""


class Table(Protocol):
    """A file format. Its methods raise OSError as the file does."""

    def write(self, rows: pa.RecordBatch) -> None: ...

    def finish(self, summary: str) -> str | None:
        """Ends the file, with the summary where the format has a place for one. Gives what a person should know."""

    def abandon(self) -> None:
        """Lets go of the file without ending it."""


FORMATS: Mapping[str, Callable[[BinaryIO, pa.Schema], Table]] = {
    ".parquet": ParquetTable,
    ".csv": CsvTable,
    ".jsonl": JsonlTable,
}


@dataclass(frozen=True, slots=True)
class Published:
    rows: int
    note: str | None = None
    """A sentence on the file that a person should know: that cells of a CSV were defused."""


def check_target(target: Place, columns: Columns) -> None:
    """Raises ConfigInvalid where `publish` would have to refuse, so that it is known before anything is paid."""
    if target.suffix.lower() not in FORMATS:
        raise ConfigInvalid(f"output.path: {target.name!r} must end in {', '.join(FORMATS)}")
    if isinstance(target, Path) and target.is_dir():
        raise ConfigInvalid(f"output.path: {target} is a folder; name a file in it")
    if target.suffix.lower() == ".parquet":
        faults = [
            f"output.keep: Parquet cannot hold column {field.name!r} of type {field.type}; leave it out, or write .jsonl"
            for field in columns.schema
            if not ParquetTable.holds(field)
        ]
        if faults:
            raise ConfigInvalid("the output table cannot have these columns:", faults=faults)


def publish(
    target: Place,
    batches: Iterable[Batch],
    outcomes: Iterable[Outcome],
    columns: Columns,
    *,
    seal: Callable[[], str],
    tell: Callable[[Piece], None] | None = None,
) -> Published:
    """Writes one row for each row of `batches`, in their order, and puts the file in its place whole or not at all.

    `batches` and `outcomes` both ascend by position (Bug otherwise). A row without an outcome is `pending`; an outcome
    without a row, whose row has left the input, is left out. `tell` hears all rows, in order, as they are published: a
    status can differ there from the journal's (Piece.outcomes). `seal` is called once, after the last `tell`, and gives
    the summary for the footer. The suffix of `target` chooses the format.

    Raises StorageFailed when the disk refuses; an older file is then untouched and nothing else is left behind.
    """
    check_target(target, columns)
    count = 0
    unread = _Unread()
    with replacement(target) as file:
        with storage(target):
            table = FORMATS[target.suffix.lower()](file, columns.schema)
        try:
            for inputs, ended in merged(unread.watching(batches), outcomes):
                unread.meet(ended)
                piece = columns.rows(inputs, ended)
                if tell is not None:
                    tell(piece)
                with storage(target):
                    table.write(piece.table)
                count += len(ended)
            summary = seal()
            with storage(target):
                note = table.finish(summary)
        except BaseException:
            table.abandon()
            raise
    notes = [said for said in (note, unread.note()) if said is not None]
    return Published(count, "; ".join(notes) or None)


@dataclass(slots=True)
class _Unread:
    """Rows that have an answer although a value of theirs, which the prompt did not take, could not be read."""

    rows: int = 0
    first: str = ""
    faults: dict[int, str] = field(default_factory=dict)
    """Of the batch under way, by position."""

    def watching(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self.faults = {batch.start + offset: fault for offset, fault in batch.faults.items()}
            yield batch

    def meet(self, ended: Sequence[Outcome]) -> None:
        for outcome in ended if self.faults else ():
            if outcome.position in self.faults and outcome.status is not Status.INPUT_ERROR:
                self.rows += 1
                self.first = self.first or self.faults[outcome.position]

    def note(self) -> str | None:
        if not self.rows:
            return None
        return f"{self.rows:,} rows have a value that could not be read and is null in the table; the first: {self.first}"


def merged(batches: Iterable[Batch], outcomes: Iterable[Outcome]) -> Iterator[tuple[pa.RecordBatch, list[Outcome]]]:
    """Input rows and their outcomes, in pieces of bounded size; both ascend by position (Bug otherwise)."""
    at = _by_position(outcomes)
    following = 0
    for batch in batches:
        if batch.start < following:
            raise Bug(f"input rows out of order: {batch.start} after {following - 1}")
        following = batch.start + batch.table.num_rows
        row_bytes = batch.table.nbytes / max(batch.table.num_rows, 1)
        taken: list[Outcome] = []
        taken_bytes = 0.0
        for offset in range(batch.table.num_rows):
            taken.append(at(batch.start + offset))
            taken_bytes += row_bytes + _length(taken[-1])
            if len(taken) == PIECE_ROWS or taken_bytes >= PIECE_BYTES:
                yield batch.table.slice(offset + 1 - len(taken), len(taken)), taken
                taken, taken_bytes = [], 0.0
        if taken:
            yield batch.table.slice(batch.table.num_rows - len(taken)), taken
    at(_BEYOND)  # reads the outcomes to their end: one that came too late must not go unseen


def _by_position(outcomes: Iterable[Outcome]) -> Callable[[int], Outcome]:
    """Position → the row's outcome, to be asked in ascending order."""
    source = _ascending(outcomes)
    ahead = next(source, None)

    def at(position: int) -> Outcome:
        nonlocal ahead
        while ahead is not None and ahead.position < position:
            ahead = next(source, None)
        if ahead is None or ahead.position > position:
            return Outcome(position, Status.PENDING)
        return ahead

    return at


def _ascending(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    last = -1
    for outcome in outcomes:
        if outcome.position <= last:
            raise Bug(f"outcomes out of order: {outcome.position} after {last}")
        last = outcome.position
        yield outcome


def _length(outcome: Outcome) -> int:
    """About how many bytes its texts take."""
    return sum(len(text) for text in (outcome.answer, outcome.raw, outcome.error) if text is not None)
