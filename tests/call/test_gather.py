"""Events → the message that would have come whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.call.gather import Failed, Gathering
from tests.api import message
from tests.call.streams import events

THINKING = {"type": "thinking", "thinking": "", "signature": "EqQB"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "record_answer", "input": {"n": 10**30, "x": 1.50, "t": "ä\u2028"}}
USAGE = {
    "input_tokens": 1204,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 2310,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 96,
    "output_tokens_details": {"thinking_tokens": 74},
    "service_tier": "standard",
    "inference_geo": "us",
}
REFUSAL = {"type": "refusal", "category": "cyber", "explanation": "No."}


def gathered(told: list[dict[str, Any]]) -> Gathering:
    gathering = Gathering()
    for event in told:
        assert gathering.add(json.dumps(event)) is None
    return gathering


MESSAGES: list[dict[str, Any]] = [
    json.loads(message("", **changes).body)
    for changes in (
        {"content": [THINKING, {"type": "text", "text": '{"label": "yes"}'}], "usage": USAGE},
        {"content": [{"type": "thinking", "thinking": "Well …", "signature": "s"}, CALL], "stop_reason": "tool_use"},
        {"content": [], "stop_reason": "refusal", "stop_details": REFUSAL},
        {"content": [{"type": "text", "text": "half of"}], "stop_reason": "max_tokens"},
        {"content": [{"type": "text", "text": "x"}], "stop_reason": "stop_sequence", "stop_sequence": "END"},
        {
            "content": [
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": ""},
                {"type": "new_block", "a": [1]},
            ]
        },
    )
]


@given(st.sampled_from(MESSAGES), st.lists(st.integers(0, 200), max_size=6))
def test_a_stream_gives_the_message_however_it_was_cut_in_pieces(whole: dict[str, Any], cuts: list[int]) -> None:
    gathering = gathered(events(whole, cuts))
    assert gathering.whole
    assert json.loads(gathering.body()) == {"stop_details": None, **whole}
    assert gathering.body() == gathering.body()


@pytest.mark.parametrize("whole", MESSAGES)
def test_a_stream_is_whole_with_its_last_event_only(whole: dict[str, Any]) -> None:
    told = events(whole)
    assert not gathered(told[:-1]).whole


def test_a_tools_input_that_was_cut_off_is_never_taken_for_a_whole_one() -> None:
    told = events(json.loads(message("", content=[CALL], stop_reason="max_tokens").body), [9])
    told = [event for number, event in enumerate(told) if number != 5]  # the second piece of the input
    (block,) = json.loads(gathered(told).body())["content"]
    assert isinstance(block["input"], str)
    told = [{**event, "delta": {"stop_reason": "tool_use"}} if event["type"] == "message_delta" else event for event in told]
    with pytest.raises(json.JSONDecodeError):
        gathered(told).body()


def test_a_tool_without_input_has_an_empty_one() -> None:
    told = events(json.loads(message("", content=[{**CALL, "input": {}}], stop_reason="tool_use").body))
    told = [event for event in told if event.get("delta", {}).get("type") != "input_json_delta"]
    assert json.loads(gathered(told).body())["content"][0]["input"] == {}


def test_citations_are_gathered() -> None:
    told = events(MESSAGES[0])
    cited: list[dict[str, Any]] = [
        {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"n": number}}}
        for number in (1, 2)
    ]
    body = json.loads(gathered([*told[:-2], *cited, *told[-2:]]).body())
    assert body["content"][1]["citations"] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("error", [{"type": "overloaded_error", "message": "Overloaded"}, {"message": "odd"}])
def test_an_error_event_becomes_the_body_of_an_error(error: dict[str, str]) -> None:
    failed = Gathering().add(json.dumps({"error": error, "request_id": "req_9", "type": "error"}))
    assert isinstance(failed, Failed)
    assert failed.body.startswith(b'{"type":"error",')
    assert json.loads(failed.body)["error"] == error


NONSENSE = [
    "[" * 100_000,
    "{oops",
    "[]",
    '{"type":"message_start"}',
    '{"type":"content_block_start","index":0}',
    '{"type":"content_block_start","index":"0","content_block":{}}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}',
    '{"type":"message_delta","delta":{}}',
    '{"type":"message_stop"}',
]


@pytest.mark.parametrize("data", NONSENSE)
def test_an_event_that_makes_no_sense_is_told(data: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Gathering().add(data)


def test_whoever_watches_hears_the_answer_and_nothing_else() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "so: "},
        {"type": "tool_use", "id": "t", "name": "answer", "input": {"a": 1}},
    ]
    heard: list[str] = []
    gathering = Gathering(heard.append)
    for event in events({**json.loads(message("").body), "content": content}, (2,)):
        gathering.add(json.dumps(event))
    assert "".join(heard) == 'so: {"a": 1}'
    assert len(heard) == 4, "as it comes"
