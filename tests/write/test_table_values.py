from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest

from pipeline.write.table_values import plain, to_json

BROKEN = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0\4\0\0\0"), pa.py_buffer(b"a\xffbc")])
"""Text that is no UTF-8, as a Parquet file may hold it."""


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (pa.array(["a", None]), '["a",null]'),
        (pa.array([0.1], pa.float32()), "[0.1]"),
        (pa.array([float("nan")]), "[null]"),
        (pa.array([2**64 - 1], pa.uint64()), "[18446744073709551615]"),
        (pa.array([Decimal("-1.50")]), "[-1.50]"),
        (pa.array([b"\0\xff"]), '["AP8="]'),
        (pa.array([b"ab"], pa.binary(2)), '["YWI="]'),
        (pa.array([[b"\xff"]]), '[["/w=="]]'),
        (pa.array([date(2026, 11, 23)]), '["2026-11-23"]'),
        (pa.array([time(1, 2, 3)]), '["01:02:03.000000"]'),
        (pa.array([datetime(2026, 11, 23, 1, 2, 3)], pa.timestamp("s")), '["2026-11-23T01:02:03"]'),  # noqa: DTZ001
        (
            pa.array(
                [datetime(2026, 11, 23, 1, 2, 3, tzinfo=timezone(timedelta(hours=1)))], pa.timestamp("ms", "Europe/Berlin")
            ),
            '["2026-11-23T00:02:03.000Z"]',
        ),
        (pa.array([1], pa.timestamp("ns", "UTC")), '["1970-01-01T00:00:00.000000001Z"]'),
        (pa.array([[1]], pa.list_(pa.timestamp("ns", "UTC"))), '[["1970-01-01T00:00:00.000000001Z"]]'),
        (pa.array([timedelta(milliseconds=1500)]), "[1.5]"),
        (pa.array(["x", "y", "x"]).dictionary_encode(), '["x","y","x"]'),
        (
            pa.array([{"at": datetime(2026, 1, 2), "d": Decimal("0.10"), "t": time(1)}]),  # noqa: DTZ001
            '[{"at":"2026-01-02T00:00:00.000000","d":0.10,"t":"01:00:00.000000"}]',
        ),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())), '[[["k",1]]]'),
        (pa.array([[timedelta(seconds=2)]]), "[[2.0]]"),
        (pa.array([uuid.UUID(int=7).bytes], pa.uuid()), '["00000000-0000-0000-0000-000000000007"]'),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), '["MonthDayNano(months=1, days=2, nanoseconds=3)"]'),
        (pa.nulls(1), "[null]"),
        (pa.array([2**40], pa.timestamp("s")), "[1099511627776]"),
        (pa.array([2**40], pa.timestamp("s", "UTC")), "[1099511627776]"),
        (pa.array([[2**40]], pa.list_(pa.timestamp("s", "UTC"))), "[[1099511627776]]"),
        (pa.array([[2**62]], pa.list_(pa.timestamp("s"))), "[[4611686018427387904]]"),
        (pa.array([[1]], pa.list_(pa.timestamp("s", "Mars/Base"))), '[["1970-01-01T00:00:01Z"]]'),
        (pa.array([[2**30]], pa.list_(pa.date32())), "[[1073741824]]"),
        (pa.array([[1]], pa.list_(pa.time64("ns"))), '[["00:00:00.000000001"]]'),
        (pa.array([[2**50]], pa.list_(pa.duration("s"))), "[[1125899906842624.0]]"),
        (pa.array([[0.1, None]], pa.list_(pa.float32())), "[[0.1,null]]"),
        (pa.array([[1], None, [], [2, 3], [4]]).slice(1, 3), "[null,[],[2,3]]"),
        (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)).slice(1), "[null,[3,4]]"),
        (pa.array([{"a": 1}, None, {"a": [2]}][:2], pa.struct([("a", pa.int8())])).slice(1), "[null]"),
        (
            pa.array([[("k", 1)], None, [], [("l", 2), ("l", 3)]], pa.map_(pa.string(), pa.int8())).slice(1),
            '[null,[],[["l",2],["l",3]]]',
        ),
        (
            pa.array([[("k", [{"t": 1}])]], pa.map_(pa.string(), pa.list_(pa.struct([("t", pa.time32("s"))])))),
            '[[["k",[{"t":"00:00:01"}]]]]',
        ),
        (
            pa.StructArray.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["a", "a", "a_2"]),
            '[{"a":1,"a_2":2,"a_2_2":3}]',
        ),
        (pa.array([["x", None]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), '[["x",null]]'),
        (pa.array([[]], pa.list_(pa.null())), "[[]]"),
        (BROKEN, '["a\ufffdb","c"]'),
        (BROKEN.cast(pa.binary()).dictionary_encode(), '["Yf9i","Yw=="]'),
        (pa.ListArray.from_arrays(pa.array([0, 2]), BROKEN), '[["a\ufffdb","c"]]'),
        (pa.LargeListArray.from_arrays(pa.array([0, 2]), BROKEN), '[["a\ufffdb","c"]]'),
        (pa.FixedSizeListArray.from_arrays(BROKEN, 2), '[["a\ufffdb","c"]]'),
        (pa.StructArray.from_arrays([BROKEN], ["s"]), '[{"s":"a\ufffdb"},{"s":"c"}]'),
        (pa.MapArray.from_arrays(pa.array([0, 2]), pa.array(["k", "l"]), BROKEN), '[[["k","a\ufffdb"],["l","c"]]]'),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_any_arrow_value_has_its_json(array: pa.Array, text: str) -> None:
    assert to_json(plain(array)).decode() == text
