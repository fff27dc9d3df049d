"""Replies as the judge gets them, for the tests of this room."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pipeline.check.answer import Judge, Repair
from pipeline.records import Answer, Rejection, Reply, Usage
from pipeline.schema.load import load

REVIEW: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sentiment": {"enum": ["positive", "negative"]},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "note": {"type": "string"},
        "price": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
    "required": ["sentiment"],
    "additionalProperties": False,
}


def reply(text: str, stop_reason: str = "end_turn", refusal: str | None = None) -> Reply:
    return Reply(
        text=text,
        content="[]",
        stop_reason=stop_reason,
        model="claude-haiku-5-5",
        message_id="msg_1",
        request_id="req_1",
        usage=Usage(input_tokens=10, output_tokens=7),
        latency_s=0.5,
        at=0.0,
        attempts=1,
        refusal=refusal,
    )


def judge(repair: Repair = "wrappers", schema: Any = REVIEW) -> Judge:
    return _judge(repair, json.dumps(schema))


@cache
def _judge(repair: Repair, schema: str) -> Judge:
    """Made once for each schema: a judge has no state, and loading takes longer than judging."""
    return Judge(load(schema, "s.json"), repair)


def judged(text: str, repair: Repair = "wrappers", schema: Any = REVIEW) -> Answer | Rejection:
    return judge(repair, schema).judge(reply(text))


def answered(text: str, repair: Repair = "wrappers", schema: Any = REVIEW) -> tuple[Any, tuple[str, ...]]:
    """Value and repairs of a reply that is an answer."""
    verdict = judged(text, repair, schema)
    assert isinstance(verdict, Answer), verdict
    return verdict.value, verdict.repairs


def rejected(text: str, repair: Repair = "wrappers", schema: Any = REVIEW) -> Rejection:
    verdict = judged(text, repair, schema)
    assert isinstance(verdict, Rejection), verdict
    return verdict
