"""Files that stand elsewhere, in a store or on the web: what is put there, and what is read of it."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.read.source import open_source

CSV = "id,text\nr1,good Ä\nr2,bad\n"


def parquet(rows: int) -> bytes:
    file = io.BytesIO()
    table = pa.table({"id": [f"r{row}" for row in range(rows)], "text": [f"good {row}" for row in range(rows)]})
    pq.write_table(table, file, row_group_size=10)
    return file.getvalue()


def ids(*paths: str) -> list[str]:
    return [key for batch in open_source(paths).batches(["id"], max_rows=7) for key in batch.table.column("id").to_pylist()]
