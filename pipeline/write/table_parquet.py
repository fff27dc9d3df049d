"""The table as Parquet: zstd, Arrow schema kept, our summary in the footer."""

from __future__ import annotations

import io
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

FOOTER_KEY = "pipeline"
GROUP_ROWS = 32_768
GROUP_BYTES = 32 << 20
"""Rows wait in memory until their row group is full; the bytes bound it where rows are long."""


class ParquetTable:
    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []

    @staticmethod
    def holds(field: pa.Field) -> bool:
        """False for the few Arrow types that have no Parquet form, such as objects without properties."""
        try:
            pq.ParquetWriter(io.BytesIO(), pa.schema([field])).close()
        except pa.ArrowNotImplementedError:
            return False
        return True

    def write(self, rows: pa.RecordBatch) -> None:
        self._waiting.append(rows)
        if (
            sum(batch.num_rows for batch in self._waiting) >= GROUP_ROWS
            or sum(batch.nbytes for batch in self._waiting) >= GROUP_BYTES
        ):
            self._write_group()

    def finish(self, summary: str) -> None:
        """Writes what waits, and the footer with the summary."""
        if self._waiting:
            self._write_group()
        self._writer.add_key_value_metadata({FOOTER_KEY: summary})
        self._writer.close()

    def abandon(self) -> None:
        """After a failure: else pyarrow's writer would still end the file when it is collected, and fail once more."""
        self._writer.is_open = False

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._waiting.clear()
        pa.default_memory_pool().release_unused()  # else Arrow keeps what it has freed: 7 MB at 10^6 rows
