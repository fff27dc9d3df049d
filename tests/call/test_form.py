"""Settings resolved for the model: what is sent, what is refused and why, what is told."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from pipeline.call.form import Form, cached, form, grown
from pipeline.call.models import DATED, MODELS, facts
from pipeline.call.wire import shape
from pipeline.errors import ConfigInvalid
from pipeline.local import claude, messages
from pipeline.records import Constant, Text, Turn
from pipeline.schema.load import load
from pipeline.settings import Model
from tests.call.fakes import prompt

PLAIN = load(
    json.dumps({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}),
    "s.json",
)
MAP = load(
    json.dumps({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "integer"}}}}),
    "m.json",
)


def resolved(name: str, schema: Any = PLAIN, **settings: Any) -> Form:
    return form(Model(name=name, **settings), schema)


LEAST = [
    ("claude-haiku-5-5", {"type": "disabled"}, "low"),
    ("claude-sonnet-5-5", {"type": "between_tools"}, "low"),
    ("claude-opus-5-5", {"type": "adaptive"}, "low"),
    ("claude-fable-5-2", {"type": "adaptive"}, "low"),
    ("claude-opus-5", {"type": "disabled"}, "low"),
    ("claude-sonnet-5", {"type": "disabled"}, "low"),
    ("claude-opus-4-8", None, "low"),
    ("claude-sonnet-4-6", None, "low"),
    ("claude-haiku-4-5", None, None),
    ("claude-haiku-4-5-20251001", None, None),
    ("smollm2-135m", None, None),
    ("claude-haiku-6", None, None),
]


@pytest.mark.parametrize(("name", "thinking", "effort"), LEAST)
def test_auto_is_the_least_that_the_model_allows(name: str, thinking: dict[str, str] | None, effort: str | None) -> None:
    got = resolved(name)
    assert (got.thinking, got.effort, got.way) == (thinking, effort, "native")


def test_auto_thinks_where_the_wanted_effort_does_not_go_without() -> None:
    assert resolved("claude-haiku-5-5", effort="max").thinking == {"type": "adaptive"}


def test_thinking_is_asked_for_in_the_models_own_way() -> None:
    assert resolved("claude-haiku-5-5", thinking="on").thinking == {"type": "adaptive"}
    assert resolved("claude-haiku-4-5", thinking="on", max_tokens=4096).thinking == {"type": "enabled", "budget_tokens": 1024}


REFUSED = [
    ("claude-sonnet-5-5", {"thinking": "off"}, "cannot switch thinking off"),
    ("claude-opus-5-5", {"thinking": "off"}, "cannot switch thinking off"),
    ("claude-haiku-5-5", {"thinking": "off", "effort": "xhigh"}, "only up to effort high"),
    ("claude-haiku-4-5", {"effort": "low"}, "has no effort setting"),
    ("claude-sonnet-4-6", {"effort": "xhigh"}, "takes low, medium, high, max"),
    ("claude-haiku-4-5", {"thinking": "on"}, "raise 1,024"),
    ("claude-haiku-4-5", {"max_tokens": 64_001}, "at most 64,000"),
    ("claude-opus-5-5", {"format": "tool"}, "does not take a forced tool"),
    ("claude-haiku-4-5", {"format": "tool", "thinking": "on", "max_tokens": 4096}, "while thinking is on"),
    ("smollm2-135m", {"thinking": "on"}, "not known how smollm2-135m thinks"),
]


@pytest.mark.parametrize(("name", "settings", "reason"), REFUSED)
def test_what_a_model_cannot_take_is_refused_with_the_reason(name: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigInvalid, match=reason):
        resolved(name, **settings)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigInvalid) as raised:
        resolved("claude-opus-5-5", thinking="off", format="tool", max_tokens=200_000)
    assert len(raised.value.faults) == 3


def test_a_schema_that_native_cannot_carry_falls_to_the_tool_and_then_to_the_prompt_with_the_reason() -> None:
    by_tool = resolved("claude-haiku-5-5", MAP)
    assert by_tool.way == "tool"
    assert by_tool.schema["properties"] == MAP.document["properties"]
    assert "cannot carry" in by_tool.notes[0]
    assert resolved("claude-opus-5-5", MAP).way == "prompt"


def test_native_is_refused_where_it_changes_the_meaning() -> None:
    with pytest.raises(ConfigInvalid, match="native is not possible"):
        resolved("claude-haiku-5-5", MAP, format="native")


EXTRAS: list[dict[str, Any]] = [
    {},
    {"temperature": 1},
    {"temperature": 0.2},
    {"top_p": 0.99},
    {"top_k": 5},
    {"temperature": 1, "top_p": 0.99},
    {"inference_geo": "us"},
    {"metadata": {"user_id": "u"}, "service_tier": "standard_only"},
]


def test_names_that_no_tool_takes_leave_the_prompt() -> None:
    odd = load(json.dumps({"type": "object", "properties": {"Größe": {"type": "object"}}, "required": ["Größe"]}), "s.json")
    by_prompt = resolved("claude-haiku-5-5", odd)
    assert by_prompt.way == "prompt"
    assert any("'Größe' is none" in note for note in by_prompt.notes)
    with pytest.raises(ConfigInvalid, match=r"model.format: a tool takes property names .* use auto or prompt"):
        resolved("claude-haiku-5-5", odd, format="tool")


@pytest.mark.parametrize("name", [*MODELS, *DATED])
def test_what_is_sent_is_never_what_the_model_refuses(name: str) -> None:
    """Every setting with every other: refused at check, or taken by the rules that the embedded server holds of this model."""
    rules = claude.rules(name)
    assert rules is not None
    sent = 0
    choices = product(
        ("auto", "off", "on"),
        ("auto", "low", "xhigh", "max"),
        ("auto", "native", "tool", "prompt"),
        [("2026-10-21", {}), *(("2023-06-01", extra) for extra in EXTRAS)],
        [(PLAIN, 512), (MAP, 100_000)],
    )
    for thinking, effort, way, (version, extra), (schema, max_tokens) in choices:
        settings: dict[str, Any] = {"thinking": thinking, "effort": effort, "format": way, "api_version": version}
        try:
            made = resolved(name, schema, **settings, extra=extra, max_tokens=max_tokens)
        except ConfigInvalid:
            continue
        body = json.dumps(shape(Constant("Label it."), made).body(prompt("Fine."))).encode()
        asked = messages.question(body, made.api_version)  # raises what the server would answer 400 to
        assert claude.fault(asked, rules) is None, settings
        assert not (asked.forced and not facts(name).forced_tool)
        sent += 1
    assert sent > 50


REFUSED_EXTRA = [
    ("claude-haiku-5-5", None, {"temperature": 1}, "API version 2026-10-21 takes it of no model"),
    ("claude-haiku-5-5", "2023-06-01", {"temperature": 0.5}, "only its own default, 1"),
    ("claude-haiku-5-5", "2023-06-01", {"top_p": 1}, "only its own default, 0.99"),
    ("claude-haiku-5-5", "2023-06-01", {"top_k": 1}, "top_k: claude-haiku-5-5 does not take it"),
    ("claude-haiku-5-5", "2023-06-01", {"temperature": 1, "top_p": 0.99}, "never taken together"),
    ("claude-haiku-5-5", "2023-06-01", {"temperature": True}, "only its own default"),
    ("claude-haiku-4-5", "2023-06-01", {"temperature": 2}, "a number from 0 to 1"),
    ("claude-haiku-4-5", "2023-06-01", {"temperature": "0"}, "expected a number"),
    ("claude-haiku-4-5", "2023-06-01", {"top_k": 0.5}, "a whole number"),
    ("smollm2-135m", None, {"temperature": 0}, "of no model"),
    ("claude-haiku-4-5", None, {"inference_geo": "us"}, "4.6 generation and later"),
    ("claude-haiku-5-5", None, {"metadata": {"name": "Ann"}}, "an opaque id"),
    ("claude-haiku-5-5", None, {"service_tier": "priority"}, "auto or standard_only"),
    ("claude-haiku-5-5", None, {"speed": "fast"}, "prices that this program does not know"),
    ("claude-haiku-5-5", None, {"messages": []}, "by prompt.user"),
    ("claude-haiku-5-5", None, {"stream": True}, "by model.stream"),
    ("claude-haiku-5-5", None, {"tools": []}, "by model.format"),
    ("claude-haiku-5-5", None, {"extra_headers": {"x": "y"}}, "no field of the body"),
    ("claude-haiku-5-5", None, {"timeout": 1}, "by call.timeout_s"),
]


@pytest.mark.parametrize(("name", "version", "extra", "reason"), REFUSED_EXTRA)
def test_an_extra_that_cannot_be_sent_is_refused_with_the_reason(
    name: str, version: str | None, extra: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigInvalid, match=f"model.extra.*{reason}"):
        resolved(name, api_version=version, extra=extra)


def test_sampling_is_refused_while_a_model_thinks() -> None:
    assert resolved("claude-sonnet-4-6", api_version="2023-06-01", extra={"temperature": 0.2}).extra == {"temperature": 0.2}
    with pytest.raises(ConfigInvalid, match="while it thinks"):
        resolved("claude-sonnet-4-6", api_version="2023-06-01", extra={"temperature": 0.2}, thinking="on")


def test_an_extra_that_is_not_known_is_sent_and_said_so() -> None:
    made = resolved("claude-haiku-5-5", extra={"inference_goe": "us", "brand_new": [1]})
    assert made.extra == {"inference_goe": "us", "brand_new": [1]}
    assert [note for note in made.notes if note.endswith("did you mean inference_geo?")]
    assert [note for note in made.notes if "brand_new: not a parameter known here, sent as it is" in note]


def test_a_claude_that_is_newer_than_the_table_is_asked_as_all_take_it() -> None:
    assert resolved("claude-haiku-6", MAP).way == "prompt"
    assert resolved("claude-haiku-6", thinking="off").thinking == {"type": "disabled"}
    assert resolved("claude-haiku-6", thinking="on").thinking == {"type": "adaptive"}
    assert resolved("smollm2-135m", MAP).way == "tool"


@pytest.mark.parametrize(
    ("max_tokens", "timeout_s", "streamed"),
    [(1024, 120, False), (4266, 120, False), (4267, 120, True), (21_333, 3600, False), (21_334, 3600, True)],
)
def test_what_cannot_come_whole_in_time_is_streamed_and_said_so(max_tokens: int, timeout_s: float, streamed: bool) -> None:
    made = form(Model(name="claude-haiku-5-5", max_tokens=max_tokens), PLAIN, timeout_s=timeout_s)
    assert (made.max_tokens > made.streamed_above) is streamed
    assert any("replies are streamed" in note for note in made.notes) is streamed


def test_streaming_that_is_asked_for_needs_no_note() -> None:
    made = resolved("claude-haiku-5-5", stream=True, max_tokens=1)
    assert made.max_tokens > made.streamed_above
    assert made.notes == ()


def test_thinking_that_may_leave_no_room_for_an_answer_is_told() -> None:
    (note,) = resolved("claude-opus-5-5").notes
    assert "cannot be told not to" in note
    assert "with 1,024" in note
    (note,) = resolved("claude-haiku-5-5", thinking="on").notes
    assert "cannot be told not to" not in note
    assert resolved("claude-opus-5-5", max_tokens=4096).notes == ()
    assert resolved("claude-sonnet-5-5").notes == ()


def test_the_end_of_a_model_is_told() -> None:
    assert [note for note in resolved("claude-sonnet-4-5").notes if "ends on 2026-11-30" in note]


ONE_TOKEN_AT_MOST = 2
"""Bytes of a token at the least that the count assumes."""


@pytest.mark.parametrize("name", MODELS)
def test_a_breakpoint_stands_where_a_cache_may_be_and_nowhere_else(name: str) -> None:
    least = facts(name).min_cached
    assert least is not None
    made = resolved(name, format="prompt")
    long, short = (cached(made, Constant("x" * size)) for size in (ONE_TOKEN_AT_MOST * least, ONE_TOKEN_AT_MOST * least - 1))
    assert (long.cache, short.cache) == ("5m", "off")
    assert long == made
    assert f"fewer than the {least:,} tokens" in short.notes[-1]


def test_examples_and_schema_count_for_the_cache() -> None:
    made = resolved("claude-haiku-5-5")
    examples = (Turn("user", (Text("x" * 500),)), Turn("assistant", (Text("y" * 500),)))
    assert cached(made, Constant("z" * 24)).cache == "off"
    assert cached(made, Constant("z" * 24, examples)).cache == "5m"
    assert cached(resolved("claude-haiku-5-5", format="tool"), Constant("z")).cache == "5m"


def test_caching_that_is_off_or_of_an_unknown_model_is_left_alone() -> None:
    for made in (resolved("claude-haiku-5-5", cache="off"), resolved("smollm2-135m")):
        assert cached(made, Constant("short")) == made


@pytest.mark.parametrize(
    ("name", "max_tokens", "factor", "room"),
    [
        ("claude-haiku-5-5", 1000, 2.0, 2000),
        ("claude-haiku-5-5", 1000, 1.0, None),
        ("claude-haiku-5-5", 3, 1.1, None),
        ("claude-haiku-5-5", 100_000, 2.0, 128_000),
        ("claude-haiku-5-5", 128_000, 2.0, None),
        ("claude-haiku-4-5-20251001", 50_000, 2.0, 64_000),
        ("smollm2-135m", 100_000, 2.0, 200_000),
    ],
)
def test_more_room_is_at_most_what_the_model_is_known_to_write(
    name: str, max_tokens: int, factor: float, room: int | None
) -> None:
    assert grown(resolved(name, max_tokens=max_tokens), factor) == room
