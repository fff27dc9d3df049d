"""The table as JSON Lines: one object a row, nested values as they are, times as ISO 8601, binary as base64."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa

from pipeline.write.table_values import plain, to_json


class JsonlTable:
    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._file = file
        self._names: list[str] = schema.names

    def write(self, rows: pa.RecordBatch) -> None:
        for values in zip(*(plain(array) for array in rows.columns), strict=True):
            self._file.write(to_json(dict(zip(self._names, values, strict=True))) + b"\n")

    def finish(self, summary: str) -> None:
        """JSON Lines has no place for the summary."""

    def abandon(self) -> None:
        """Nothing is held."""
