"""The server through the real SDK: what a user's own client sees."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import anthropic
import pytest
from anthropic import NOT_GIVEN, Anthropic, Omit

from pipeline.local.script import Latency, Script
from tests.local.running import in_thread

HAIKU = "claude-haiku-5-5"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["a", "b", "c", "d"]}, "score": {"type": "integer"}},
    "required": ["label", "score"],
    "additionalProperties": False,
}
FORMAT: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
TOOL: Any = {"name": "record", "description": "Records a label.", "input_schema": SCHEMA}
QUIET: Any = {"type": "disabled"}


def ask(client: Anthropic, text: str = "Hello", **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "model": HAIKU,
        "max_tokens": 200,
        "messages": [{"role": "user", "content": text}],
        "thinking": QUIET,
    }
    return client.messages.create(**{**arguments, **changes})


def test_a_message_says_that_it_is_a_rehearsal(client: Anthropic) -> None:
    message = ask(client)
    assert message.model == "rehearsal/claude-haiku-5-5"
    assert message.content[0].type == "text"
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == 2
    assert message.usage.output_tokens > 5


def test_the_own_name_and_unknown_names_are_answered(client: Anthropic) -> None:
    assert ask(client, model="rehearsal").model == "rehearsal"
    assert ask(client, model="tomorrow-9").model == "rehearsal/tomorrow-9"
    assert ask(client, model="rehearsal/claude-haiku-5-5").model == "rehearsal/claude-haiku-5-5"


def test_a_claude_that_thinks_by_default_begins_with_an_empty_thinking_block(client: Anthropic) -> None:
    message = ask(client, thinking=NOT_GIVEN)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == ""
    assert message.usage.output_tokens_details.thinking_tokens == 32
    assert message.usage.output_tokens > 32


def test_thinking_can_use_up_max_tokens(client: Anthropic) -> None:
    message = ask(client, max_tokens=20, thinking=NOT_GIVEN)
    assert [block.type for block in message.content] == ["thinking"]
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 20)


def test_a_structured_answer_fits_its_schema(client: Anthropic) -> None:
    answers = [json.loads(ask(client, f"Text {n}", output_config=FORMAT).content[0].text) for n in range(40)]
    assert all(list(each) == ["label", "score"] for each in answers)
    assert {each["label"] for each in answers} == {"a", "b", "c", "d"}


@pytest.mark.parametrize("choice", [{"type": "tool", "name": "record"}, {"type": "any"}, {"type": "auto"}])
def test_a_tool_is_called_with_an_input_that_fits(client: Anthropic, choice: Any) -> None:
    message = ask(client, tools=[TOOL], tool_choice=choice)
    (call,) = message.content
    assert (message.stop_reason, call.type, call.name) == ("tool_use", "tool_use", "record")
    assert call.input["label"] in "abcd"


def test_a_tool_is_not_called_again_once_its_result_is_there(client: Anthropic) -> None:
    question: Any = {"role": "user", "content": "Label it."}
    called = ask(client, messages=[question], tools=[TOOL])
    (call,) = called.content
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "done"}]}
    final = ask(client, messages=[question, {"role": "assistant", "content": called.content}, result], tools=[TOOL])
    assert [block.type for block in final.content] == ["text"]


def test_no_tool_is_called_where_the_choice_is_none(client: Anthropic) -> None:
    message = ask(client, tools=[TOOL], tool_choice={"type": "none"}, output_config=FORMAT)
    assert json.loads(message.content[0].text)["label"] in "abcd"


def test_max_tokens_cuts_the_answer(client: Anthropic) -> None:
    message = ask(client, max_tokens=3, output_config=FORMAT)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 3
    assert len(message.content[0].text) == 12


def test_a_tool_call_that_was_cut_short_keeps_its_name_and_loses_its_input(client: Anthropic) -> None:
    message = ask(client, max_tokens=3, tools=[TOOL], tool_choice={"type": "any"})
    assert (message.stop_reason, message.content[0].name, message.content[0].input) == ("max_tokens", "record", {})


def test_a_prompt_beyond_the_model_s_window_is_refused(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 200002 tokens > 200000 maximum"):
        client.messages.count_tokens(model="claude-haiku-4-5", messages=[{"role": "user", "content": "x" * 800_005}])


def test_a_stop_sequence_ends_the_answer_before_itself(client: Anthropic) -> None:
    message = ask(client, stop_sequences=["nobody", "never there"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "nobody")
    assert message.content[0].text == "A rehearsal: "


def test_max_tokens_0_warms_the_cache_and_says_nothing(client: Anthropic) -> None:
    message = ask(client, max_tokens=0)
    assert (message.content, message.stop_reason, message.usage.output_tokens) == ([], "max_tokens", 0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"output_config": FORMAT},
        {"tools": [TOOL]},
        {"stop_sequences": ["nobody"]},
        {"max_tokens": 4},
        {"thinking": {"type": "adaptive"}},
        {"thinking": {"type": "adaptive", "display": "summarized"}},
        {"max_tokens": 0, "thinking": None},
    ],
)
def test_a_stream_adds_up_to_the_message(client: Anthropic, changes: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "model": HAIKU,
        "max_tokens": 200,
        "messages": [{"role": "user", "content": "Hi"}],
        "thinking": QUIET,
    }
    arguments |= changes
    if arguments["thinking"] is None:
        del arguments["thinking"]
    if arguments["max_tokens"] == 0:
        arguments["max_tokens"] = 1  # a warm-up cannot be streamed
    whole = client.messages.create(**arguments).model_dump()
    with client.messages.stream(**arguments) as stream:
        events = [event.type for event in stream]
        streamed = stream.get_final_message().model_dump()
    assert events[0] == "message_start"
    assert events[-1] == "message_stop"
    for varying in ("id", "diagnostics"):
        whole.pop(varying), streamed.pop(varying)
    for content in (whole, streamed):
        for block in content["content"]:
            block.pop("id", None), block.pop("signature", None), block.pop("parsed_output", None)
    assert streamed == whole


def test_the_events_of_a_stream_come_in_the_order_of_the_api(client: Anthropic) -> None:
    stream = client.messages.create(model=HAIKU, max_tokens=200, messages=[{"role": "user", "content": "Hello"}], stream=True)
    kinds = [event.type for event in stream]
    assert kinds[:6] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_delta") > 3


def test_tokens_are_counted_as_a_reply_counts_them(client: Anthropic) -> None:
    messages: Any = [{"role": "user", "content": "How many tokens are these, all in all?"}]
    counted = client.messages.count_tokens(model=HAIKU, messages=messages, system="Count.", output_config=FORMAT)
    replied = ask(client, messages=messages, system="Count.", output_config=FORMAT)
    assert counted.input_tokens == replied.usage.input_tokens > 30


def test_the_models_api_names_the_rehearsal(client: Anthropic) -> None:
    own, *claudes = client.models.list()
    assert (own.id, own.lifecycle) == ("rehearsal", "active")
    assert {"rehearsal/claude-haiku-5-5", "rehearsal/claude-sonnet-4-5"} <= {each.id for each in claudes}
    haiku = client.models.retrieve(HAIKU)
    assert (haiku.id, haiku.display_name) == ("rehearsal/claude-haiku-5-5", "Rehearsal of Claude Haiku 5.5")
    assert haiku.max_tokens == 128_000
    assert haiku.capabilities is not None
    assert haiku.capabilities.thinking.types.disabled.supported
    assert not haiku.capabilities.thinking.types.between_tools.supported


def test_models_come_in_pages_and_by_their_lifecycle(client: Anthropic) -> None:
    every = [each.id for each in client.models.list()]
    assert [each.id for each in client.models.list(limit=3)] == every, "the SDK turns the pages"
    first = client.models.list(limit=3)
    assert (len(first.data), first.has_more, first.last_id) == (3, True, every[2])
    before = client.models.list(limit=2, before_id=every[5])
    assert ([each.id for each in before.data], before.has_more) == (every[3:5], True)
    old = client.models.list(lifecycle=["deprecated"]).data
    assert [(each.id, str(each.retires_at)[:10]) for each in old] == [("rehearsal/claude-sonnet-4-5", "2026-11-30")]
    assert len(client.models.list(lifecycle=["active", "deprecated"], limit=1000).data) == len(every)
    assert client.models.list(lifecycle=["retired"]).data == []


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 1001}, {"limit": "many"}, {"after_id": "nobody"}, {"before_id": "x"}]
)
def test_a_page_that_makes_no_sense_is_400(client: Anthropic, query: Any) -> None:
    with pytest.raises(anthropic.BadRequestError, match=next(iter(query))):
        client.models.list(**query)


def test_a_claude_that_there_is_not_is_404(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: claude-sonnet-9"):
        client.models.retrieve("claude-sonnet-9")
    with pytest.raises(anthropic.NotFoundError, match="model: claude-sonnet-9"):
        ask(client, model="claude-sonnet-9")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, 'thinking.type: "enabled" is not supported'),
        ({"model": "claude-opus-5-5", "thinking": QUIET}, 'thinking.type: "disabled" is not supported'),
        ({"model": "claude-opus-5-5", "tools": [TOOL], "tool_choice": {"type": "any"}}, "are not supported for this model"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "message prefill"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, "additionalProperties"),
    ],
)
def test_tokens_are_counted_under_the_rules_of_messages(client: Anthropic, changes: Any, said: str) -> None:
    question: Any = {"messages": [{"role": "user", "content": "a"}], **changes}
    with pytest.raises(anthropic.BadRequestError, match=re.escape(said)):
        client.messages.count_tokens(model=HAIKU, messages=[], extra_body=question)
    with pytest.raises(anthropic.BadRequestError, match=re.escape(said)):
        client.messages.create(model=HAIKU, messages=[], max_tokens=2_000, extra_body=question)


def test_headers_carry_the_request_id_and_the_limits(client: Anthropic) -> None:
    raw = client.messages.with_raw_response.create(model=HAIKU, max_tokens=50, messages=[{"role": "user", "content": "Hello"}])
    assert raw.headers["request-id"].startswith("req_01")
    assert raw.headers["anthropic-organization-id"]
    for bucket in ("requests", "tokens", "input-tokens", "output-tokens"):
        limit, remaining = (int(raw.headers[f"anthropic-ratelimit-{bucket}-{name}"]) for name in ("limit", "remaining"))
        assert limit == remaining > 100_000
        assert raw.headers[f"anthropic-ratelimit-{bucket}-reset"].endswith("Z")


def test_an_error_has_the_api_s_envelope_and_its_request_id(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask(client, extra_body={"temperature": 1.0})
    error = caught.value
    assert (error.status_code, error.type) == (400, "invalid_request_error")
    assert error.api_message == "temperature: Extra inputs are not permitted"
    assert error.request_id == error.response.headers["request-id"] == error.body["request_id"]  # type: ignore[index]


def test_the_old_api_version_still_takes_a_temperature_where_the_model_does(client: Anthropic) -> None:
    old = {"anthropic-version": "2023-06-01"}
    for model in ("claude-haiku-4-5", "rehearsal"):
        assert ask(client, model=model, extra_body={"temperature": 0.3}, extra_headers=old).content
    with pytest.raises(anthropic.BadRequestError, match="temperature: must be 1 for this model"):
        ask(client, extra_body={"temperature": 0.3}, extra_headers=old)


def test_a_body_beyond_32_mb_is_413(client: Anthropic) -> None:
    with pytest.raises(anthropic.RequestTooLargeError) as caught:
        ask(client, "x" * (32 * 1024 * 1024))
    assert caught.value.status_code == 413
    assert "request_too_large" in str(caught.value.body)


def test_what_is_not_served_is_404(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.get("/v1/files", cast_to=object)
    assert caught.value.type == "not_found_error"


def test_no_key_is_401(client: Anthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError) as caught:
        ask(client, extra_headers={"authorization": Omit()})
    assert caught.value.type == "authentication_error"
    assert caught.value.api_message == "x-api-key header is required"


def test_a_key_by_either_header_comes_in(rehearsal: str, client: Anthropic) -> None:
    assert ask(client, extra_headers={"authorization": "", "x-api-key": "any"}).content
    assert ask(client, extra_headers={"authorization": "Bearer any"}).content


def test_a_host_that_is_not_loopback_is_403(client: Anthropic) -> None:
    with pytest.raises(anthropic.PermissionDeniedError) as caught:
        ask(client, extra_headers={"host": "evil.example"})
    assert caught.value.type == "permission_error"


def test_images_are_taken_by_the_rehearsal(client: Anthropic) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}}
    assert ask(client, messages=[{"role": "user", "content": [image]}]).usage.input_tokens >= 1_500


def test_the_same_seed_and_request_give_the_same_answer_in_another_process_too(client: Anthropic) -> None:
    texts = [f"Text {number}" for number in range(8)]
    first = [ask(client, text, output_config=FORMAT).content[0].text for text in texts]
    with in_thread("rehearsal") as url, Anthropic(api_key="any", base_url=url, max_retries=0) as again:
        assert [ask(again, text, output_config=FORMAT).content[0].text for text in texts] == first
    with in_thread("rehearsal", seed=1) as url, Anthropic(api_key="any", base_url=url, max_retries=0) as other:
        assert [ask(other, text, output_config=FORMAT).content[0].text for text in texts] != first


def test_each_reply_waits_as_long_as_it_was_told_to() -> None:
    with (
        in_thread("rehearsal", script=Script(Latency(0.2))) as url,
        Anthropic(api_key="any", base_url=url, max_retries=0) as slow,
    ):
        for stream in (False, True):
            start = time.monotonic()
            reply = ask(slow, stream=stream)
            if stream:
                list(reply)
            assert time.monotonic() - start > 0.2


def test_what_does_not_change_the_question_does_not_change_the_answer(client: Anthropic) -> None:
    plain = ask(client, output_config=FORMAT)
    for changes in (
        {"metadata": {"user_id": "u"}},
        {"max_tokens": 150},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]}
            ]
        },
    ):
        assert ask(client, output_config=FORMAT, **changes).content == plain.content


def test_a_schema_without_a_value_is_an_honest_400(client: Anthropic) -> None:
    impossible: Any = {"name": "t", "input_schema": {"type": "object", "required": ["a"], "properties": {"a": False}}}
    with pytest.raises(anthropic.BadRequestError, match="rehearsal found no value for this schema"):
        ask(client, tools=[impossible])
