"""What a config says of its text files: encoding, delimiter, types. What does not fit it is told, never bent."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.read.format import Told
from pipeline.read.kinds import KINDS
from pipeline.read.source import Source, manner, open_source
from pipeline.read.stream import BLOCK_BYTES


def written(folder: Path, content: str | bytes, name: str = "in.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(source: Source, columns: list[str] | None = None) -> tuple[list[dict[str, Any]], dict[int, str]]:
    records: list[dict[str, Any]] = []
    faults: dict[int, str] = {}
    for batch in source.batches(columns, max_rows=2):
        faults |= {len(records) + offset: fault for offset, fault in batch.faults.items()}
        records += batch.table.to_pylist()
    return records, faults


def told(path: Path, **what: Any) -> tuple[list[dict[str, Any]], dict[int, str]]:
    return read(open_source([str(path)], told=Told(**what)))


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8"])
@pytest.mark.parametrize(
    ("name", "content"), [("in.csv", "id,text\n1,Ä\n2,é\r\n"), ("in.jsonl", '{"id":"1","text":"Ä"}\n{"id":"2","text":"é"}')]
)
def test_a_text_file_is_read_in_the_encoding_that_it_has(tmp_path: Path, name: str, content: str, encoding: str) -> None:
    path = written(tmp_path, content.encode(encoding), name)
    assert told(path, encoding=encoding) == ([{"id": "1", "text": "Ä"}, {"id": "2", "text": "é"}], {})
    assert f"{encoding} (input.encoding)" in manner(path, Told(encoding=encoding))


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"\0'), max_size=40), pad=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_characters_may_lie_across_blocks(text: str, pad: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), f'text,x\n"{"a" * (BLOCK_BYTES // 2 - 20 + pad)}{text}",1\n'.encode("utf-16"))
        [record], faults = told(path, encoding="utf-16")
    assert record["text"].lstrip("a") == text.lstrip("a")
    assert not faults


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        pytest.param(
            b"id,text\n1,caf\xe9 noir\n", None, "line 2: byte 13 of the text is 0xe9, which is not UTF-8", id="Latin-1"
        ),
        pytest.param(
            b"id,text\n1,caf\xe9 noir\n", None, "it stands in: '1,café noir'. If that reads right, set input.encoding: cp1252",
            id="an offer",
        ),
        pytest.param(b"id,text\n1,\x81\n", None, "Nor is it cp1252", id="no offer"),
        pytest.param("id,text\n1,a\n".encode("utf-16"), None, "Set input.encoding: utf-16", id="UTF-16"),
        pytest.param(b"id,text\n1,a\n2,\x81\n", "cp1252", "line 3: byte 14 is not cp1252", id="not cp1252"),
        pytest.param("id,text\n1,a\n".encode("utf-16")[:-1], "utf-16", "line 2: byte 24 is not utf-16", id="cut"),
        pytest.param(b"\xef\xbb\xbfid,text\n1,a\n", "cp1252", "begins with the byte order mark of utf-8", id="UTF-8 mark"),
        pytest.param("id,text\n".encode("utf-16"), "latin-1", "begins with the byte order mark of utf-16", id="UTF-16 mark"),
    ],
)  # fmt: skip
def test_what_is_not_in_its_encoding_is_refused_with_its_place(
    tmp_path: Path, content: bytes, encoding: str | None, said: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputUnreadable) as caught:
        told(path, encoding=encoding)
    assert said in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("content", "delimiter", "expected", "shown"),
    [
        pytest.param("id;text\n1;a\n", None, ["1", "a"], 'cut at semicolons (by its header), quoted by "', id="found"),
        pytest.param("id~text\n1~a\n", "~", ["1", "a"], 'cut at ~ (input.delimiter), quoted by "', id="told"),
        pytest.param("a;b,c;d\n1;2,3;4\n", ",", ["1;2", "3;4"], "cut at commas (input.delimiter)", id="against the header"),
        pytest.param("'id','text'\n'1','it''s, so'\n", None, ["1", "it's, so"], "cut at commas (by its header), quoted by '",
                     id="apostrophes"),
        pytest.param("'id',text\n'1',b\n", None, ["'1'", "b"], 'quoted by "', id="one apostrophe is none"),
    ],
)  # fmt: skip
def test_what_cuts_a_line_is_found_or_told_and_shown(
    tmp_path: Path, content: str, delimiter: str | None, expected: list[str], shown: str
) -> None:
    path = written(tmp_path, content)
    [record], faults = told(path, delimiter=delimiter)
    assert list(record.values()) == expected
    assert not faults
    assert shown in manner(path, Told(delimiter=delimiter))


def test_a_tsv_can_be_told_another_delimiter(tmp_path: Path) -> None:
    path = written(tmp_path, "a;b\n1;2\n", "in.tsv")
    assert told(path, delimiter=";")[0] == [{"a": "1", "b": "2"}]
    assert "by its suffix" in manner(path, Told())


FITS = [
    ("text", " 007 ", " 007 "),
    ("int", "007", 7),
    ("int", " -9223372036854775808 ", -(2**63)),
    ("float", "-1.5e3", -1500.0),
    ("float", ".5", 0.5),
    ("bool", "TRUE", True),
    ("bool", "no", False),
    ("date", "2026-11-25", date(2026, 11, 25)),
    ("date", "0001-01-01", date(1, 1, 1)),
    ("datetime", "2026-11-25 14:30", datetime(2026, 11, 25, 14, 30)),  # noqa: DTZ001 that is the point
    ("datetime", "1969-12-31T23:59:59.999999", datetime(1969, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001
    ("timestamp", "2026-11-25T14:30:00+01:00", datetime(2026, 11, 25, 13, 30, tzinfo=UTC)),
    ("timestamp", "2026-11-25 14:30Z", datetime(2026, 11, 25, 14, 30, tzinfo=UTC)),
]
MISFITS = [
    *[("int", text) for text in ("1.0", "1e3", "9223372036854775808", "1_000", "1,000", "٣", "0x1f", "--1", "9" * 5000)],
    *[("float", text) for text in ("1,5", "nan", "inf", "1e400", "1_0", "$3", ".")],
    *[("bool", text) for text in ("maybe", "2", "wahr")],
    *[("date", text) for text in ("25.11.2026", "2026-02-30", "2026-11-25 10:00", "20261125", "0000-01-01")],
    *[("datetime", text) for text in ("2026-11-25", "2026-11-25T14:30Z", "2026-11-25 25:00", "2026-11-25 10:00:00.1234567")],
    *[("timestamp", text) for text in ("2026-11-25T14:30:00", "2026-11-25T14:30:00+99:00", "0001-01-01T00:00:00+14:00")],
]


@pytest.mark.parametrize(("kind", "text", "value"), FITS)
@pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
def test_a_cell_becomes_what_its_column_was_told_to_be(tmp_path: Path, name: str, kind: str, text: str, value: object) -> None:
    content = f'id,v\n1,"{text}"\n2,\n' if name == "in.csv" else f'{{"id":"1","v":"{text}"}}\n{{"id":"2","v":null}}'
    source = open_source([str(written(tmp_path, content, name))], told=Told(types={"v": kind}))
    assert source.schema.field("v").type == KINDS[kind].type
    missing = "" if (kind, name) == ("text", "in.csv") else None
    assert read(source) == ([{"id": "1", "v": value}, {"id": "2", "v": missing}], {})


@pytest.mark.parametrize(("kind", "text"), MISFITS)
@pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
@pytest.mark.parametrize("columns", [None, ["id"]])
def test_a_cell_that_does_not_fit_is_a_fault_whoever_asks(
    tmp_path: Path, name: str, kind: str, text: str, columns: list[str] | None
) -> None:
    content = f'id,v\n0,\n1,"{text}"\n2,\n' if name == "in.csv" else f'{{"id":"0"}}\n{{"id":"1","v":"{text}"}}\n{{"id":"2"}}'
    path = written(tmp_path, content, name)
    records, faults = read(open_source([str(path)], told=Told(types={"v": kind})), columns)
    assert [record["id"] for record in records] == ["0", "1", "2"]
    assert columns or records[1]["v"] is None
    assert list(faults) == [1]
    assert faults[1].startswith(f"{path}: line {3 if name == 'in.csv' else 2}: column 'v' holds '{text[:60]}")
    assert f"(input.types.v: {kind})" in faults[1]


def test_values_of_json_are_read_as_their_text(tmp_path: Path) -> None:
    lines = '{"i":1,"f":1,"t":1.0,"b":true}\n{"i":"2","f":"0.5","t":{"a":1},"b":"no"}\n{"i":2.5,"f":true,"t":1e400,"b":3}\n'
    source = open_source(
        [str(written(tmp_path, lines, "in.jsonl"))], told=Told(types={"i": "int", "f": "float", "t": "text", "b": "bool"})
    )
    records, faults = read(source)
    assert records == [
        {"i": 1, "f": 1.0, "t": "1.0", "b": True},
        {"i": 2, "f": 0.5, "t": '{"a":1}', "b": False},
        {"i": None, "f": None, "t": None, "b": None},
    ]
    assert list(faults) == [2]


def test_ragged_records_keep_their_fault_and_their_typed_cells(tmp_path: Path) -> None:
    path = written(tmp_path, "id,n\n1,2,3\n4\n5,x,y\n")
    records, faults = told(path, types={"n": "int"})
    assert records == [{"id": "1", "n": 2}, {"id": "4", "n": None}, {"id": "5", "n": None}]
    assert [fault.split(": ")[2] for fault in faults.values()] == [
        "3 cells where the header has 2",
        "1 cells where the header has 2",
        "3 cells where the header has 2",
    ]


def test_files_told_the_same_types_join(tmp_path: Path) -> None:
    written(tmp_path, "id,n\n1,2\n", "a.csv")
    written(tmp_path, '{"id":"3","n":4}\n', "b.jsonl")
    source = open_source([str(tmp_path / "a.csv"), str(tmp_path / "b.jsonl")], told=Told(types={"n": "int"}))
    assert read(source)[0] == [{"id": "1", "n": 2}, {"id": "3", "n": 4}]


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        ("in.csv", {"types": {"m": "int"}}, "input.types: the input has no column 'm'"),
        ("in.jsonl", {"delimiter": ";"}, "input.delimiter: "),
        ("in.parquet", {"delimiter": ";"}, "input.delimiter: "),
        ("in.parquet", {"encoding": "cp1252"}, "input.encoding: "),
        ("in.parquet", {"types": {"n": "int"}}, "input.types: "),
    ],
)
def test_what_is_said_of_files_that_are_not_there_is_refused(
    tmp_path: Path, name: str, what: dict[str, Any], said: str
) -> None:
    written(tmp_path, "n,o\n1,2\n", "in.csv")
    written(tmp_path, '{"n":1}\n', "in.jsonl")
    pq.write_table(pa.table({"n": [1]}), tmp_path / "in.parquet")
    with pytest.raises(ConfigInvalid) as caught:
        told(tmp_path / name, **what)
    assert said in caught.value.message
