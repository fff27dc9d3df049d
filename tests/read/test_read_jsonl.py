"""JSONL: every line that holds something is a row, in types that all lines share."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputUnreadable
from pipeline.read.jsonl import MOST_COLUMNS
from pipeline.read.source import Source, open_source

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FRACTIONS = st.floats(allow_nan=False, allow_infinity=False)


def source(tmp_path: Path, *lines: str | bytes, name: str = "in.jsonl") -> Source:
    path = tmp_path / name
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return open_source([str(path)])


def read(opened: Source, max_rows: int = 1024) -> tuple[list[dict[str, object]], dict[int, str]]:
    records: list[dict[str, object]] = []
    faults: dict[int, str] = {}
    for batch in opened.batches(max_rows=max_rows):
        faults |= {len(records) + offset: fault for offset, fault in batch.faults.items()}
        records += batch.table.to_pylist()
    return records, faults


def column(tmp_path: Path, *values: str) -> tuple[pa.DataType, list[object]]:
    """The type and the values of column `v` when its values stand in the file as given."""
    opened = source(tmp_path, *(f'{{"v":{value}}}' for value in values))
    records, faults = read(opened)
    assert not faults
    return opened.schema.field("v").type, [record["v"] for record in records]


@given(
    records=st.lists(
        st.fixed_dictionaries({"s": TEXTS}, optional={"i": INTEGERS, "f": FRACTIONS, "b": st.booleans()}), min_size=1
    ),
    max_rows=st.integers(1, 5),
)
def test_what_was_written_reads_back_equal(records: list[dict[str, object]], max_rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found, faults = read(source(Path(folder), *map(json.dumps, records)), max_rows)
    names = list(dict.fromkeys(name for record in records for name in record))
    assert found == [{name: record.get(name) for name in names} for record in records]
    assert not faults


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        pytest.param(["true", "null"], pa.bool_(), [True, None], id="bool"),
        pytest.param(["1", "-9223372036854775808"], pa.int64(), [1, -(2**63)], id="int64"),
        pytest.param(["1", "2.5", "null"], pa.float64(), [1.0, 2.5, None], id="numbers"),
        pytest.param(["9007199254740993", "0.5"], pa.string(), ["9007199254740993", "0.5"], id="a double would round"),
        pytest.param(["18446744073709551616", "1"], pa.string(), ["18446744073709551616", "1"], id="beyond int64"),
        pytest.param(["true", "1"], pa.string(), ["true", "1"], id="a bool is no number"),
        pytest.param(['"a"', "1", "null"], pa.string(), ["a", "1", None], id="a string stands as it is"),
        pytest.param(['{"a":["é",1.0]}'], pa.string(), ['{"a":["é",1.0]}'], id="objects as JSON text"),
        pytest.param(["[]", '"[]"'], pa.string(), ["[]", "[]"], id="arrays as JSON text"),
        pytest.param(["null"], pa.string(), [None], id="only nulls"),
    ],
)
def test_types(tmp_path: Path, values: list[str], kind: pa.DataType, expected: list[object]) -> None:
    found = column(tmp_path, *values)
    assert found == (kind, expected)
    assert [type(value) for value in found[1]] == [type(value) for value in expected]


def test_columns_come_in_the_order_of_first_appearance(tmp_path: Path) -> None:
    opened = source(tmp_path, '{"b":1}', '{"a":2,"b":3}', '{"c":4}')
    assert opened.schema.names == ["b", "a", "c"]
    assert read(opened)[0] == [{"b": 1, "a": None, "c": None}, {"b": 3, "a": 2, "c": None}, {"b": None, "a": None, "c": 4}]


def test_a_late_line_settles_the_type_of_all(tmp_path: Path) -> None:
    opened = source(tmp_path, *['{"v":1}'] * 3000, '{"v":"x"}')
    assert opened.schema.field("v").type == pa.string()


def test_it_does_not_matter_how_objects_are_spread_over_files(tmp_path: Path) -> None:
    lines = ['{"v":1}', '{"w":2,"v":"x"}']
    whole = read(source(tmp_path, *lines))
    for number, line in enumerate(lines):
        (tmp_path / f"part{number}.jsonl").write_text(line)
    assert read(open_source([str(tmp_path / "part*.jsonl")])) == whole


def test_blank_lines_and_a_byte_order_mark_are_no_records(tmp_path: Path) -> None:
    assert read(source(tmp_path, b'\xef\xbb\xbf{"v":1}\r', b"", b" \t\r", b'{"v":2}', b"")) == ([{"v": 1}, {"v": 2}], {})


@pytest.mark.parametrize(
    ("line", "kept", "fault"),
    [
        pytest.param('{"v":1,"t":', None, "is not JSON: EOF while parsing a value at character 11", id="cut short"),
        pytest.param("[1]", None, "is not a JSON object", id="an array"),
        pytest.param("hello", None, "is not JSON", id="text"),
        pytest.param('{"v":1,"t":"a\\ud83d"}', {"v": 1, "t": "a?"}, "is not JSON", id="half a surrogate pair"),
        pytest.param('{"v":NaN,"t":"a"}', {"v": None, "t": "a"}, "is not JSON", id="NaN"),
        pytest.param('{"v":1e400,"t":"a"}', {"v": None, "t": "a"}, "'v' is beyond the range of a double", id="1e400"),
        pytest.param('{"v":1,"t":[1e400]}', {"v": 1, "t": None}, "'t' holds a number beyond", id="1e400 inside"),
        pytest.param('{"v":1,"t":' + "9" * 5000 + "}", None, "number out of range", id="5,000 digits"),
        # Python 3.14 reads some 50,000 levels, those before it some 1,000.
        pytest.param('{"v":1,"t":' + "[" * 200_000 + "]" * 200_000 + "}", None, "is not JSON", id="nested 200,000 deep"),
    ],
)
@pytest.mark.parametrize("max_rows", [1, 1024])
def test_a_line_that_is_no_object_is_kept_with_a_fault(
    tmp_path: Path, line: str, kept: dict[str, object] | None, fault: str, max_rows: int
) -> None:
    opened = source(tmp_path, '{"v":0.5,"t":"good"}', "", line, '{"v":1.5,"t":"good"}')
    records, faults = read(opened, max_rows)
    assert records == [{"v": 0.5, "t": "good"}, kept or {"v": None, "t": None}, {"v": 1.5, "t": "good"}]
    assert list(faults) == [1]
    assert faults[1].startswith(f"{opened.files[0]}: line 3: ")
    assert fault in faults[1]


def test_a_faulty_line_does_not_change_the_types(tmp_path: Path) -> None:
    opened = source(tmp_path, '{"v":1}', '{"v":NaN,"x":2}')
    assert opened.schema == pa.schema([("v", pa.int64())])


def test_a_value_that_changed_its_type_since_the_first_pass_is_a_fault(tmp_path: Path) -> None:
    opened = source(tmp_path, '{"i":1,"b":true,"f":0.5}', '{"i":2,"b":true,"f":0.5}')
    Path(str(opened.files[0])).write_text('{"i":true,"b":1,"f":"x"}\n{"i":2,"b":true,"f":1}')
    records, faults = read(opened)
    assert records == [{"i": None, "b": None, "f": None}, {"i": 2, "b": True, "f": 1.0}]
    assert list(faults) == [0]
    assert "another type than when the file was first read" in faults[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(["[", '{"v":1}', "]"][::2], "no line holds a JSON object with a key", id="no object"),
        pytest.param([], "no line holds a JSON object", id="empty"),
        pytest.param(['{"v":"a"}', b'{"v":"caf\xe9"}'], "line 2: byte 19 of the text is 0xe9", id="not UTF-8"),
        pytest.param([f'{{"id{n}":1}}' for n in range(MOST_COLUMNS + 1)], "more than 10000 different keys", id="by id"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, lines: list[str | bytes], said: str) -> None:
    with pytest.raises(InputUnreadable) as caught:
        source(tmp_path, *lines)
    assert said in caught.value.message
    assert str(tmp_path) in caught.value.message


@given(content=st.binary(max_size=200) | st.text('{}[]":,ab1.e-\n\\u', max_size=60).map(str.encode))
def test_any_bytes_read_or_are_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            records, faults = read(source(Path(folder), content))
        except InputUnreadable:
            return
    assert all(0 <= offset < len(records) for offset in faults)
