"""Files → rows in order, as columns, in bounded memory, as often as asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import pyarrow as pa

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.read import csv, folder, jsonl, parquet
from pipeline.read.columns import batch
from pipeline.read.format import Format, Part, Told, reading
from pipeline.read.paths import expand
from pipeline.read.stream import CODECS, suffix
from pipeline.read.union import require, union
from pipeline.records import FILE_SHIFT, Batch
from pipeline.remote import Place

_TEXT_FORMATS: MappingProxyType[str, Format] = MappingProxyType(
    {".csv": csv, ".tsv": csv, ".jsonl": jsonl, ".ndjson": jsonl},
)
_FORMATS: MappingProxyType[str, Format] = MappingProxyType({".parquet": parquet, **_TEXT_FORMATS})


_UNTOLD = Told()

_MOST_SHOWN = 5
_LOOKED_AT = 100


class Source(Protocol):
    """The rows of a corpus."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of all files together."""
        ...

    @property
    def files(self) -> tuple[Place, ...]:
        """In the order in which their rows come; the ordinal of a file in a position is its index here."""
        ...

    @property
    def told(self) -> Told:
        """What the config said of text files."""
        ...

    def batches(
        self, columns: Sequence[str] | None = None, *, max_rows: int = 1024, start: int = 0, sizes: Sequence[int] = ()
    ) -> Iterator[Batch]:
        """All rows from the one at position `start`, each call anew, at most max_rows at a time; None: all columns; []: rows
        without values. `sizes`: rows of each file, at least of those before `start`.

        A file is closed when its rows are exhausted, or the iterator is closed or dropped.
        Raises ConfigInvalid for a column that is not there; the iterator raises InputUnreadable.
        """
        ...


def open_source(paths: Sequence[str], *, limit: int | None = None, told: Told = _UNTOLD) -> Source:
    """The files and globs as one source of rows; with a limit, the first so many rows over all files.

    Reads footers, headers and, to settle their types, JSONL files whole.
    Raises ConfigInvalid for a kind of input that is not available yet and for what is `told` of files that are not there,
    InputUnreadable otherwise.
    """
    files = expand(paths)
    _refuse_mixture(files)
    formats = tuple(_format(path) for path in files)
    _refuse_untold(files, formats, told)
    schemas: dict[Place, pa.Schema] = {}
    for form in dict.fromkeys(formats):
        same = [path for path, its in zip(files, formats, strict=True) if its is form]
        schemas.update(zip(same, form.schemas(same, told), strict=True))
    schema = union([(path, schemas[path]) for path in files])
    require(schema, list(told.types), "input.types")
    return _Files(schema, files, formats, limit, told)


def manner(path: Place, told: Told) -> str:
    """How a file is read, for a person: its format, encoding, and what cuts its lines into cells."""
    return _format(path).manner(path, told)


def _refuse_untold(files: Sequence[Place], formats: Sequence[Format], told: Told) -> None:
    """What a config says of a kind of file must hold for every file, or nobody would know for which."""
    faults = []
    for path, form in zip(files, formats, strict=True):
        if form in (parquet, folder) and (told.encoding or told.types):
            name = "input.encoding" if told.encoding else "input.types"
            which = "is Parquet, which says itself what it holds" if form is parquet else "is a folder of files"
            faults.append(f"{name}: {path} {which}; leave the key out")
        if form is not csv and told.delimiter:
            faults.append(f"input.delimiter: {path} is neither CSV nor TSV; leave the key out")
    if faults:
        raise ConfigInvalid(faults[0], faults=faults[1:_MOST_SHOWN])


def _refuse_mixture(files: Sequence[Place]) -> None:
    """A folder of files is an input of its own, unless what it holds is tables."""
    for path in files:
        if not isinstance(path, Path) or folder.root(path) is None:
            continue
        if len(files) > 1:
            raise ConfigInvalid(f"input.path: {path}: a folder, or a glob over images and documents, must be the only input")
        with reading(path):
            entries = [Path(entry.path) for entry in islice(folder.listed(path), _LOOKED_AT)]
        if not entries:
            raise InputUnreadable(f"{path}: holds no file", todo="check input.path, then run the same command again")
        if all(suffix(entry) in _FORMATS for entry in entries):
            raise ConfigInvalid(
                f"input.path: {path}: holds tables, and a folder gives a row a file; "
                f"use a glob such as {path}/*{entries[0].suffix}"
            )


def _format(path: Place) -> Format:
    if isinstance(path, Path) and folder.root(path) is not None:
        return folder
    packed = path.suffix.lower() in CODECS
    known = _TEXT_FORMATS if packed else _FORMATS
    try:
        return known[suffix(path)]
    except KeyError:
        raise InputUnreadable(
            f"{path}: its name does not tell what it is\n"
            f"  Known are {', '.join(_FORMATS)}; and {', '.join(_TEXT_FORMATS)} with {' or '.join(CODECS)} after it.",
            todo="rename or convert the file, then run the same command again",
        ) from None


@dataclass(frozen=True, slots=True)
class _Files:
    schema: pa.Schema
    files: tuple[Place, ...]
    formats: tuple[Format, ...]
    limit: int | None
    told: Told

    def batches(
        self, columns: Sequence[str] | None = None, *, max_rows: int = 1024, start: int = 0, sizes: Sequence[int] = ()
    ) -> Iterator[Batch]:
        names = self.schema.names if columns is None else list(dict.fromkeys(columns))
        require(self.schema, names, "input.columns")
        return self._batches(pa.schema([self.schema.field(name) for name in names]), max_rows, start, sizes)

    def _batches(self, wanted: pa.Schema, max_rows: int, start: int, sizes: Sequence[int]) -> Iterator[Batch]:
        first, skip = start >> FILE_SHIFT, start & (1 << FILE_SHIFT) - 1
        ordinal = sum(sizes[:first]) + (min(skip, sizes[first]) if first < len(sizes) else skip)
        for file, (path, form) in enumerate(zip(self.files, self.formats, strict=True)):
            if file < first:
                continue
            index = skip if file == first else 0
            left = _left(self.limit, ordinal)
            if left == 0:
                return
            # No more than is left is asked for, so that nothing beyond the limit can fail.
            size = max_rows if left is None else min(max_rows, left)
            with reading(path), closing(form.parts(path, self.told, wanted, size, index)) as parts:
                for part in parts:
                    rows = _cut(part, _left(self.limit, ordinal))
                    table = _conform(rows.table, wanted)
                    yield Batch((file << FILE_SHIFT) | index, ordinal, table, rows.faults)
                    index += table.num_rows
                    ordinal += table.num_rows
                    if _left(self.limit, ordinal) == 0:
                        return


def _left(limit: int | None, ordinal: int) -> int | None:
    return None if limit is None else limit - ordinal


def _cut(part: Part, rows: int | None) -> Part:
    if rows is None or part.table.num_rows <= rows:
        return part
    faults = {offset: fault for offset, fault in part.faults.items() if offset < rows}
    return Part(part.table.slice(0, rows), faults)


def _conform(table: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """The table in the types that all files share."""
    columns = [
        column if column.type == kind else column.cast(kind) for column, kind in zip(table.columns, wanted.types, strict=True)
    ]
    return batch(columns, wanted.names, table.num_rows)
