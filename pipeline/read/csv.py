"""CSV and TSV as spreadsheets and databases write them (RFC 4180), all cells text unless told.

- Cells stay strings: inference turns the id 00123 into 123 and fails on the first AB-7 at the end of a run. In a column that
  `input.types` names, a cell that does not fit is a fault of its record.
- The delimiter of a .csv is the one of `, ; tab |` that cuts the header and the lines below it alike; of a .tsv, tab; or what
  `input.delimiter` says. Cells are quoted by `"`, or by `'` where that stands around every name of the header.
- An empty cell is an empty string, in a column of another type null; else only a cell that its line does not have is null.
- A blank line is no record, as for other csv readers, also in a file of one column (there an empty cell must be
  written as "", which csv writers do).
- A record that does not fit is kept as far as it goes and carries a fault: too few or too many cells, text after a
  closing quote, NUL characters. A quote that is never closed has swallowed an unknown number of records, so that one
  ends the job.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from pipeline.errors import InputUnreadable
from pipeline.read.columns import batch, strings
from pipeline.read.format import BATCH_BYTES, Part, Told, reading
from pipeline.read.kinds import KINDS, misfit
from pipeline.read.stream import RECORD_BYTES, Lines, said_encoding, suffix
from pipeline.remote import Place

_DELIMITERS = ",;\t|"

_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars", " ": "spaces"}

_BUILDS: Mapping[object, Callable[[Sequence[Any]], pa.Array]] = {kind.type: kind.build for kind in KINDS.values()}

_SAMPLE_CHARACTERS = 64 << 10

_Record = tuple[Sequence[str | None], str | None]
"""Cells, and why they are not the whole record."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """What makes cells of a line."""

    delimiter: str
    quote: str = '"'
    found: str = "by its header"


def schemas(paths: Sequence[Place], told: Told, /) -> list[pa.Schema]:
    """Column names from the headers; every column is a string unless it was told another type."""
    return [_schema(path, told) for path in paths]


def manner(path: Place, told: Told, /) -> str:
    with reading(path):
        cut = _cut(path, told)
    delimiter = _NAMES.get(cut.delimiter, cut.delimiter)
    return f"CSV, {said_encoding(told.encoding)}, cut at {delimiter} ({cut.found}), quoted by {cut.quote}"


def parts(path: Place, told: Told, wanted: pa.Schema, max_rows: int, skip: int, /) -> Generator[Part, None, None]:
    """The records below the header, behind the first `skip`: those must be read all the same."""
    with closing(_Text(path, told.encoding)) as text:
        records = _records(text, _cut(path, told))
        header = _header(text, records)
        picks = [header.index(name) for name in wanted.names]
        # Also columns that are not wanted now: a record's fault must not depend on who asks.
        typed = [(header.index(name), name, kind) for name, kind in told.types.items() if name in header and kind != "text"]
        rows: list[Sequence[object]] = []
        faults: dict[int, str] = {}
        begin = text.lines.end
        for cells, fault in islice(records, skip, None):
            if len(cells) != len(header):
                fault = fault or text.fault(f"{len(cells)} cells where the header has {len(header)}")
                cells = [*cells, *[None] * (len(header) - len(cells))]
            values: Sequence[object] = cells
            if typed:
                values, misfits = _typed(cells, typed)
                fault = fault or (text.fault("; ".join(misfits)) if misfits else None)
            if fault:
                faults[len(rows)] = fault
            rows.append(values)
            if len(rows) == max_rows or text.lines.end - begin >= BATCH_BYTES:
                yield _part(rows, picks, wanted, faults)
                rows, faults, begin = [], {}, text.lines.end
        if rows:
            yield _part(rows, picks, wanted, faults)


def _typed(cells: Sequence[str | None], typed: Sequence[tuple[int, str, str]]) -> tuple[list[object], list[str]]:
    """The cells as their columns were told to be, and what is wrong with those that do not fit; these are None."""
    values: list[object] = list(cells)
    misfits = []
    for at, name, kind in typed:
        cell = cells[at]
        values[at] = None
        if cell is None or not cell.strip():
            continue
        try:
            values[at] = KINDS[kind].read(cell)
        except ValueError:
            misfits.append(misfit(name, kind, cell))
    return values, misfits


def _part(rows: Sequence[Sequence[Any]], picks: Sequence[int], wanted: pa.Schema, faults: dict[int, str]) -> Part:
    # Types that were not told are strings here, of whichever width the other files have.
    builds: list[Callable[[Sequence[Any]], pa.Array]] = [_BUILDS.get(kind, strings) for kind in wanted.types]
    columns = [build([row[pick] for row in rows]) for build, pick in zip(builds, picks, strict=True)]
    return Part(batch(columns, wanted.names, len(rows)), faults)


def _schema(path: Place, told: Told) -> pa.Schema:
    with reading(path), closing(_Text(path, told.encoding)) as text:
        names = _header(text, _records(text, _cut(path, told)))
        return pa.schema([(name, KINDS[told.types.get(name, "text")].type) for name in names])


def _header(text: _Text, records: Iterator[_Record]) -> list[str]:
    path = text.lines.path
    cells, fault = next(records, ((), None))
    if not cells:
        raise InputUnreadable(f"{path}: is empty\n  The first line must name the columns.")
    if fault:
        raise InputUnreadable(f"{fault}\n  This is the header, the line that names the columns; is the file text at all?")
    names = [cell or "" for cell in cells]
    nameless = [str(number) for number, name in enumerate(names, start=1) if not name]
    if nameless:
        raise InputUnreadable(
            f"{path}: line {text.record_line}: column {', '.join(nameless)} of {len(names)} has no name\n"
            "  Name every column in that line. (pandas writes such a column for its index: to_csv(index=False).)"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputUnreadable(
            f"{path}: line {text.record_line}: has more than one column named {', '.join(map(repr, twice))}\n"
            "  Give each column a name of its own in that line."
        )
    return names


class _Text:
    """The lines of a file as text, remembering those of the record under way."""

    def __init__(self, path: Place, encoding: str | None) -> None:
        self.lines = Lines(path, encoding)
        self.held: list[str] = []
        self.nul = False
        """The record under way holds a NUL character."""
        self.ended = False
        """A reader asked for a line after the last."""
        self.rest = self._decoded()

    def _decoded(self) -> Generator[str, None, None]:
        for line in self.lines:
            text = self.lines.text(line)
            self.held.append(text)
            self.nul = self.nul or "\0" in text
            yield text
        self.ended = True

    def begin(self) -> None:
        """The next line begins a record."""
        self.held.clear()
        self.nul = False

    @property
    def record_line(self) -> int:
        """The line on which the record under way begins, from 1."""
        return self.lines.number - len(self.held) + 1

    def fault(self, what: str) -> str:
        return f"{self.lines.path}: line {self.record_line}: {what}"

    def close(self) -> None:
        self.lines.close()


def _records(text: _Text, cut: _Cut) -> Iterator[_Record]:
    # Process-wide, and 128 KiB by default: shorter than a long document. It also stops a quote that is never closed.
    csv.field_size_limit(RECORD_BYTES)
    # Strict, because the lenient reading of `"a "b", c"` moves a comma from the text to the structure without a word.
    reader = csv.reader(text.rest, delimiter=cut.delimiter, quotechar=cut.quote, strict=True)
    while True:
        text.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _salvaged(text, cut, error)
            continue
        if not cells:
            continue
        if text.nul:
            yield cells, text.fault("holds NUL characters, which no text has; for a file in UTF-16, set input.encoding: utf-16")
        else:
            yield cells, None


def _salvaged(text: _Text, cut: _Cut, cause: csv.Error) -> _Record:
    """What a lenient reader makes of a record that breaks the rules of quoting: as many cells as can be told apart."""
    _refuse_unclosed(text, cause)
    try:
        cells = next(csv.reader(chain(tuple(text.held), text.rest), delimiter=cut.delimiter, quotechar=cut.quote))
    except csv.Error as error:
        _refuse_unclosed(text, error)
        raise
    _refuse_unclosed(text, cause)
    return cells, text.fault(f"text follows a closing quote; a quote inside a quoted cell is written twice: {cut.quote * 2}")


def _refuse_unclosed(text: _Text, cause: csv.Error) -> None:
    # A reader only asks for lines beyond the end, or beyond the limit, while a quote is open.
    if text.ended or sum(map(len, text.held)) > RECORD_BYTES:
        found = "the end of the file" if text.ended else f"{RECORD_BYTES >> 20} MiB of text"
        raise InputUnreadable(
            f"{text.fault(f'a quote opens in this record and is not closed before {found}')}\n"
            "  The file is cut short, or a quote stands where none belongs; mend that line."
        ) from cause


def _cut(path: Place, told: Told) -> _Cut:
    """csv.Sniffer guesses from letter frequencies and takes a letter of the text for it; here the header decides."""
    sample, whole = _sample(path, told.encoding)
    if told.delimiter is not None:
        return _Cut(told.delimiter, _quote(sample, told.delimiter), "input.delimiter")
    if suffix(path) == ".tsv":
        return _Cut("\t", _quote(sample, "\t"), "by its suffix")
    found = [(*_fit(sample, whole, delimiter), delimiter) for delimiter in _DELIMITERS]
    likely = [each for each in found if each[0] >= 0.5 and each[1] > 1]
    # max takes the first of equals, so that a comma wins a draw; nothing likely means a file of one column.
    delimiter = max(likely, key=lambda each: each[:2])[2] if likely else ","
    return _Cut(delimiter, _quote(sample, delimiter))


def _quote(sample: Sequence[str], delimiter: str) -> str:
    """An apostrophe where it stands around every name of the header: no one names all columns 'so' in earnest."""
    header = next((line.rstrip("\r\n") for line in sample if line.strip()), "")
    quoted = all(len(name) > 2 and name[0] == name[-1] == "'" for name in header.split(delimiter))
    return "'" if quoted else '"'


def _fit(sample: Sequence[str], whole: bool, delimiter: str) -> tuple[float, int]:
    """The share of records that have as many cells as the header, and how many that is."""
    records = [cells for cells in csv.reader(sample, delimiter=delimiter, quotechar=_quote(sample, delimiter)) if cells]
    header, *others = records or [[]]
    if others and not whole:
        others.pop()
    alike = sum(len(cells) == len(header) for cells in others)
    return alike / len(others) if others else 1.0, len(header)


def _sample(path: Place, encoding: str | None) -> tuple[list[str], bool]:
    """The head of the file, and whether that is all of it."""
    csv.field_size_limit(RECORD_BYTES)
    taken: list[str] = []
    with closing(Lines(path, encoding)) as lines:
        for line in lines:
            taken.append(lines.text(line))
            if lines.end > _SAMPLE_CHARACTERS:
                return taken, False
    return taken, True
