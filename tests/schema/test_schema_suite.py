"""The public JSON-Schema-Test-Suite: our validator gives its verdicts, and every schema is carried or refused by name."""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import Any

import pytest

from pipeline.errors import ConfigInvalid
from pipeline.schema.arrow import fields
from pipeline.schema.load import load
from pipeline.schema.validator import Draft, compiled
from pipeline.schema.wire import Native, Unfit, native
from tests.schema.schema_suite import FOLDERS, REMOTE, Case, cases, reference, remotes

REQUIRED = [("2020-12", ".", 1299), ("draft-07", ".", 927)]
OPTIONAL = [("2020-12", "optional", 162), ("draft-07", "optional", 118)]
FORMATS = [("2020-12", "optional/format", 764), ("draft-07", "optional/format", 676)]

NOT_OURS = {
    "cross-draft.json: refs to historic drafts are processed as historic drafts: first item not a string is valid",
    "cross-draft.json: refs to future drafts are processed as future drafts: missing bar is invalid",
    "cross-draft.json: refs to future drafts are processed as future drafts: present bar is valid",
    "format-assertion.json: schema that uses custom metaschema with format-assertion: false: format-assertion: false: "
    "invalid string",
    "format-assertion.json: schema that uses custom metaschema with format-assertion: true: format-assertion: true: "
    "invalid string",
}
"""A job's schemas are of one draft and have no meta-schema of their own; whether a format is asserted, we decide."""

NO_UNICODE_CLASSES = r"Python's `re` knows no \p{…}: the reference dies of a bad escape"
DIVERGENCES: dict[Draft, dict[str, str]] = {
    "2020-12": {
        "pattern.json: pattern with Unicode property escape requires unicode mode": NO_UNICODE_CLASSES,
        "patternProperties.json: patternProperties with Unicode property escape": NO_UNICODE_CLASSES,
        "vocabulary.json: schema that uses custom metaschema with with no validation vocabulary": "the reference applies "
        "`minimum` although the schema's own meta-schema leaves that vocabulary out",
    },
    "draft-07": {},
}
"""Where jsonschema 4.26 differs from ours, and from the suite: group → why."""


def by_schema(found: list[Case]) -> list[tuple[Any, list[Case]]]:
    """The cases that share a schema, so that it is compiled once."""
    return [(group[0].schema, group) for _, held in groupby(found, lambda case: (case.file, case.group)) if (group := [*held])]


@pytest.mark.parametrize(("of", "part", "count"), [*REQUIRED, *OPTIONAL, *FORMATS])
def test_our_validator_gives_the_verdicts_of_the_suite(of: Draft, part: str, count: int) -> None:
    known = remotes(of)
    wrong: set[str] = set()
    judged = 0
    for schema, held in by_schema(cases(of, part)):
        judged += len(held)
        try:
            validator = compiled(schema, of, formats="format" in part, known=known)
        except ValueError:
            wrong |= {str(case) for case in held}
            continue
        for case in held:
            if validator.is_valid(case.value) != case.valid:
                wrong.add(str(case))
    assert wrong <= (NOT_OURS if part == "optional" else set())
    assert judged == count


@pytest.mark.parametrize("of", FOLDERS)
def test_without_the_remotes_nothing_is_fetched(of: Draft, listener: tuple[str, list[object]]) -> None:
    address, hits = listener
    remote = 0
    for schema, held in by_schema(cases(of)):
        text = json.dumps(schema)
        remote += REMOTE in text
        pointed = json.loads(text.replace(REMOTE, address))
        try:
            validator = compiled(pointed, of)
        except ValueError:
            assert address in json.dumps(pointed), held[0]
            continue
        for case in held:
            validator.is_valid(case.value)
    assert remote > 10
    assert hits == []


@pytest.mark.parametrize("of", FOLDERS)
def test_the_two_validators_agree(of: Draft) -> None:
    known = remotes(of)
    differ = set()
    for schema, held in by_schema(cases(of)):
        ours, theirs = compiled(schema, of, formats=False, known=known), reference(schema, of, known)
        for case in held:
            try:
                agreed = theirs.is_valid(case.value) == ours.is_valid(case.value)
            except re.error:
                agreed = False
            if not agreed:
                differ.add(f"{case.file}: {case.group}")
    assert differ == DIVERGENCES[of].keys()


def test_every_schema_is_refused_at_load_or_gives_a_form_and_columns() -> None:
    forms = {Native: 0, Unfit: 0}
    refused = 0
    for node, _ in by_schema(cases("2020-12")):
        document = {"type": "object", "properties": {"v": node}}
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
