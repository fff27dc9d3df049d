"""Hard schemas, from the file to the table: no meaning changes in silence, and no valid value is lost or altered."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.local.structured import verdict
from pipeline.schema.arrow import JSON_SCHEMA, fields
from pipeline.schema.load import Schema, load
from pipeline.schema.tool import tool
from pipeline.schema.validator import compiled
from pipeline.schema.wire import Native, Unfit, native
from pipeline.write.table_csv import restored
from tests.api import Asked, Canned, message, serving
from tests.jobs import JobFolder
from tests.schema.columns import TEXT, read_back, same, spelled, without_nulls
from tests.schema.hard_schemas import CARRIED, DEFINITIONS, HARD, REFUSED, Hard, closed
from tests.schema.schema_suite import reference


def document(hards: Sequence[Hard]) -> dict[str, Any]:
    """A schema with a property for each."""
    return {**closed(**{f"h{number}": hard.node for number, hard in enumerate(hards)}), "$defs": DEFINITIONS}


def loaded(hard: Hard) -> Schema:
    return load(json.dumps(document([hard])), "hard.json")


def test_there_are_enough_and_each_has_values() -> None:
    assert len(HARD) >= 50
    assert all(hard.valid for hard in HARD)


@pytest.mark.parametrize("hard", HARD, ids=str)
def test_the_schema_means_what_it_says(hard: Hard) -> None:
    judge = compiled(loaded(hard).document, "2020-12")
    assert [value for value in (*hard.valid, *hard.uncarried) if not judge.is_valid({"h0": value})] == []
    assert [value for value in hard.invalid if judge.is_valid({"h0": value})] == []


@pytest.mark.parametrize("hard", CARRIED, ids=str)
def test_the_api_form_admits_every_valid_value_and_names_what_it_cannot_say(hard: Hard) -> None:
    form = native(loaded(hard))
    assert isinstance(form, Native), form
    properties = form.schema["properties"]
    assert isinstance(properties, dict)
    assert properties["h0"] == (hard.node if hard.sent is None else hard.sent)
    assert form.moved == tuple(f"/properties/h0{moved}" for moved in hard.moved)
    assert verdict(json.dumps(form.schema)).fault is None
    judge = reference(form.schema, "2020-12")
    assert [value for value in (*hard.valid, *hard.uncarried) if not judge.is_valid({"h0": value})] == []
    if not hard.moved:
        ours = compiled(form.schema, "2020-12")
        assert [value for value in hard.invalid if ours.is_valid({"h0": value})] == []


@pytest.mark.parametrize("hard", REFUSED, ids=str)
def test_what_the_api_form_would_change_is_refused_and_a_tool_takes_it_whole(hard: Hard) -> None:
    schema = loaded(hard)
    form = native(schema)
    assert isinstance(form, Unfit)
    assert hard.sent in form.reason
    judge = reference(tool(schema), "2020-12")
    assert all(judge.is_valid({"h0": value}) for value in hard.valid)
    assert not any(judge.is_valid({"h0": value}) for value in hard.invalid)


@pytest.mark.parametrize("hard", HARD, ids=str)
def test_the_column_has_the_type_of_the_schema(hard: Hard) -> None:
    (field,) = fields(loaded(hard))
    assert spelled(field) == hard.column


PER_JOB = 11
"""Fewer than the 16 unions that one request may have."""
JOBS = [group[at : at + PER_JOB] for group in (CARRIED, REFUSED) for at in range(0, len(group), PER_JOB)]


def echo(asked: Asked) -> Canned:
    """The answer is the document, given back in the form that was asked for."""
    if "tools" not in asked.body:
        return message(asked.text)
    block = {"type": "tool_use", "id": "toolu_1", "name": asked.body["tools"][0]["name"], "input": json.loads(asked.text)}
    return message("", content=[block], stop_reason="tool_use")


def answers(hards: Sequence[Hard]) -> list[tuple[dict[str, Any], str]]:
    """Answers with the status that their rows must get."""

    def plain(turn: int) -> dict[str, Any]:
        return {f"h{number}": hard.valid[turn % len(hard.valid)] for number, hard in enumerate(hards)}

    right = [(plain(turn), "ok") for turn in range(max(len(hard.valid) for hard in hards))]
    wrong = [
        ({**plain(turn), f"h{number}": value}, "invalid_output")
        for number, hard in enumerate(hards)
        for turn, value in enumerate((*hard.invalid, *hard.uncarried))
    ]
    return right + wrong


def cells(path: Path, names: Sequence[str], kinds: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows of a text format, each cell as the JSON that it stands for."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
    with path.open(newline="", encoding="utf-8") as file:
        rows: list[dict[str, Any]] = [*csv.DictReader(file)]
    for row in rows:
        for name, kind in zip(names, kinds, strict=True):
            cell = restored(row[name])
            row[name] = None if cell == "" else cell if kind in ("string", TEXT) else json.loads(cell)
    return rows


def in_csv(value: Any, kind: Any) -> Any:
    """A CSV cell holds no NUL, and an empty one is null."""
    return (value.replace("\0", "\u2400") or None) if kind == "string" and value is not None else value


@pytest.mark.parametrize("hards", JOBS, ids=lambda hards: f"{hards[0]} and {len(hards) - 1} more")
def test_every_valid_value_comes_through_the_program_equal_and_every_other_has_a_status(
    hards: list[Hard], tmp_path: Path
) -> None:
    sent = answers(hards)
    texts = [json.dumps(answer) for answer, _ in sent]
    with serving(echo) as api:
        job = JobFolder(tmp_path / "job", texts, api.url, check={"asks": 1, "repair": "off"}, run={"max_failed": "100%"})
        (job.path / "schema.json").write_text(json.dumps(document(hards)))
        ended = job.run()
        assert ended.code == 0, ended.err
        for suffix in ("jsonl", "csv"):
            assert job.run("--output", f"out/out.{suffix}").summary["requests"] == 0
    assert all(("tools" in asked.body) is (hards[0] in REFUSED) for asked in api.asked)
    table = pq.read_table(job.path / "out" / "out.parquet")
    names = [f"h{number}" for number in range(len(hards))]
    kinds = [spelled(table.schema.field(name)) for name in names]
    assert kinds == [hard.column for hard in hards]
    for name, hard in zip(names, hards, strict=True):
        held = json.loads(table.schema.field(name).metadata[JSON_SCHEMA])
        assert all(compiled(held, "2020-12").is_valid(value) for value in hard.valid)
        assert not any(compiled(held, "2020-12").is_valid(value) for value in hard.invalid)
    for path in (None, job.path / "out" / "out.jsonl", job.path / "out" / "out.csv"):
        rows = table.to_pylist() if path is None else cells(path, names, kinds)
        assert [row["_status"] for row in rows] == [status for _, status in sent]
        for row, (answer, status) in zip(rows, sent, strict=True):
            for name, kind in zip(names, kinds, strict=True):
                wanted = without_nulls(answer[name]) if status == "ok" else None
                wanted = in_csv(wanted, kind) if path is not None and path.suffix == ".csv" else wanted
                assert same(without_nulls(read_back(row[name], table.schema.field(name))), wanted), (name, answer[name], path)


OLD = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "pair": {"type": "array", "items": [{"type": "string"}, {"$ref": "#/definitions/n"}], "additionalItems": False},
        "card": {"type": "object", "properties": {"no": True, "cvc": True}, "dependencies": {"no": ["cvc"]}},
        "n": {"$ref": "#/definitions/n", "type": "string"},
    },
    "required": ["pair", "n"],
    "definitions": {"n": {"type": "integer"}},
}
COMBINED = {
    "allOf": [{"$ref": "parts/base.json"}, {"properties": {"price": {"$ref": "parts/base.json#/$defs/money"}}}],
    "anyOf": [{"required": ["note"]}, {"required": ["price"]}],
}
FILES = {
    "parts/base.json": {
        "type": "object",
        "properties": {"label": {"$ref": "label.json"}, "note": {"type": ["string", "null"]}},
        "required": ["label"],
        "$defs": {"money": closed(amount={"type": "number"})},
    },
    "parts/label.json": {"enum": ["good", "bad"]},
}


@pytest.mark.parametrize("form", ["native", "tool"])
@pytest.mark.parametrize(
    ("root", "valid", "invalid", "columns"),
    [
        (
            OLD,
            [{"pair": ["a", 1], "n": 1}, {"pair": [], "n": 2, "card": {"no": 1, "cvc": 2}}],
            [{"pair": ["a", 1, 2], "n": 1}, {"pair": [], "n": "1"}, {"pair": [], "n": 1, "card": {"no": 1}}],
            {"pair": [TEXT], "card": TEXT, "n": "int64"},
        ),
        (
            COMBINED,
            [{"label": "good", "note": None}, {"label": "bad", "price": {"amount": 0.5}}],
            [{"label": "good"}, {"label": "fine", "note": "x"}, {"label": "bad", "price": {"amount": "1"}}],
            {"label": "string", "note": "string", "price": {"amount": "double"}},
        ),
    ],
    ids=["draft-07", "combined from several files"],
)
def test_roots_of_other_shapes_come_through_too(
    root: Any, valid: list[Any], invalid: list[Any], columns: Any, form: str, tmp_path: Path
) -> None:
    with serving(echo) as api:
        texts = [json.dumps(answer) for answer in (*valid, *invalid)]
        job = JobFolder(
            tmp_path / "job",
            texts,
            api.url,
            check={"asks": 1, "repair": "off"},
            model={"name": "claude-haiku-5-5", "format": form},
        )
        for name, held in {"schema.json": root, **FILES}.items():
            (job.path / name).parent.mkdir(exist_ok=True)
            (job.path / name).write_text(json.dumps(held))
        ended = job.run()
    if root is OLD and form == "native":
        assert ended.code == 78
        assert "/properties/pair: items with a schema for each place are not taken by the API" in ended.err
        return
    assert ended.code == 1, ended.err
    table = job.table()
    assert {name: spelled(table.schema.field(name)) for name in columns} == columns
    rows = table.to_pylist()
    assert [row["_status"] for row in rows] == ["ok"] * len(valid) + ["invalid_output"] * len(invalid)
    for row, answer in zip(rows, valid, strict=False):
        came = {name: read_back(row[name], table.schema.field(name)) for name in columns}
        assert same(without_nulls(came), without_nulls(answer))
    for asked in api.asked:
        sent = asked.body["tools"][0]["input_schema"] if form == "tool" else asked.body["output_config"]["format"]["schema"]
        assert sent.keys().isdisjoint({"$ref", "allOf", "anyOf", "oneOf", "$schema"})
        judge = reference(sent, "2020-12")
        judge.check_schema(sent)
        assert all(judge.is_valid(answer) for answer in valid)


def test_check_lists_what_moved_and_why_a_form_was_not_taken(tmp_path: Path) -> None:
    with serving(echo) as api:
        job = JobFolder(tmp_path / "job", ["x"], api.url)
        schema = job.path / "schema.json"
        schema.write_text(json.dumps(closed(score={"type": "integer", "maximum": 9})))
        assert "note       kept out of the API form, checked by us: /properties/score: maximum" in job.do("check").out
        schema.write_text(json.dumps(closed(counts={"type": "object", "additionalProperties": {"type": "integer"}})))
        told = job.do("check").out
    assert "asks for   JSON by tool" in told
    assert "structured outputs cannot carry the schema: /properties/counts: properties of any name" in told
    assert api.asked == []
