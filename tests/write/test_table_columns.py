from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.records import Outcome, Status
from pipeline.write.table_columns import OWN, Columns

INPUTS = pa.schema([("id", pa.int64()), ("text", pa.string()), ("label", pa.string()), ("_status", pa.string())])
LABEL = (pa.field("label", pa.string()),)
OUTCOME = [Outcome(0, Status.PENDING)]


def test_kept_input_then_answers_then_ours() -> None:
    columns = Columns.plan(INPUTS, ("text", "id"), LABEL, "a_")
    assert columns.schema.names == ["text", "id", "a_label", *(field.name for field in OWN)]


def test_a_prefix_keeps_an_answer_apart_from_the_input() -> None:
    columns = Columns.plan(INPUTS, ("label",), LABEL, "model_")
    inputs = pa.RecordBatch.from_pydict({"label": ["gold"]})
    rows = columns.rows(inputs, [Outcome(0, Status.OK, answer='{"label":"given","model_label":"no"}')]).table
    assert rows.column("label").to_pylist() == ["gold"]
    assert rows.column("model_label").to_pylist() == ["given"]


def test_an_answer_field_keeps_what_the_schema_says_of_it() -> None:
    field = pa.field("label", pa.string(), metadata={"json_schema": "{}"})
    assert Columns.plan(INPUTS, (), [field], "p_").schema.field("p_label").metadata == {b"json_schema": b"{}"}


def test_all_faults_come_at_once_with_advice() -> None:
    twice = pa.schema([*INPUTS, pa.field("double", pa.int8()), pa.field("double", pa.int8())])
    with pytest.raises(ConfigInvalid) as caught:
        Columns.plan(twice, ("textt", "id", "id", "label", "_status", "double"), [*LABEL, pa.field("_error", pa.string())])
    assert caught.value.faults == (
        "output.keep: the input has no column 'textt'; did you mean 'text'?",
        "output.keep: the input has several columns 'double'; leave it out",
        "output.keep: 'id' is named twice",
        "'label' is an input column and an answer: set output.prefix, or leave the input column out of output.keep",
        "the answer '_error' has the name of a column of ours: set output.prefix",
        "the input column '_status' has the name of a column of ours: list in output.keep only the others",
    )


def test_an_unknown_column_far_from_all_is_answered_with_the_list() -> None:
    with pytest.raises(ConfigInvalid, match="it has 'id', 'text', 'label', '_status'"):
        Columns.plan(INPUTS, ("zzzzzz",), ())


def test_an_input_column_that_is_not_kept_hides_nothing() -> None:
    assert Columns.plan(INPUTS, ("id",), LABEL).schema.names[:2] == ["id", "label"]


def test_a_column_that_a_later_file_lacks_is_null_there() -> None:
    columns = Columns.plan(INPUTS, ("id", "text"), ())
    rows = columns.rows(pa.RecordBatch.from_pydict({"text": ["x"]}), OUTCOME).table
    assert rows.column("id").to_pylist() == [None]


def test_a_column_of_another_width_in_a_later_file_is_carried() -> None:
    columns = Columns.plan(INPUTS, ("id",), ())
    rows = columns.rows(pa.RecordBatch.from_pydict({"id": pa.array([7], pa.int8())}), OUTCOME).table
    assert rows.column("id").to_pylist() == [7]


def test_a_column_of_another_kind_in_a_later_file_is_named() -> None:
    columns = Columns.plan(INPUTS, ("id",), ())
    with pytest.raises(InputUnreadable, match="column 'id' is int64 in the first file, but string in another"):
        columns.rows(pa.RecordBatch.from_pydict({"id": ["seven"]}), OUTCOME)


def test_metadata_of_the_input_stays_behind() -> None:
    schema = pa.schema([pa.field("id", pa.int64(), metadata={"PARQUET:field_id": "1"})], metadata={"pandas": "{}"})
    columns = Columns.plan(schema, "all", ())
    assert columns.schema.metadata is None
    assert columns.schema.field("id").metadata is None


def test_some_jobs_have_further_columns_behind_all_others() -> None:
    columns = Columns.plan(INPUTS, ("id",), LABEL, "a_", further=("_pieces", "_left_out"))
    assert columns.schema.names[-3:] == ["_raw", "_pieces", "_left_out"]
    inputs = pa.RecordBatch.from_pydict({"id": [1, 2]})
    table = columns.rows(inputs, [Outcome(0, Status.PENDING), Outcome(1, Status.PENDING, pieces=3, left_out=5)]).table
    assert table.select(["_pieces", "_left_out"]).to_pylist() == [
        {"_pieces": 1, "_left_out": 0},
        {"_pieces": 3, "_left_out": 5},
    ]
    hidden = [pa.field("_pieces", pa.string())]
    with pytest.raises(ConfigInvalid, match="the answer '_pieces' has the name of a column of ours"):
        Columns.plan(INPUTS, ("id",), hidden, further=("_pieces",))
    assert "_pieces" in Columns.plan(INPUTS, ("id",), hidden).schema.names
