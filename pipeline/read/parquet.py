"""Parquet, one row group at a time, in bounded memory, trusting nothing that the file says of itself.

`pre_buffer=False`, a small buffer and no threads: 162 MB and 2.0 CPU s for 1e7 rows, against 926 MB for
`pyarrow.dataset` (measured). Memory follows the longest row group only where pages are as long as the group.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputUnreadable
from pipeline.read.format import BATCH_BYTES, UNPACKED_RATIO, Part, Told, exceeds, reading
from pipeline.remote import Place, Remote

_READ_BYTES = 1 << 20


def schemas(paths: Sequence[Place], told: Told, /) -> list[pa.Schema]:
    """Columns and Arrow types, from the footers."""
    return [_schema(path) for path in paths]


def parts(path: Place, told: Told, wanted: pa.Schema, max_rows: int, skip: int, /) -> Generator[Part, None, None]:
    """The rows in file order, behind the first `skip`: row groups among them are not read. A text cell that is not UTF-8
    becomes null and its row gets a fault."""
    with _opened(path) as file:
        footer = file.metadata
        _refuse_bomb(path, footer)
        rows = 0
        for group in range(footer.num_row_groups):
            described = footer.row_group(group)
            if rows + described.num_rows <= skip:
                rows += described.num_rows
                continue
            size = _batch_rows(described, max_rows)
            read = 0
            for table in file.iter_batches(size, row_groups=[group], columns=wanted.names, use_threads=False):
                first = min(max(0, skip - rows - read), table.num_rows)
                if first < table.num_rows:
                    # A column is also asked for by its path, so that `a` and `b` come along with a column named "a.b".
                    yield _sound(path, table.slice(first).select(wanted.names), rows + read + first)
                read += table.num_rows
            _agree(path, f"row group {group + 1}", described.num_rows, read)
            rows += read
        # pyarrow gives 0 of 6 rows, or 6 of 0, without an error where a footer contradicts itself.
        _agree(path, "the file", footer.num_rows, rows)


def manner(path: Place, told: Told, /) -> str:
    with reading(path), _opened(path) as file:
        groups = file.metadata.num_row_groups
    return f"Parquet, {groups:,} row group{'' if groups == 1 else 's'}"


def _schema(path: Place) -> pa.Schema:
    with reading(path), _opened(path) as file:
        schema: pa.Schema = file.schema_arrow
        names: list[str] = schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputUnreadable(
            f"{path}: has more than one column named {', '.join(map(repr, twice))}\n"
            "  Write it again with each column under a name of its own."
        )
    return schema


@contextmanager
def _opened(path: Place) -> Iterator[pq.ParquetFile]:
    with (
        path.open() if isinstance(path, Remote) else pa.OSFile(str(path)) as handle,
        pq.ParquetFile(
            handle,
            pre_buffer=False,
            buffer_size=_READ_BYTES,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
        ) as file,
    ):
        yield file


def _agree(path: Place, what: str, promised: int, read: int) -> None:
    if promised != read:
        raise InputUnreadable(
            f"{path}: {what} holds {read} rows where the footer promises {promised}\n"
            "  The file is damaged or was written wrongly; make it anew."
        )


def _refuse_bomb(path: Place, footer: pq.FileMetaData) -> None:
    # By row group: the figures of a column are in `row_group(i).column(j)`, which aborts the process, by an exception
    # that pyarrow does not catch, where a column is encrypted (pyarrow 26).
    unpacked = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
    packed = path.stat().st_size
    if exceeds(packed, unpacked):
        raise InputUnreadable(
            f"{path}: unpacks from {packed} to {unpacked} bytes, more than {UNPACKED_RATIO} times: "
            "this looks like a decompression bomb\n"
            "  If it is meant, write the file again with a weaker compression."
        )


def _batch_rows(group: pq.RowGroupMetaData, max_rows: int) -> int:
    """How many rows to decode at once, by the mean size of a row."""
    rows: int = BATCH_BYTES * group.num_rows // max(group.total_byte_size, 1)
    return max(1, min(max_rows, rows))


def _sound(path: Place, table: pa.RecordBatch, start: int) -> Part:
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        # Anything but bad text is damage in the structure itself, and no value may be touched.
        if "UTF8" not in str(error):
            raise
        return _sifted(path, table, start)
    return Part(table)


def _sifted(path: Place, table: pa.RecordBatch, start: int) -> Part:
    import pyarrow.compute as pc  # 40 ms of CPU, for files that need it

    faults: dict[int, str] = {}
    columns = []
    for name, column in zip(table.schema.names, table.columns, strict=True):
        bad = [not _readable(value) for value in column]
        for offset in (offset for offset, is_bad in enumerate(bad) if is_bad):
            faults.setdefault(offset, f"{path}: row {start + offset + 1}: column {name!r} holds bytes that are not UTF-8")
        columns.append(pc.if_else(pa.array(bad), pa.scalar(None, column.type), column) if any(bad) else column)
    return Part(pa.RecordBatch.from_arrays(columns, names=table.schema.names), faults)


def _readable(value: pa.Scalar) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    except (OverflowError, ValueError):
        return True  # a date beyond Python's is sound as Arrow; rows.py reports it if the column is used
    return True
