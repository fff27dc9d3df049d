"""A reply as the API words it, byte for byte where it is a stream."""

from __future__ import annotations

import json
from typing import Any

from pipeline.local import reply
from pipeline.local.question import Called, Prose
from pipeline.local.reply import Began, Ended, Heading, Piece, Thought

HEADING = Heading("msg_1", "toolu_1", "rehearsal", Prose())
CALLING = Heading("msg_1", "toolu_1", "rehearsal", Called("record", "{}"))


def transcript(heading: Heading, *parts: reply.Part) -> list[tuple[str, dict[str, Any]]]:
    events = reply.Events(heading)
    raw = b"".join(event for part in parts for event in events.of(part)).decode()
    assert raw.endswith("\n\n")
    read = []
    for event in raw.removesuffix("\n\n").split("\n\n"):
        name, content = event.split("\n")
        read.append((name.removeprefix("event: "), json.loads(content.removeprefix("data: "))))
    assert all(content["type"] == name for name, content in read)
    return [(name, {key: value for key, value in content.items() if key != "type"}) for name, content in read]


def test_a_stream_has_the_events_of_the_api_in_their_order() -> None:
    told = transcript(HEADING, Began(25), Thought(""), Piece('{"a":'), Piece("1}"), Ended("end_turn", 41, None, 30))
    name, start = told[0]
    assert name == "message_start"
    assert start["message"]["content"] == []
    assert start["message"]["stop_reason"] is None
    assert start["message"]["usage"]["input_tokens"] == 25
    assert told[1:] == [
        ("ping", {}),
        ("content_block_start", {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "local-msg_1"}}),
        ("content_block_stop", {"index": 0}),
        ("content_block_start", {"index": 1, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": '{"a":'}}),
        ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": "1}"}}),
        ("content_block_stop", {"index": 1}),
        (
            "message_delta",
            {
                "delta": {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None},
                "usage": {"output_tokens": 41, "output_tokens_details": {"thinking_tokens": 30}},
            },
        ),
        ("message_stop", {}),
    ]


def test_the_input_of_a_tool_streams_as_partial_json() -> None:
    told = transcript(CALLING, Began(1), Piece('{"x":1}'), Ended("end_turn", 3))
    block = {"type": "tool_use", "id": "toolu_1", "name": "record", "input": {}, "caller": {"type": "direct"}}
    assert told[2] == ("content_block_start", {"index": 0, "content_block": block})
    assert told[3] == ("content_block_delta", {"index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"x":1}'}})
    assert told[5][1]["delta"]["stop_reason"] == "tool_use"


def test_a_reply_without_text_has_no_block() -> None:
    parts = (Began(1), Ended("stop_sequence", 1, "x"))
    assert [name for name, _ in transcript(HEADING, *parts)] == ["message_start", "ping", "message_delta", "message_stop"]
    assert reply.message(HEADING, parts)["content"] == []


def test_a_whole_message_has_every_field_of_the_api() -> None:
    assert reply.message(HEADING, [Began(7), Piece("Hi"), Ended("end_turn", 2)]) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "rehearsal",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "diagnostics": None,
        "usage": {
            "input_tokens": 7,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"thinking_tokens": 0},
            "service_tier": "standard",
            "inference_geo": "global",
        },
    }


def test_a_tool_call_that_was_cut_short_is_no_tool_use() -> None:
    cut = reply.message(CALLING, [Began(1), Piece('{"x"'), Ended("max_tokens", 2)])
    assert (cut["stop_reason"], cut["content"][0]["input"]) == ("max_tokens", {})
