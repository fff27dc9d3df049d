"""What a template prints for each kind of value."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.read.rows import rows
from pipeline.read.source import open_source
from pipeline.records import Constant, Prompt, Text
from pipeline.render.prompt import Unaskable, prompt
from pipeline.render.template import compiled

ZONED = pa.timestamp("us", "Europe/Berlin")


def printed(tmp_path: Path, column: pa.Array, template: str = "{{ v }}") -> str:
    """What is sent for the first row of a Parquet file with this column; or why nothing is."""
    pq.write_table(pa.table({"v": column}), tmp_path / "in.parquet")
    [batch] = open_source([str(tmp_path / "in.parquet")]).batches()
    asked = prompt(rows(batch, ["v"], None)[0], compiled(None, template), Constant(""))
    if isinstance(asked, Unaskable):
        return asked.reason
    assert isinstance(asked, Prompt)
    [block] = asked.turns[0].blocks
    assert isinstance(block, Text)
    return block.text


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        pytest.param(Decimal("1234567890123456789.10"), pa.decimal128(38, 2), "1234567890123456789.10", id="decimal"),
        pytest.param(Decimal("0.0000000001"), pa.decimal128(38, 10), "0.0000000001", id="small decimal"),
        pytest.param(Decimal("9" * 70), pa.decimal256(76, 0), "9" * 70, id="decimal of 256 bits"),
        pytest.param(1_700_000_000_123_456, pa.timestamp("us"), "2023-11-14T22:13:20.123456", id="timestamp"),
        pytest.param(1_700_000_000_123_456, ZONED, "2023-11-14T23:13:20.123456+01:00", id="timestamp with a zone"),
        pytest.param(1_700_000_000_123_456_789, pa.timestamp("ns"), "2023-11-14T22:13:20.123456789", id="nanoseconds"),
        pytest.param(dt.date(2026, 11, 25), pa.date32(), "2026-11-25", id="date"),
        pytest.param(dt.time(1, 2, 3), pa.time64("us"), "01:02:03", id="time"),
        pytest.param("größer", pa.large_string(), "größer", id="large string"),
        pytest.param("größer".encode(), pa.binary(), "größer", id="binary that is text"),
        pytest.param(b"\xff\xd8\xff", pa.binary(), "a value of 3 bytes is no UTF-8 text", id="binary that is none"),
        pytest.param(["é", None], pa.list_(pa.string()), '["é", null]', id="list"),
        pytest.param(
            {"a": [Decimal("1.10")], "at": dt.datetime(2026, 1, 1), "raw": b"x"},  # noqa: DTZ001
            pa.struct({"a": pa.list_(pa.decimal128(9, 2)), "at": pa.timestamp("us"), "raw": pa.binary()}),
            '{"a": ["1.10"], "at": "2026-01-01T00:00:00", "raw": "x"}',
            id="struct",
        ),
        pytest.param([("k", 1), ("l", None)], pa.map_(pa.string(), pa.int32()), '[["k", 1], ["l", null]]', id="map"),
        pytest.param(0.1, pa.float64(), "0.1", id="double"),
        pytest.param(True, pa.bool_(), "True", id="boolean"),
    ],
)
@pytest.mark.parametrize("template", ["{{ v }}", "{{ v | document }}"])
def test_a_value_is_printed_exactly(tmp_path: Path, value: Any, kind: pa.DataType, expected: str, template: str) -> None:
    array = (
        pa.array([value], pa.int64()).cast(kind) if isinstance(value, int) and kind != pa.bool_() else pa.array([value], kind)
    )
    said = printed(tmp_path, array, template)
    assert said == expected or (expected in said and ("document" in template or "cannot be rendered" in said))


def test_a_dictionary_is_its_value(tmp_path: Path) -> None:
    assert printed(tmp_path, pa.array(["x"]).dictionary_encode()) == "x"


def test_values_can_be_taken_apart(tmp_path: Path) -> None:
    column = pa.array([[{"price": Decimal("1.10"), "on": dt.date(2026, 11, 25)}]])
    assert printed(tmp_path, column, "{{ v[0].price }} {{ v[0].on.year }}") == "1.10 2026"
