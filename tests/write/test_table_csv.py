from __future__ import annotations

import csv
import io
import json
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.write.table_csv import CsvTable, defused, restored

TRIGGERS = tuple("=+-@\t\r")


def written(column: list[object], kind: pa.DataType | None = None) -> list[str]:
    """The cells of one column, as a CSV reader finds them."""
    array = pa.array(column, kind)
    file = io.BytesIO()
    table = CsvTable(file, pa.schema([("column", array.type)]))
    table.write(pa.RecordBatch.from_arrays([array], ["column"]))
    table.finish("")
    header, *cells = csv.reader(io.StringIO(file.getvalue().decode(), newline=""))
    assert header == ["column"]
    return [cell for (cell,) in cells]


@given(st.text() | st.text("'=+-@\t\r\nx"))
def test_no_cell_is_a_formula_and_every_cell_can_be_restored(text: str) -> None:
    assert not defused(text).startswith(TRIGGERS)
    assert restored(defused(text)) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("-", "'-"),
        ("'=1+1", "''=1+1"),
        ("''@x", "'''@x"),
        ("'tis", "'tis"),
        ("'", "'"),
        ("", ""),
        (" =1", " =1"),
        ("a=1", "a=1"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
    ],
)
def test_only_what_needs_it_gets_an_apostrophe(text: str, cell: str) -> None:
    assert defused(text) == cell
    assert restored(cell) == text


def test_the_naughty_strings_come_back_equal() -> None:
    source = Path(__file__).parents[3] / "shared" / "suites" / "blns" / "blns.json"
    if not source.exists():
        pytest.skip("the Big List of Naughty Strings is not beside this checkout")
    naughty = json.loads(source.read_text(encoding="utf-8"))
    cells = written(naughty)
    assert [restored(cell) for cell in cells] == [text.replace("\0", "␀") for text in naughty]
    assert not [cell for cell in cells if cell.startswith(TRIGGERS)]


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_texts_come_back_equal(texts: list[str]) -> None:
    assert [restored(cell) for cell in written(list(texts))] == [text.replace("\0", "␀") for text in texts]


def test_numbers_stand_as_they_are() -> None:
    assert written([-5, None, 2**63 - 1]) == ["-5", "", str(2**63 - 1)]
    assert written([-0.1, float("-inf"), 1e22]) == ["-0.1", "-inf", "1e+22"]
    assert written([True, False]) == ["true", "false"]
    assert written([Decimal("-1.50")]) == ["-1.50"]
    assert written([timedelta(seconds=-1.5)]) == ["-1.5"]


def test_what_has_no_form_of_its_own_is_text() -> None:
    assert written([uuid.UUID(int=7).bytes], pa.uuid()) == ["00000000-0000-0000-0000-000000000007"]


def test_nested_values_are_json_text() -> None:
    assert written([{"a": [1, None], "b": "=x"}]) == ['{"a":[1,null],"b":"=x"}']


def test_nothing_is_noted_where_nothing_was_defused() -> None:
    table = CsvTable(io.BytesIO(), pa.schema([("column", pa.string())]))
    assert table.finish("") is None


def test_a_header_is_a_cell_too() -> None:
    file = io.BytesIO()
    CsvTable(file, pa.schema([("=cmd()", pa.string())]))
    assert file.getvalue() == b"'=cmd()\r\n"
