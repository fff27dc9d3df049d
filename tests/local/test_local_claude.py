"""What `rehearsal` refuses in the name of a Claude: the table of the API's own rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.local import claude, messages

OLD = "2023-06-01"
ADAPTIVE = {"thinking": {"type": "adaptive"}}
DISABLED = {"thinking": {"type": "disabled"}}
BETWEEN = {"thinking": {"type": "between_tools"}}
ENABLED = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
FORCED = {"tools": [{"name": "t", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"}}
PREFILL = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{"}]}
SYSTEM_TURN = {"messages": [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}]}


def effort(level: str) -> dict[str, Any]:
    return {"output_config": {"effort": level}}


def fault(model: str, changes: dict[str, Any], *, version: str = messages.PRESENT_VERSION) -> str | None:
    body = {"model": model, "max_tokens": 2000, "messages": [{"role": "user", "content": "Hi"}], **changes}
    known = claude.rules(model)
    assert known is not None
    return claude.fault(messages.question(json.dumps(body).encode(), version), known)


def images(count: int) -> dict[str, Any]:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    return {"messages": [{"role": "user", "content": [image] * count}]}


TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("claude-haiku-5-5", DISABLED | effort("high")),
    ("claude-haiku-5-5", FORCED),
    ("claude-haiku-5-5", SYSTEM_TURN),
    ("claude-sonnet-5-5", BETWEEN | effort("low")),
    ("claude-opus-5-5", ADAPTIVE | effort("max")),
    ("claude-opus-4-8", DISABLED | effort("max")),
    ("claude-sonnet-5", DISABLED | effort("xhigh")),
    ("claude-sonnet-4-6", ENABLED),
    ("claude-haiku-4-5-20251001", ENABLED),
    ("claude-haiku-4-5", PREFILL),
    ("claude-fable-5", FORCED),
    ("claude-haiku-5-5", images(600)),
]
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("claude-haiku-5-5", ENABLED, 'thinking.type: "enabled" is not supported for this model'),
    ("claude-haiku-5-5", BETWEEN, 'thinking.type: "between_tools" is not supported'),
    ("claude-haiku-5-5", DISABLED | effort("xhigh"), 'thinking.type: "disabled" is not supported with effort "xhigh"'),
    ("claude-opus-5", DISABLED | effort("max"), 'thinking.type: "disabled" is not supported with effort "max"'),
    ("claude-sonnet-5-5", DISABLED, "Supported: 'adaptive', 'between_tools'."),
    ("claude-sonnet-5-5", BETWEEN | effort("max"), 'thinking.type: "between_tools" is not supported with effort "max"'),
    ("claude-opus-5-5", DISABLED, 'thinking.type: "disabled" is not supported for this model'),
    ("claude-fable-5-2", DISABLED, 'thinking.type: "disabled" is not supported for this model'),
    ("claude-haiku-4-5", ADAPTIVE, 'thinking.type: "adaptive" is not supported for this model'),
    ("claude-haiku-4-5", effort("low"), "This model does not support the effort parameter"),
    ("claude-sonnet-4-6", effort("xhigh"), "output_config.effort: 'xhigh' is not supported for this model"),
    ("claude-opus-5-5", FORCED, 'tool_choice: type "tool" and "any" are not supported for this model.'),
    ("claude-sonnet-4-6", FORCED | ENABLED, "Thinking may not be enabled when tool_choice forces tool use."),
    ("claude-sonnet-4-6", PREFILL, "This model does not support assistant message prefill."),
    ("claude-haiku-4-5", PREFILL | ENABLED, "This model does not support assistant message prefill."),
    ("claude-sonnet-5", SYSTEM_TURN, 'messages: Unexpected role "system".'),
    ("claude-haiku-4-5", images(101), "messages: too many images: 101 > 100"),
    ("claude-haiku-5-5", images(601), "messages: too many images: 601 > 600"),
    ("claude-haiku-4-5", {"max_tokens": 64_001}, "max_tokens: 64001 > 64000, which is the maximum allowed number"),
]
SAMPLING: list[tuple[str, dict[str, Any], str | None]] = [
    ("claude-sonnet-4-6", {"temperature": 0.2, "top_k": 5}, None),
    ("claude-haiku-5-5", {"temperature": 1.0}, None),
    ("claude-haiku-5-5", {"top_p": 0.99}, None),
    ("claude-haiku-5-5", {"temperature": 0.0}, "temperature: must be 1 for this model."),
    ("claude-haiku-5-5", {"top_p": 0.5}, "top_p: must be 0.99 for this model."),
    ("claude-haiku-5-5", {"top_k": 5}, "top_k: not supported for this model."),
    ("claude-haiku-5-5", {"temperature": 1.0, "top_p": 0.99}, "`temperature` and `top_p` cannot both be specified"),
]


@pytest.mark.parametrize(("model", "changes"), TAKEN)
def test_what_the_model_takes_is_taken(model: str, changes: dict[str, Any]) -> None:
    assert fault(model, changes) is None


@pytest.mark.parametrize(("model", "changes", "message"), REFUSED)
def test_what_the_model_refuses_is_refused(model: str, changes: dict[str, Any], message: str) -> None:
    assert message in (fault(model, changes) or "")


@pytest.mark.parametrize(("model", "changes", "message"), SAMPLING)
def test_sampling_under_the_old_version_goes_by_the_model(model: str, changes: dict[str, Any], message: str | None) -> None:
    found = fault(model, changes, version=OLD)
    assert (found is None) if message is None else found is not None and found.startswith(message)


@pytest.mark.parametrize(
    ("model", "changes", "thinks"),
    [
        ("claude-haiku-5-5", {}, True),
        ("claude-haiku-5-5", DISABLED, False),
        ("claude-haiku-5-5", FORCED, False),
        ("claude-sonnet-5-5", BETWEEN, False),
        ("claude-sonnet-4-6", {}, False),
        ("claude-sonnet-4-6", ADAPTIVE, True),
        ("claude-haiku-4-5", ENABLED, True),
    ],
)
def test_a_model_thinks_by_its_default_or_as_told(model: str, changes: dict[str, Any], thinks: bool) -> None:
    body = {"model": model, "max_tokens": 2000, "messages": [{"role": "user", "content": "Hi"}], **changes}
    known = claude.rules(model)
    assert known is not None
    assert claude.thinks(messages.question(json.dumps(body).encode(), messages.PRESENT_VERSION), known) is thinks


def test_a_name_that_is_no_claude_has_no_rules() -> None:
    assert claude.rules("gpt-9") is None
