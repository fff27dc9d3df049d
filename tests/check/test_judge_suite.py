"""The public JSONTestSuite as reply texts: JSON is read, and what is not JSON is never an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.check.answer import Repair
from pipeline.check.parse import Parsed, parse
from pipeline.records import Answer
from tests.check.replies import answered, judge, reply

SUITE = Path("../shared/suites/JSONTestSuite/test_parsing")
ANYTHING: dict[str, Any] = {"type": "object", "properties": {"v": True}, "required": ["v"], "additionalProperties": False}


def texts(kind: str) -> list[tuple[str, str]]:
    """File name and text; bytes that are no UTF-8 come as they would from a careless decoder."""
    if not SUITE.is_dir():
        pytest.skip(f"the public suite is not beside this checkout at {SUITE}")
    return [(file.name, file.read_bytes().decode(errors="surrogateescape")) for file in sorted(SUITE.glob(f"{kind}_*.json"))]


@pytest.mark.parametrize("repair", ["off", "wrappers", "full"])
def test_every_accepted_text_is_read(repair: Repair) -> None:
    cases = texts("y")
    assert len(cases) == 95
    for name, text in cases:
        value, repairs = answered(f'{{"v": {text}}}', repair, ANYTHING)
        read = parse(text)
        assert isinstance(read, Parsed), name
        assert value == {"v": read.value}, name
        assert repairs == (("duplicate_key",) if "duplicated_key" in name else ()), name


def test_no_refused_text_is_an_answer_by_itself_or_inside_one() -> None:
    judging = judge("off", ANYTHING)
    cases = texts("n")
    assert len(cases) == 188
    for name, text in cases:
        assert not isinstance(judging.judge(reply(text)), Answer), name
        assert not isinstance(parse(text), Parsed), name
        assert not isinstance(judging.judge(reply(f'{{"v": {text}}}')), Answer), name


@pytest.mark.parametrize("repair", ["off", "wrappers", "full"])
def test_every_text_gets_a_verdict(repair: Repair) -> None:
    judging = judge(repair, ANYTHING)
    for name, text in texts("n") + texts("i") + texts("y"):
        for reading in (text, f'{{"v": {text}}}'):
            verdict = judging.judge(reply(reading))
            if isinstance(verdict, Answer) and name.startswith("n_"):
                assert verdict.repairs, name
