"""Batches → rows: the values, the name and the fault of each."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from subprocess import run

import pyarrow as pa
import pytest

from pipeline.read.rows import key_text, rows
from pipeline.records import Batch, Row

TABLE = pa.RecordBatch.from_pydict({"id": ["a", "b"], "text": ["x", None], "n": [1, 2]})


def test_a_row_has_its_place_its_key_its_values_and_its_fault() -> None:
    batch = Batch((3 << 40) | 7, 100, TABLE, {1: "ragged"})
    assert rows(batch, ["text"], "id") == [
        Row((3 << 40) | 7, "a", {"text": "x"}),
        Row((3 << 40) | 8, "b", {"text": None}, "ragged"),
    ]


def test_without_a_key_a_row_goes_by_its_ordinal() -> None:
    assert [row.key for row in rows(Batch(7, 100, TABLE), ["text"], None)] == ["100", "101"]


def test_rows_without_values() -> None:
    assert rows(Batch(0, 0, TABLE), [], None) == [Row(0, "0", {}), Row(1, "1", {})]


def test_the_key_may_be_among_the_values() -> None:
    assert rows(Batch(0, 0, TABLE), ["n"], "n") == [Row(0, "1", {"n": 1}), Row(1, "2", {"n": 2})]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([10**15], pa.timestamp("us", "UTC")), dt.datetime(2001, 9, 9, 1, 46, 40, tzinfo=dt.UTC)),
        (pa.array([10**18], pa.timestamp("ns")), dt.datetime(2001, 9, 9, 1, 46, 40)),  # noqa: DTZ001
        (pa.array([Decimal("1.10")]), Decimal("1.10")),
        (pa.array([{"a": [1, None]}]), {"a": [1, None]}),
        (pa.array([b"\xff"]), b"\xff"),
        (pa.array(["a"]).dictionary_encode(), "a"),
    ],
)
def test_values_are_plain_python(column: pa.Array, expected: object) -> None:
    [row] = rows(Batch(0, 0, pa.RecordBatch.from_arrays([column], names=["v"])), ["v"], None)
    assert row.values == {"v": expected}
    assert type(row.values["v"]) is type(expected)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32()),
        pa.array([2**62, 0], pa.int64()).cast(pa.timestamp("us")),
        pa.array([2**62, 0], pa.int64()).cast(pa.duration("s")),
        pa.array([b"\xff", b"ok"]).view(pa.string()),
    ],
)
def test_what_python_cannot_hold_is_a_fault_of_its_row_alone(column: pa.Array) -> None:
    table = pa.RecordBatch.from_arrays([column, pa.array(["a", "b"])], names=["v", "id"])
    one, other = rows(Batch(0, 0, table), ["v"], "id")
    assert one.values == {"v": None}
    assert one.fault is not None
    assert one.fault.startswith("column 'v' holds a ")
    assert other.fault is None
    assert other.values["v"] is not None


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), ("", None), (b"", None), ("a", "a"), (7, "7"), (b"\xc3\xa9\xff", "é\\xff"), (" ", " "), (0, "0")],
)
def test_the_text_of_a_key(value: object, text: str | None) -> None:
    assert key_text(value) == text


def test_reading_does_not_import_pandas() -> None:
    """pyarrow imports it for pa.array and for nanoseconds; that would be a third of a second at every start."""
    code = """
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from pipeline.read.keys import count
from pipeline.read.rows import rows
from pipeline.read.source import open_source
with TemporaryDirectory() as folder:
    for name, content in (
        ("a.csv", "id,text\\n1,a\\n2\\n"),
        ("a.jsonl", '{"id":1,"f":0.5,"b":true,"t":"x"}\\n{"id":2}\\nx'),
    ):
        path = Path(folder, name)
        path.write_text(content)
        source = open_source([str(path)])
        count(source, None)
        for batch in source.batches():
            rows(batch, source.schema.names, "id")
sys.exit("pandas" in sys.modules or "pyarrow.dataset" in sys.modules)
"""
    assert run([sys.executable, "-c", code], check=False).returncode == 0
