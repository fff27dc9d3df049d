"""Settings resolved for the model, against the table of API.md 1.4 and 4."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.call.form import Form, form, grown
from pipeline.errors import ConfigInvalid
from pipeline.schema.load import load
from pipeline.settings import Model

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
