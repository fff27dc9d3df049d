from __future__ import annotations

import json

import pytest

from pipeline.records import Answer, Status
from tests.check.damage import SCHEMA
from tests.check.hostile import HOSTILE
from tests.check.replies import judge, reply


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reply_gets_its_status(name: str) -> None:
    text, status = HOSTILE[name]
    verdict = judge("full", SCHEMA).judge(reply(text))
    if isinstance(verdict, Answer):
        assert status is (Status.OK_REPAIRED if verdict.repairs else Status.OK)
        json.dumps(verdict.value, ensure_ascii=False, allow_nan=False).encode()
    else:
        assert verdict.status is status
        assert len(verdict.error) < 2_000
        assert len(verdict.complaint or "") < 2_500


def test_with_less_repair_none_gets_further() -> None:
    for text, status in HOSTILE.values():
        verdict = judge("wrappers", SCHEMA).judge(reply(text))
        if isinstance(verdict, Answer):
            assert status is not Status.INVALID_OUTPUT
            assert bool(verdict.repairs) == (status is Status.OK_REPAIRED)
