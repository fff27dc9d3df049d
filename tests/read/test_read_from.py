"""Reading from a position on: what lies before it is left out, and of Parquet not even read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputUnreadable
from pipeline.read.source import Source, open_source
from pipeline.records import FILE_SHIFT

SIZES = (10, 0, 7)


def written(folder: Path, suffix: str) -> Source:
    """Three files with so many rows, in small row groups."""
    for number, rows in enumerate(SIZES):
        path = folder / f"{number}.{suffix}"
        names = [f"{number}-{row}" for row in range(rows)]
        match suffix:
            case "parquet":
                pq.write_table(pa.table({"id": pa.array(names, pa.string())}), path, row_group_size=3)
            case "csv":
                with path.open("w", newline="") as file:
                    csv.writer(file).writerows([["id"], *([name] for name in names)])
            case _:
                path.write_text("".join(f"{json.dumps({'id': name})}\n" for name in names) or "\n")
    return open_source([f"{folder}/*.{suffix}"])


def read(source: Source, **start: object) -> list[tuple[int, int, str]]:
    """Position, ordinal and value of each row."""
    found: list[tuple[int, int, str]] = []
    for batch in source.batches(["id"], max_rows=4, **start):  # type: ignore[arg-type]
        for offset, value in enumerate(batch.table.column("id").to_pylist()):
            found.append((batch.start + offset, batch.ordinal + offset, value))
    return found


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_from_any_position_on_the_rows_are_those_that_all_would_end_with(tmp_path: Path, suffix: str) -> None:
    source = written(tmp_path, suffix)
    everything = read(source)
    assert len(everything) == sum(SIZES)
    for file, rows in enumerate(SIZES):
        for index in range(rows + 2):
            start = file << FILE_SHIFT | index
            assert read(source, start=start, sizes=SIZES) == [row for row in everything if row[0] >= start], start
    assert read(source, start=len(SIZES) << FILE_SHIFT, sizes=SIZES) == []


def test_of_parquet_what_lies_before_is_not_even_read(tmp_path: Path) -> None:
    source = written(tmp_path, "parquet")
    path = tmp_path / "0.parquet"
    group = pq.read_metadata(path).row_group(0).column(0)
    damaged = bytearray(path.read_bytes())
    first = group.dictionary_page_offset or group.data_page_offset
    damaged[first : first + group.total_compressed_size] = bytes(group.total_compressed_size)
    path.write_bytes(damaged)
    with pytest.raises(InputUnreadable):
        read(source)
    assert [value for _, _, value in read(source, start=3, sizes=SIZES)][:2] == ["0-3", "0-4"]


def test_a_limit_counts_from_the_first_row(tmp_path: Path) -> None:
    written(tmp_path, "csv")
    source = open_source([f"{tmp_path}/*.csv"], limit=12)
    assert [value for _, _, value in read(source, start=9, sizes=SIZES)] == ["0-9", "2-0", "2-1"]
