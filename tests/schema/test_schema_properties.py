"""What holds for every schema: it is carried or refused by name, and no valid value is lost or changed."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.check.answer import Judge
from pipeline.local.structured import verdict
from pipeline.records import Answer, Outcome, Rejection, Reply, Status, Usage
from pipeline.schema.arrow import column, fields
from pipeline.schema.load import Schema
from pipeline.schema.tool import tool
from pipeline.schema.validator import compiled
from pipeline.schema.wire import MAX_OPTIONAL, MAX_UNIONS, Unfit, native
from pipeline.write.table_columns import Columns
from tests.schema.columns import read_back, same, without_nulls
from tests.schema.schema_strategies import damaged, loaded, near, values
from tests.schema.schema_suite import reference

Pair = tuple[Schema, dict[str, Any]]

_quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NO_INPUT = pa.RecordBatch.from_pydict({"id": [0, 1, 2]})
of_any_draft = loaded(drafts=("2020-12", "draft-07"))


def reply(text: str) -> Reply:
    return Reply(text, "[]", "end_turn", "claude-haiku-5-5", "msg_1", None, Usage(), 0.1, 0.0, 1)


def outcome(position: int, verdict: Answer | Rejection) -> Outcome:
    """The row as a run records it."""
    if isinstance(verdict, Rejection):
        return Outcome(position, verdict.status, verdict.error)
    text = json.dumps(verdict.value, ensure_ascii=False, allow_nan=False)
    return Outcome(position, Status.OK_REPAIRED if verdict.repairs else Status.OK, None, text, verdict.repairs)


@_quick
@given(of_any_draft)
def test_the_api_form_is_one_that_the_api_takes_or_refused_with_a_reason(pair: Pair) -> None:
    form = native(pair[0])
    event(type(form).__name__)
    if isinstance(form, Unfit):
        assert form.reason
        return
    judged = verdict(json.dumps(form.schema))  # the embedded server's, which shares no code with ours
    assert judged.fault is None
    assert judged.optional <= MAX_OPTIONAL
    assert judged.unions <= MAX_UNIONS


@_quick
@given(loaded(drafts=("2020-12", "draft-07"), of_kind="plain"), st.data())
def test_every_valid_answer_of_declared_properties_can_be_written_in_the_api_form(pair: Pair, data: st.DataObject) -> None:
    schema, answer = pair
    form = native(schema)
    if isinstance(form, Unfit):
        return
    ours, theirs = compiled(schema.document, schema.draft), reference(form.schema, "2020-12")
    assert theirs.is_valid(answer)
    for _ in range(5):
        other = data.draw(near(answer, more=False))
        if ours.is_valid(other):
            event("the same" if same(other, answer) else "another valid answer")
            assert theirs.is_valid(other)


@_quick
@given(loaded(of_kind="exact"), values, st.data())
def test_where_nothing_moved_the_api_form_admits_what_the_schema_admits(pair: Pair, other: Any, data: st.DataObject) -> None:
    schema, answer = pair
    form = native(schema)
    if isinstance(form, Unfit) or form.moved:
        return
    event("nothing moved")
    sent, kept = compiled(form.schema, "2020-12"), compiled(schema.document, "2020-12")
    for changed in (data.draw(near(answer)), *({**answer, name: other} for name in schema.properties)):
        assert sent.is_valid(changed) == kept.is_valid(changed)


@_quick
@given(of_any_draft, st.data())
def test_a_tool_admits_every_valid_answer(pair: Pair, data: st.DataObject) -> None:
    schema, answer = pair
    ours, theirs = compiled(schema.document, schema.draft), reference(tool(schema), "2020-12")
    Draft202012Validator.check_schema(tool(schema))
    for other in (answer, data.draw(near(answer))):
        assert theirs.is_valid(other) or not ours.is_valid(other)


@_quick
@given(of_any_draft, values, st.data())
def test_the_two_validators_agree_on_what_people_write(pair: Pair, other: Any, data: st.DataObject) -> None:
    schema, answer = pair
    # Only ours asserts formats, and the digits of `re` are those of all scripts.
    if '"pattern' in schema.text or '"format"' in schema.text:
        return
    ours, theirs = compiled(schema.document, schema.draft), reference(schema.document, schema.draft)
    for name in schema.properties:
        for judged in (answer, {**answer, name: other}, data.draw(near(answer))):
            assert ours.is_valid(judged) == theirs.is_valid(judged)


@_quick
@given(of_any_draft)
def test_a_valid_value_reads_back_equal_from_its_column_or_has_a_reason(pair: Pair) -> None:
    schema, answer = pair
    for name, field in zip(schema.properties, fields(schema), strict=True):
        array, reasons = column([None, answer[name], None], field)
        assert array.type == field.type
        assert array[0].as_py() is None
        if reasons:
            event("reason")
            assert list(reasons) == [1]
            assert array[1].as_py() is None
        else:
            assert same(without_nulls(read_back(array[1].as_py(), field)), without_nulls(answer[name]))


@_quick
@given(loaded(), values)
def test_a_value_of_any_shape_is_carried_exactly_or_refused_with_a_reason(pair: Pair, value: Any) -> None:
    for field in fields(pair[0]):
        array, reasons = column([value], field)
        if not reasons:
            assert same(without_nulls(read_back(array[0].as_py(), field)), without_nulls(value))


@_quick
@given(of_any_draft, st.data(), st.sampled_from(["off", "wrappers", "full"]))
def test_a_damaged_reply_becomes_a_row_whose_cells_are_a_valid_answer_or_that_has_a_status(
    pair: Pair, data: st.DataObject, repair: Any
) -> None:
    schema, answer = pair
    judge = Judge(schema, repair)
    columns = Columns.plan(NO_INPUT.schema, (), fields(schema), "p_")
    outcomes = [outcome(number, judge.judge(reply(data.draw(damaged(answer))))) for number in range(3)]
    piece = columns.rows(NO_INPUT.slice(0, 3), outcomes)
    table = piece.table
    assert table.num_rows == 3
    for row, ended in zip(table.to_pylist(), piece.outcomes, strict=True):
        event(ended.status)
        held = {field.name: read_back(row[f"p_{field.name}"], field) for field in columns.answers}
        if ended.answer is None:
            assert row["_error"]
            assert set(held.values()) == {None}
        else:
            judged = json.loads(ended.answer)
            assert compiled(schema.document, schema.draft).is_valid(judged)
            assert same(without_nulls(held), without_nulls(judged))
