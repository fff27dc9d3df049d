"""Bodies and replies, as the Messages API of 2026-10-21 has them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.call.wire import Unreadable, read, shape
from pipeline.records import Complaint, Constant, Prompt, Reply, Text, Turn, Usage, Verbatim
from tests.api import message
from tests.call.fakes import CONSTANT, FORM, SHAPE, prompt

TOOL = replace(FORM, way="tool")
EXAMPLES = Constant("Label it.", (Turn("user", (Text("good"),)), Turn("assistant", (Text('{"label":"yes"}'),))))


def reply(raw: bytes, **changes: Any) -> Reply | Unreadable:
    return read(raw, replace(FORM, **changes), request_id="req_1", latency_s=0.5, at=1000.0, attempts=1)


def test_a_native_request_in_full() -> None:
    assert SHAPE.body(prompt("Fine.")) == {
        "model": "claude-haiku-5-5",
        "max_tokens": 100,
        "thinking": {"type": "disabled"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "system": [{"type": "text", "text": "Label it.", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Fine."}]}],
    }


def test_the_cache_breakpoint_ends_the_constant_part() -> None:
    body: dict[str, Any] = shape(EXAMPLES, replace(FORM, cache="1h")).body(prompt("Fine."))
    assert "cache_control" not in json.dumps(body["system"])
    marked = [json.dumps(turn).count("cache_control") for turn in body["messages"]]
    assert marked == [0, 1, 0]


def test_no_breakpoint_where_caching_is_off() -> None:
    assert "cache_control" not in json.dumps(shape(EXAMPLES, replace(FORM, cache="off")).body(prompt("Fine.")))


def test_the_tool_form_forces_one_tool_and_shows_examples_as_calls_of_it() -> None:
    body: dict[str, Any] = shape(EXAMPLES, TOOL).body(prompt("Fine."))
    assert "format" not in body["output_config"]
    assert body["tools"][0]["input_schema"] == {"type": "object"}
    assert body["tool_choice"] == {"type": "tool", "name": "record_answer", "disable_parallel_tool_use": True}
    _, example, asked = body["messages"]
    assert example["content"][0]["type"] == "tool_use"
    assert example["content"][0]["input"] == {"label": "yes"}
    assert [block["type"] for block in asked["content"]] == ["tool_result", "text"]
    assert asked["content"][0]["tool_use_id"] == example["content"][0]["id"]


def test_the_prompt_form_sends_neither_schema_nor_tool() -> None:
    body = shape(CONSTANT, replace(FORM, way="prompt", effort=None, thinking=None)).body(prompt("Fine."))
    assert body.keys() == {"model", "max_tokens", "system", "messages"}


def test_stop_sequences_and_extras_are_fields_of_the_body_and_override_nothing() -> None:
    made = replace(FORM, stop_sequences=("END",), extra={"temperature": 0.5, "model": "another", "max_tokens": 9})
    body = shape(CONSTANT, made).body(prompt("Fine."))
    assert body == {**SHAPE.body(prompt("Fine.")), "stop_sequences": ["END"], "temperature": 0.5}


@pytest.mark.parametrize("way", ["native", "tool", "prompt"])
def test_a_conversation_ends_with_the_user_so_that_nothing_is_prefilled(way: Any) -> None:
    made = shape(EXAMPLES, replace(FORM, way=way))
    turns = (Turn("user", (Text("Fine."),)), Turn("assistant", (Verbatim('[{"type":"text","text":"{}"}]'),)))
    for asked in (prompt("Fine."), Prompt(0, "k", CONSTANT, (*turns, Turn("user", (Text("Wrong."),))), ask=2)):
        body: dict[str, Any] = made.body(asked)
        assert body["messages"][-1]["role"] == "user"


def test_a_reply_goes_back_as_it_came() -> None:
    content = '[{"type":"thinking","thinking":"","signature":"s"},{"type":"text","text":"{}"}]'
    turns = (Turn("user", (Text("Fine."),)), Turn("assistant", (Verbatim(content),)), Turn("user", (Text("Wrong."),)))
    body: dict[str, Any] = SHAPE.body(Prompt(0, "k", CONSTANT, turns, ask=2))
    assert body["messages"][1]["content"] == json.loads(content)


def after(content: str, *blocks: Text | Complaint) -> Prompt:
    """A prompt whose last turn follows this reply."""
    turns = (Turn("user", (Text("Fine."),)), Turn("assistant", (Verbatim(content),)), Turn("user", blocks))
    return Prompt(0, "k", CONSTANT, turns, ask=2)


CALLS = json.dumps([{"type": "tool_use", "id": f"toolu_{n}", "name": "record_answer", "input": {}} for n in (1, 2)])


def test_a_complaint_is_the_failed_result_of_every_call_left_open() -> None:
    body: dict[str, Any] = shape(CONSTANT, TOOL).body(after(CALLS, Complaint("Wrong.")))
    assert body["messages"][2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": "Wrong.", "is_error": True} for n in (1, 2)
        ],
    }


def test_a_complaint_about_a_text_is_a_text() -> None:
    body: dict[str, Any] = SHAPE.body(after('[{"type":"text","text":"no"}]', Complaint("Wrong.")))
    assert body["messages"][2] == {"role": "user", "content": [{"type": "text", "text": "Wrong."}]}


def test_a_further_turn_after_calls_comes_behind_their_results() -> None:
    body: dict[str, Any] = shape(CONSTANT, TOOL).body(after(CALLS, Text("And?")))
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]
    assert not any(block.get("is_error") for block in body["messages"][2]["content"])


THOUGHT = {"type": "thinking", "thinking": "", "signature": "s"}
HIDDEN = {"type": "redacted_thinking", "data": "s"}


@pytest.mark.parametrize(
    "content", [[], [{"type": "text", "text": " "}], [THOUGHT], [THOUGHT, HIDDEN, {"type": "text", "text": ""}]]
)
def test_a_turn_that_the_api_would_not_take_back_is_left_out(content: list[Any]) -> None:
    body: dict[str, Any] = SHAPE.body(after(json.dumps(content), Complaint("Nothing came.")))
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Fine."}, {"type": "text", "text": "Nothing came."}]}
    ]


def test_the_result_of_a_call_is_given_once_even_if_nothing_comes_back() -> None:
    empty = (Turn("user", (Text("Fine."),)), Turn("assistant", (Verbatim("[]"),)), Turn("user", (Complaint("Nothing came."),)))
    body: dict[str, Any] = shape(EXAMPLES, TOOL).body(Prompt(0, "k", EXAMPLES, empty, ask=2))
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "text", "text"]


def test_thinking_before_a_text_goes_back_and_thinking_after_it_does_not() -> None:
    said = {"type": "text", "text": "{}"}
    body: dict[str, Any] = SHAPE.body(after(json.dumps([THOUGHT, said, HIDDEN]), Complaint("Wrong.")))
    assert body["messages"][1]["content"] == [THOUGHT, said]


def test_more_room_is_another_request_and_the_one_of_a_job_with_that_room() -> None:
    grown = replace(prompt("Fine."), max_tokens=200)
    assert SHAPE.body(grown) == {**SHAPE.body(prompt("Fine.")), "max_tokens": 200}
    assert SHAPE.key(grown) != SHAPE.key(prompt("Fine."))
    assert SHAPE.key(grown) == shape(CONSTANT, replace(FORM, max_tokens=200)).key(prompt("Fine."))


def test_a_turn_of_free_text_asks_for_no_form() -> None:
    free = shape(CONSTANT, FORM, free=True).body(prompt("Fine."))
    assert free["output_config"] == {"effort": "low"}
    assert "output_config" not in shape(CONSTANT, replace(FORM, effort=None), free=True).body(prompt("Fine."))
    tool, asked = (shape(CONSTANT, TOOL, free=free).body(prompt("Fine.")) for free in (True, False))
    assert tool["tool_choice"] == {"type": "none"}
    assert tool["tools"] == asked["tools"]
    assert shape(CONSTANT, FORM, free=True).key(prompt("Fine.")) != SHAPE.key(prompt("Fine."))


def test_each_turn_has_its_own_fixed_part() -> None:
    whole = shape(CONSTANT, FORM, earlier=(shape(CONSTANT, FORM, free=True),))
    first, last = prompt("Fine."), replace(prompt("Fine."), step=1)
    assert "format" not in json.dumps(whole.body(first))
    assert whole.body(last) == SHAPE.body(prompt("Fine."))
    assert whole.key(last) == SHAPE.key(prompt("Fine.")) != whole.key(first)


def test_a_row_is_known_by_all_that_it_will_ask() -> None:
    free = shape(CONSTANT, FORM, free=True)
    whole = shape(CONSTANT, FORM, earlier=(free,))
    asked = replace(prompt("Fine."), beyond=("Why?",))
    others = [
        whole.identity(replace(asked, beyond=("Why not?",))),
        whole.identity(replace(asked, beyond=("Wh", "y?"))),
        shape(CONSTANT, replace(FORM, schema={"type": "object", "title": "T"}), earlier=(free,)).identity(asked),
        shape(CONSTANT, FORM, earlier=(free, free)).identity(asked),
        whole.identity(replace(prompt("fine."), beyond=("Why?",))),
    ]
    assert len({whole.identity(asked), *others}) == 6
    assert SHAPE.identity(prompt("Fine.")) == SHAPE.key(prompt("Fine."))


def test_the_key_is_that_of_the_request_and_not_of_the_row() -> None:
    assert SHAPE.key(prompt("Fine.", 1)) == SHAPE.key(prompt("Fine.", 2))
    assert SHAPE.key(prompt("Fine.")) != SHAPE.key(prompt("fine."))
    assert len(SHAPE.key(prompt("Fine."))) == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "claude-sonnet-5"},
        {"max_tokens": 101},
        {"schema": {"type": "object", "title": "T"}},
        {"thinking": None},
        {"effort": "high"},
        {"way": "tool"},
        {"stop_sequences": ("END",)},
        {"extra": {"temperature": 0.5}},
        {"api_version": "2023-06-01"},
    ],
)
def test_the_key_changes_with_what_the_model_sees(changes: dict[str, Any]) -> None:
    assert shape(CONSTANT, replace(FORM, **changes)).key(prompt("Fine.")) != SHAPE.key(prompt("Fine."))


def test_the_key_changes_with_who_answers() -> None:
    assert shape(CONSTANT, FORM, "local:rehearsal").key(prompt("Fine.")) != SHAPE.key(prompt("Fine."))


def test_the_key_changes_with_the_constant_part() -> None:
    assert shape(EXAMPLES, FORM).key(prompt("Fine.")) != SHAPE.key(prompt("Fine."))


@pytest.mark.parametrize("changes", [{"stream": True}, {"cache": "1h"}, {"cache": "off"}, {"notes": ("n",)}])
def test_the_key_does_not_change_with_how_it_travels_or_what_it_costs(changes: dict[str, Any]) -> None:
    assert shape(CONSTANT, replace(FORM, **changes)).key(prompt("Fine.")) == SHAPE.key(prompt("Fine."))


def test_a_reply_is_read_with_thinking_first() -> None:
    canned = message(
        "",
        content=[{"type": "thinking", "thinking": "", "signature": "x"}, {"type": "text", "text": '{"a":1}'}],
        usage={
            "input_tokens": 7,
            "output_tokens": 9,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "output_tokens_details": {"thinking_tokens": 4},
            "service_tier": "batch",
            "inference_geo": "us",
        },
    )
    got = reply(canned.body)
    assert isinstance(got, Reply)
    assert got.text == '{"a":1}'
    assert got.usage == Usage(7, 9, 100, 10, 20, 4)
    assert (got.tier, got.geo, got.stop_reason, got.message_id) == ("batch", "us", "end_turn", "msg_1")


def test_cache_writes_without_their_split_count_as_five_minute_ones() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 30}
    got = reply(message("x", usage=usage).body)
    assert isinstance(got, Reply)
    assert (got.usage.cache_write_5m_tokens, got.usage.cache_write_1h_tokens) == (30, 0)


def test_the_answer_of_the_tool_form_is_the_tools_input() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "record_answer", "input": {"label": "yes"}}
    got = reply(message("", content=[{"type": "text", "text": "Here:"}, call], stop_reason="tool_use").body, way="tool")
    assert isinstance(got, Reply)
    assert json.loads(got.text) == {"label": "yes"}


def test_a_refusal_may_be_empty_and_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    got = reply(message("", content=[], stop_reason="refusal", stop_details=details).body)
    assert isinstance(got, Reply)
    assert (got.text, got.refusal) == ("", "cyber: No.")


def test_an_integer_of_any_size_and_half_a_surrogate_pair_are_kept_for_the_check() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "record_answer", "input": {"n": 10**30, "t": "\ud83d"}}
    got = reply(message("", content=[call], stop_reason="tool_use").body, way="tool")
    assert isinstance(got, Reply)
    assert json.loads(got.text) == {"n": 10**30, "t": "\ud83d"}
    turns = (Turn("user", (Text("Fine."),)), Turn("assistant", (Verbatim(got.content),)), Turn("user", (Text("Wrong."),)))
    again = json.dumps(shape(CONSTANT, TOOL).body(Prompt(0, "k", CONSTANT, turns, ask=2)), ensure_ascii=False)
    again.encode()
    assert str(10**30) in again


@pytest.mark.parametrize("tokens", [-1, 2**63, True, "7", None])
def test_a_count_that_is_none_is_not_counted(tokens: object) -> None:
    got = reply(message("x", usage={"input_tokens": tokens, "output_tokens": 1}).body)
    assert isinstance(got, Reply)
    assert got.usage.input_tokens == 0


def test_a_reply_too_deep_to_be_an_answer_is_unreadable() -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    call = {"type": "tool_use", "id": "toolu_1", "name": "record_answer", "input": deep}
    assert isinstance(reply(message("", content=[call], stop_reason="tool_use").body, way="tool"), Unreadable)
    assert isinstance(reply(b'{"content":' + b"[" * 100_000), Unreadable)


def test_unknown_blocks_are_passed_over() -> None:
    got = reply(message("", content=[{"type": "new_block"}, "odd", {"type": "text", "text": "x"}]).body)
    assert isinstance(got, Reply)
    assert got.text == "x"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b'{"content": [',
        b"{}",
        b"[]",
        b'"text"',
        message("x", content=None).body,
        message("x", usage=None).body,
        message("x", stop_reason=None).body,
    ],
)
def test_a_200_that_is_no_whole_message_is_unreadable(raw: bytes) -> None:
    assert isinstance(reply(raw), Unreadable)
