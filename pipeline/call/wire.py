"""Prompt → request body; response body → Reply, or why it is none. Pure, and the same online and in batches.

Shapes: platform.claude.com/docs/en/api/messages, version 2026-10-21, read 2026-10-10.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import blake2b

from pipeline.call.form import TOOL_NAME, Form
from pipeline.records import JSON, Constant, Prompt, Reply, Text, Turn, Usage, Verbatim
from pipeline.schema.load import deeper_than

KEY_BYTES = 16
MOST_TOKENS = 2**40
"""A count beyond this is no count; sums of such stay within 64 bits."""
MOST_LEVELS = 100
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A 200 that is no message: HTML, a cut body, a message without its essential fields."""

    reason: str


@dataclass(frozen=True, slots=True)
class Shape:
    """All of a run's requests that no row changes, built once; bodies share these parts and nobody changes them."""

    form: Form
    fixed: dict[str, JSON]
    messages: list[JSON]
    """The example turns."""
    open_tool: str | None
    base: bytes
    """Digest of endpoint, API version and all of the request that no row changes."""

    def body(self, prompt: Prompt) -> dict[str, JSON]:
        """The whole request body. Its constant part is equal for all rows and ends with the cache breakpoint."""
        return {**self.fixed, "messages": [*self.messages, *_messages(prompt.turns, self.open_tool)]}

    def key(self, prompt: Prompt) -> bytes:
        """The request key, 16 bytes: equal for equal requests. Row, attempt and transport (streamed or whole) are no part.

        BLAKE2b over `base` and the canonical JSON of the row's own turns.
        """
        return blake2b(self.base + _canonical(_messages(prompt.turns, self.open_tool)), digest_size=KEY_BYTES).digest()


def shape(constant: Constant, form: Form, asked: str = "api") -> Shape:
    """The constant part of a run's requests, with the cache breakpoint on its last block.

    `asked` is who answers: what a rehearsal made up must never stand for an answer of the API, so it is part of the key.
    """
    fixed = _fixed(form)
    system: list[JSON] = [{"type": "text", "text": constant.system}] if constant.system else []
    messages = _messages(constant.examples if form.way != "tool" else _as_tool_calls(constant.examples), None)
    if system:
        fixed["system"] = system
    said = {**fixed, "messages": messages, "endpoint": "/v1/messages", "version": form.api_version, "asked": asked}
    base = blake2b(_canonical(said), digest_size=KEY_BYTES).digest()
    # The breakpoint changes no answer: it is no part of the key. The first request writes the cache that all others read:
    # a pre-warming one (max_tokens 0) is refused together with a format or a forced tool, and one without them would
    # warm another prefix (build-with-claude/prompt-caching, read 2026-10-08).
    content = _member(messages[-1], "content") if messages else system
    last = content[-1] if isinstance(content, list) and content else None
    if form.cache != "off" and isinstance(last, dict):
        last["cache_control"] = {"type": "ephemeral", "ttl": form.cache}
    return Shape(form, fixed, messages, _open_tool(messages), base)


def _canonical(value: JSON) -> bytes:
    """Sorted keys, no spaces. The standard library's encoder: a schema may hold integers of any size."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _fixed(form: Form) -> dict[str, JSON]:
    built: dict[str, JSON] = {**form.extra, "model": form.model, "max_tokens": form.max_tokens}
    if form.stop_sequences:
        built["stop_sequences"] = [*form.stop_sequences]
    if form.thinking is not None:
        built["thinking"] = form.thinking
    output: dict[str, JSON] = {}
    if form.effort is not None:
        output["effort"] = form.effort
    if form.way == "native":
        output["format"] = {"type": "json_schema", "schema": form.schema}
    if output:
        built["output_config"] = output
    if form.way == "tool":
        built["tools"] = [
            {"name": TOOL_NAME, "description": "Record the answer about the document.", "input_schema": form.schema}
        ]
        built["tool_choice"] = {"type": "tool", "name": TOOL_NAME, "disable_parallel_tool_use": True}
    return built


def _as_tool_calls(examples: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Example answers as calls of the answering tool, so that they show the form that is asked for."""
    turns: list[Turn] = []
    for number, turn in enumerate(examples):
        if turn.role == "user":
            turns.append(turn)
            continue
        block = turn.blocks[0]
        assert isinstance(block, Text)
        call = {
            "type": "tool_use",
            "id": f"toolu_example_{number}",
            "name": TOOL_NAME,
            "input": json.loads(block.text),
        }
        turns.append(Turn("assistant", (Verbatim(json.dumps([call])),)))
    return tuple(turns)


