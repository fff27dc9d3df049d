"""A request body as a question, or as the error that the API answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.local import messages
from pipeline.local.errors import ApiError
from pipeline.local.question import Called, Medium, Prose, Question, Sampling, Shaped

NOW = "2026-10-21"
OLD = "2023-06-01"
USER: dict[str, Any] = {"role": "user", "content": "Hello"}
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
FORMAT: dict[str, Any] = {"format": {"type": "json_schema", "schema": SCHEMA}}
TOOL: dict[str, Any] = {"name": "t", "input_schema": {"type": "object"}}
EPHEMERAL = {"type": "ephemeral"}


def body(**changes: Any) -> bytes:
    """A sound body with changes; a change to None takes the field away."""
    fields = {"model": "m", "max_tokens": 10, "messages": [USER], **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def asked(*, version: str = NOW, **changes: Any) -> Question:
    return messages.question(body(**changes), version)


def says(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA", **source}}


def use(number: int = 1) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": f"toolu_{number}", "name": "t", "input": {"x": 1}}]}


def result(number: int = 1, content: Any = "done") -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content}]}


def strict_tools(count: int, schema: dict[str, Any] = SCHEMA) -> dict[str, Any]:
    return {"tools": [{"name": f"t{n}", "strict": True, "input_schema": schema} for n in range(count)]}


def with_properties(count: int, shape: dict[str, Any], *, required: bool) -> dict[str, Any]:
    names = [f"p{number}" for number in range(count)]
    return {
        "type": "object",
        "properties": dict.fromkeys(names, shape),
        "required": names if required else [],
        "additionalProperties": False,
    }


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"messages": None}, "messages: Field required"),
    ({"model": None}, "model: Field required"),
    ({"max_tokens": "10"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
    ({"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
    ({"top_p": 0.9}, "top_p: Extra inputs are not permitted"),
    ({"top_k": 5}, "top_k: Extra inputs are not permitted"),
    ({"output_format": FORMAT["format"]}, "output_format: Extra inputs are not permitted"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0: Unexpected or missing role"),
    ({"messages": [{"role": "system", "content": "x"}]}, "messages: at least one message is required"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, 'messages: first message must use the "user" role'),
    (says(""), "messages.0: all messages must have non-empty content"),
    (says([]), "messages.0: all messages must have non-empty content"),
    (says(" \n"), "messages: text content blocks must contain non-whitespace text"),
    (says([{"type": "text"}]), "messages.0.content.0.text.text: Field required"),
    (says([{"type": "video"}]), "messages.0.content.0: Input tag 'video' found"),
    (says([image(media_type="image/bmp")]), "messages.0.content.0.image.source.base64.media_type: Input should be"),
    (says([image(data="A" * (10 * 1024 * 1024 + 1))]), "messages.0.content.0.image.source.base64.data: String should have"),
    (says([image(type="file")]), "messages.0.content.0.image.source: Input tag 'file' found"),
    (
        {"messages": [USER, {"role": "assistant", "content": [{"type": "document", "source": {}}]}]},
        "messages.1.content.0: Input tag",
    ),
    ({"messages": [USER, use(), USER]}, "messages.2: `tool_use` ids were found without `tool_result` blocks"),
    ({"messages": [USER, result()]}, "messages.1: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1"),
    ({"system": [{"type": "text", "text": "x", "cache_control": {"type": "forever"}}]}, "system.0.cache_control.type: "),
    (says([{"type": "text", "text": "x", "cache_control": EPHEMERAL}] * 5), "A maximum of 4 blocks with cache_control may"),
    ({"stop_sequences": [" "]}, "stop_sequences: each stop sequence must contain non-whitespace"),
    ({"thinking": {"type": "often"}}, "thinking: Input tag 'often' found"),
    ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "thinking.enabled.budget_tokens: Input should be greater"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "`max_tokens` must be greater than `thinking.budget_tokens`"),
    ({"output_config": {"effort": "huge"}}, "output_config.effort: Input should be 'low'"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: Field required"),
    ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools.0.name: String should match pattern"),
    ({"tools": [{"type": "web_search_20260209", "name": "web_search"}]}, "tools.0.type: Input should be 'custom'"),
    ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    ({"tools": [{"name": "t", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
    (
        {"tools": [{"name": "t", "input_schema": {"type": "array"}}]},
        "tools.0.custom.input_schema.type: Input should be 'object'",
    ),
    (
        {"tools": [{"name": "t", "input_schema": {"type": "object", "properties": 5}}]},
        "tools.0.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12",
    ),
    ({"tool_choice": {"type": "any"}}, "tool_choice: may only be specified while providing tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "u"}}, "tool_choice: Tool 'u' not found in provided tools"),
    ({"max_tokens": 0, "stream": True}, "max_tokens: 0 (cache pre-warm) cannot be combined with stream"),
    ({"max_tokens": 0, "output_config": FORMAT}, "max_tokens: 0 (cache pre-warm) cannot be combined with output_config.format"),
    (
        {"max_tokens": 0, "tools": [TOOL], "tool_choice": {"type": "any"}},
        "max_tokens: 0 (cache pre-warm) cannot be combined with",
    ),
    (strict_tools(21), "tools: at most 20 strict tools are supported, found 21"),
    (strict_tools(1, {"type": "object"}), "tools.0.custom.input_schema: For 'object' type, 'additionalProperties' must be"),
    (
        strict_tools(5, with_properties(5, {"type": "string"}, required=False)),
        "Schemas contain too many optional parameters (25)",
    ),
    (
        strict_tools(1, with_properties(17, {"type": ["string", "null"]}, required=True)),
        "Schemas contain too many parameters with union types (17",
    ),
    (
        {
            "output_config": FORMAT,
            **says(
                [
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                        "citations": {"enabled": True},
                    }
                ]
            ),
        },
        "output_config.format: citations cannot be enabled together with a format",
    ),
    (
        says([{"type": "text", "text": "x", "citations": [{"type": "char_location"}]}]),
        "messages.0.content.0: citations are not permitted in user messages",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_a_body_that_the_api_refuses_is_refused_in_its_words(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as caught:
        asked(**changes)
    assert caught.value.status == 400
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("raw", [b"", b"{", b'{"model": "\\ud800"}', b"\xff"])
def test_what_is_no_json_is_refused_as_such(raw: bytes) -> None:
    with pytest.raises(ApiError, match=r"^The request body is not valid JSON: "):
        messages.question(raw, NOW)


def test_numbers_of_any_size_and_no_others_are_numbers() -> None:
    huge = {"name": "t", "input_schema": {"type": "object", "properties": {"a": {"minimum": 10**40}}}}
    assert str(10**40) in asked(tools=[huge]).tools
    none = {"name": "t", "input_schema": {"type": "object", "properties": {"a": {"minimum": float("nan")}}}}
    with pytest.raises(ApiError, match="NaN and Infinity are no numbers of JSON"):
        asked(tools=[none])


def test_a_refusal_does_not_carry_the_document() -> None:
    with pytest.raises(ApiError) as caught:
        asked(**says("a secret document"), max_tokens="secret")
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "message"),
    [(None, "anthropic-version: header is required"), ("1999-01-01", 'anthropic-version: "1999-01-01" is not a valid version')],
)
def test_the_version_header_is_required_and_known(version: str | None, message: str) -> None:
    for read in (messages.question, messages.counted):
        with pytest.raises(ApiError) as caught:
            read(body(), version)
        assert caught.value.message == message


def test_the_old_version_takes_sampling_parameters() -> None:
    assert asked(version=OLD, temperature=0.5, top_k=3).sampling == Sampling(0.5, None, 3)


def test_the_old_version_takes_citations_in_user_text() -> None:
    cited = says([{"type": "text", "text": "x", "citations": [{"type": "char_location"}]}])
    body = {"model": "m", "max_tokens": 9, **cited}
    assert messages.question(json.dumps(body).encode(), "2023-06-01").turns[0].text == "x"


def test_count_tokens_needs_no_max_tokens_and_takes_none() -> None:
    assert messages.counted(body(max_tokens=None), NOW).model == "m"
    with pytest.raises(ApiError, match="max_tokens: Extra inputs are not permitted"):
        messages.counted(body(), NOW)


def test_consecutive_messages_of_one_role_are_one_turn() -> None:
    turns = asked(messages=[USER, USER, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Go."}]).turns
    assert [(turn.role, turn.text) for turn in turns] == [("user", "Hello\nHello"), ("assistant", "Yes?"), ("user", "Go.")]


def test_all_text_of_a_turn_is_read_wherever_it_stands() -> None:
    plain = {"type": "text", "media_type": "text/plain", "data": "the text"}
    blocks = {"type": "content", "content": [{"type": "text", "text": "inner"}, image(data="BBBB")]}
    turn = asked(
        **says(
            [
                {"type": "text", "text": "first"},
                {"type": "document", "source": plain, "title": "Title", "context": "Context"},
                {"type": "document", "source": blocks},
                {"type": "search_result", "source": "s", "title": "Found", "content": [{"type": "text", "text": "hit"}]},
                image(),
            ]
        )
    ).turns[0]
    assert turn.text.splitlines() == ["first", "Title", "Context", "the text", "inner", "Found", "hit"]
    assert turn.media == (
        Medium("messages.0.content.2.1.image", "BBBB"),
        Medium("messages.0.content.4.image", "AAAA"),
    )


def test_pdfs_are_media() -> None:
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}
    link = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
    media = asked(**says([pdf, link])).turns[0].media
    assert [medium.source for medium in media] == ["JVBE", "https://example.com/a.pdf"]


def test_tool_calls_and_their_results_are_read() -> None:
    turns = asked(messages=[USER, use(), result(content=[{"type": "text", "text": "42"}])], tools=[TOOL]).turns
    assert turns[1].called == ('{"x":1}',)
    assert (turns[2].text, turns[2].results) == ("42", True)


def test_thinking_blocks_may_be_sent_back() -> None:
    thinking = [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": "Yes"}]
    assert asked(messages=[USER, {"role": "assistant", "content": thinking}, USER]).turns[1].text == "Yes"


def test_system_text_comes_from_the_field_and_from_system_turns() -> None:
    question = asked(system=[{"type": "text", "text": "one"}], messages=[USER, {"role": "system", "content": "two"}])
    assert (question.system, question.system_turns) == ("one\ntwo", True)
    assert [turn.role for turn in question.turns] == ["user"]


@pytest.mark.parametrize(
    ("changes", "form", "forced"),
    [
        ({}, Prose(), False),
        ({"output_config": FORMAT}, Shaped(json.dumps(SCHEMA, separators=(",", ":"))), False),
        ({"tools": [TOOL]}, Called("t", '{"type":"object"}'), False),
        ({"tools": [TOOL], "tool_choice": {"type": "none"}}, Prose(), False),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}}, Called("t", '{"type":"object"}'), True),
        ({"tools": [TOOL], "messages": [USER, use(), result()]}, Prose(), False),
        (
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "t"}, "messages": [USER, use(), result()]},
            Called("t", '{"type":"object"}'),
            True,
        ),
    ],
)
def test_the_form_of_the_answer_follows_from_format_tools_and_choice(changes: Any, form: object, forced: bool) -> None:
    question = asked(**changes)
    assert (question.form, question.forced) == (form, forced)


def test_the_rest_is_passed_on() -> None:
    question = asked(
        stop_sequences=["END"],
        stream=True,
        thinking={"type": "adaptive", "display": "summarized"},
        output_config={"effort": "low"},
    )
    assert (question.stop_sequences, question.stream, question.effort) == (("END",), True, "low")
    assert (question.thinking, question.shows_thinking) == ("adaptive", True)
