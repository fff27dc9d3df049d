"""The public JSON-Schema-Test-Suite: our validator gives its verdicts, and every schema is carried or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigInvalid
from pipeline.schema.arrow import fields
from pipeline.schema.load import load
from pipeline.schema.validator import compiled
from pipeline.schema.wire import Native, Unfit, native

SUITE = Path("../shared/suites/JSON-Schema-Test-Suite/tests/draft2020-12")


def groups() -> list[dict[str, Any]]:
    if not SUITE.is_dir():
        pytest.skip(f"the public suite is not beside this checkout at {SUITE}")
    return [group for file in sorted(SUITE.glob("*.json")) for group in json.loads(file.read_text(encoding="utf-8"))]


def test_verdicts_are_those_of_the_suite_and_what_is_remote_is_refused() -> None:
    judged = remote = 0
    wrong = []
    for group in groups():
        schema = group["schema"] if isinstance(group["schema"], dict) else {"allOf": [group["schema"]]}
        try:
            validator = compiled(schema, "2020-12", formats=False)
        except ValueError:
            remote += len(group["tests"]) if "localhost:1234" in json.dumps(schema) else 0
            continue
        for case in group["tests"]:
            judged += 1
            if validator.is_valid(case["data"]) != case["valid"]:
                wrong.append((group["description"], case["description"]))
    # A meta-schema of the user's own, which load refuses.
    assert wrong == [
        (
            "schema that uses custom metaschema with with no validation vocabulary",
            "no validation: invalid number, but it still validates",
        )
    ]
    assert (judged, remote) == (1255, 44)


def test_every_schema_is_refused_at_load_or_gives_a_form_and_columns() -> None:
    forms = {Native: 0, Unfit: 0}
    refused = 0
    for group in groups():
        document = {"type": "object", "properties": {"v": group["schema"]}}
        try:
            schema = load(json.dumps(document), "suite.json")
        except ConfigInvalid:
            refused += 1
            continue
        forms[type(native(schema))] += 1
        assert [field.name for field in fields(schema)] == ["v"]
    assert forms[Native] > 40
    assert forms[Unfit] > 200
    assert refused < 100