def _messages(turns: tuple[Turn, ...], open_tool: str | None) -> list[JSON]:
    """API messages. A user turn after a tool call must begin with that tool's result: `open_tool` is a call left open."""
    messages: list[JSON] = []
    for turn in turns:
        content: list[JSON] = []
        if turn.role == "user" and open_tool is not None:
            content.append({"type": "tool_result", "tool_use_id": open_tool, "content": "Recorded."})
            open_tool = None
        for block in turn.blocks:
            if isinstance(block, Text):
                content.append({"type": "text", "text": block.text})
            else:
                content.extend(json.loads(block.content))
        message: JSON = {"role": turn.role, "content": content}
        messages.append(message)
        if turn.role == "assistant":
            open_tool = _open_tool([message])
    return messages


def _open_tool(messages: list[JSON]) -> str | None:
    """The id of the tool call that the last message leaves without a result."""
    content = _member(messages[-1], "content") if messages else None
    for block in content if isinstance(content, list) else []:
        if _member(block, "type") == "tool_use":
            identity = _member(block, "id")
            return identity if isinstance(identity, str) else None
    return None


def read(raw: bytes, form: Form, *, request_id: str | None, latency_s: float, at: float, attempts: int) -> Reply | Unreadable:
    """A Reply from the body of a 200, or why it is none. Thinking blocks may come first: blocks are chosen by type.

    The standard library reads it, not orjson: an answer may hold an integer beyond 64 bits, or half of a surrogate pair,
    and what it means is decided in check/, not here.
    """
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return Unreadable(f"the body of the 200 is not JSON ({error}); it begins with {raw[:60]!r}")
    if not isinstance(message, dict) or not isinstance(content := message.get("content"), list):
        return Unreadable("the body of the 200 is JSON but no message: it has no content")
    if deeper_than(content, MOST_LEVELS):
        return Unreadable(
            f"the reply is nested deeper than {MOST_LEVELS} levels: no answer is, and no encoder would take it back"
        )
    usage = message.get("usage")
    if not isinstance(usage, dict) or not isinstance(message.get("stop_reason"), str):
        return Unreadable("the message has no usage or no stop_reason: it was cut, or a proxy changed it")
    return Reply(
        text=_answer_text(content, form),
        content=_LONE_SURROGATES.sub("\ufffd", json.dumps(content, ensure_ascii=False)),
        stop_reason=message["stop_reason"],
        model=_string(message.get("model")) or "",
        message_id=_string(message.get("id")) or "",
        request_id=request_id,
        usage=_usage(usage),
        latency_s=latency_s,
        at=at,
        attempts=attempts,
        tier=_string(usage.get("service_tier")) or "standard",
        geo=_string(usage.get("inference_geo")),
        refusal=_refusal(message.get("stop_details")),
    )


def _answer_text(content: list[JSON], form: Form) -> str:
    if form.way == "tool":
        for block in content:
            if _member(block, "type") == "tool_use" and _member(block, "name") == TOOL_NAME:
                return json.dumps(_member(block, "input"), ensure_ascii=False)
    texts = (_member(block, "text") for block in content if _member(block, "type") == "text")
    return "".join(text for text in texts if isinstance(text, str))


def _usage(usage: dict[str, JSON]) -> Usage:
    def count(name: str, within: JSON = usage) -> int:
        value = _member(within, name)
        return value if type(value) is int and 0 <= value <= MOST_TOKENS else 0

    one_hour = count("ephemeral_1h_input_tokens", usage.get("cache_creation"))
    return Usage(
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        cache_read_tokens=count("cache_read_input_tokens"),
        # The split is optional in the API: without it all writes count as 5-minute ones, the default ttl.
        cache_write_5m_tokens=max(0, count("cache_creation_input_tokens") - one_hour),
        cache_write_1h_tokens=one_hour,
        thinking_tokens=count("thinking_tokens", usage.get("output_tokens_details")),
    )


def _refusal(details: JSON) -> str | None:
    words = [_member(details, "category"), _member(details, "explanation")]
    return ": ".join(word for word in words if isinstance(word, str)) or None


def _member(value: JSON, name: str) -> JSON:
    return value.get(name) if isinstance(value, dict) else None


def _string(value: JSON) -> str | None:
    return value if isinstance(value, str) else None
