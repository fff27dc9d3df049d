"""Prompt → request body; response body → Reply, or why it is none. Pure, and the same online and in batches.

Shapes: platform.claude.com/docs/en/api/messages, version 2026-10-21, read 2026-10-10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import jiter
import orjson

from pipeline.call import media
from pipeline.call.form import TOOL_NAME, Form
from pipeline.records import JSON, Complaint, Constant, Medium, Pieces, Prompt, Reply, Text, Turn, Usage, Verbatim
from pipeline.schema.load import deeper_than

KEY_BYTES = 16
MOST_TOKENS = 2**40
"""A count beyond this is no count; sums of such stay within 64 bits."""
MOST_LEVELS = 100
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


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
    open_tools: tuple[str, ...]
    base: bytes
    """Digest of endpoint, API version and all of the request that no row changes, but `max_tokens`."""
    earlier: tuple[Shape, ...] = ()
    """Those of the turns of `prompt.user` before the last, in order: they ask for another form, or for none."""

    combining: Shape | None = None
    """Of prompts that combine the answers to the pieces of a row; None where none do."""

    @property
    def each(self) -> tuple[Shape, ...]:
        """All that a run asks by."""
        return (*self.earlier, self, *(() if self.combining is None else (self.combining,)))

    def of(self, prompt: Prompt) -> Shape:
        """The one that asks this turn."""
        if prompt.combines and self.combining is not None:
            return self.combining
        return self.earlier[prompt.step] if prompt.step < len(self.earlier) else self

    def body(self, prompt: Prompt) -> dict[str, JSON]:
        """The whole request body. Its constant part is equal for all rows and ends with the cache breakpoint."""
        own = self.of(prompt)
        body = {**own.fixed, "messages": [*own.messages, *_messages(prompt.turns, own.open_tools)]}
        if prompt.max_tokens is not None:
            body["max_tokens"] = prompt.max_tokens
        return body

    def key(self, prompt: Prompt) -> bytes:
        """The request key, 16 bytes: equal for equal requests. Row, attempt and transport (streamed or whole) are no part.

        BLAKE2b over `base`, `max_tokens` and the canonical JSON of the row's own turns, with digests in place of pictures
        and documents. `max_tokens` stands apart, so that an answer bought with more room is the one that a job with that
        much room asks for.
        """
        own = self.of(prompt)
        room = own.form.max_tokens if prompt.max_tokens is None else prompt.max_tokens
        return _digest(own.base, str(room).encode(), _canonical(_messages(prompt.turns, own.open_tools, media.named)))

    def identity(self, first: Prompt | Pieces) -> bytes:
        """What a row asks from its first turn to its last, 16 bytes: for a single turn, the key of its request. A row whose
        first question is the same may still ask something else later, or leave out more of its text."""
        if isinstance(first, Pieces):
            combined_by = b"" if self.combining is None else self.combining.base
            return _digest(b"pieces", combined_by, *map(self.key, first.prompts))
        key = self.key(first)
        if first.left_out:
            return _digest(key, b"left out", str(first.left_out).encode())
        if not self.earlier:
            return key
        return _digest(key, *(shape.base for shape in (*self.earlier, self)), _canonical([*first.beyond]))


def shape(constant: Constant, form: Form, asked: str = "api", *, free: bool = False, earlier: tuple[Shape, ...] = ()) -> Shape:
    """The constant part of a run's requests, with the cache breakpoint on its last block.

    `asked` is who answers: what a rehearsal made up must never stand for an answer of the API, so it is part of the key.
    `free`: no JSON is asked for, any text will do.
    """
    fixed = _fixed(form)
    if free:
        _unbound(fixed)
    system: list[JSON] = [{"type": "text", "text": constant.system}] if constant.system else []
    messages = _messages(constant.examples if form.way != "tool" else _as_tool_calls(constant.examples), ())
    if system:
        fixed["system"] = system
    said = {**fixed, "messages": messages, "endpoint": "/v1/messages", "version": form.api_version, "asked": asked}
    del said["max_tokens"]
    base = _digest(_canonical(said))
    # The breakpoint changes no answer: it is no part of the key. The first request writes the cache that all others read:
    # a pre-warming one (max_tokens 0) is refused together with a format or a forced tool, and one without them would
    # warm another prefix (build-with-claude/prompt-caching, read 2026-10-08).
    content = _member(messages[-1], "content") if messages else system
    last = content[-1] if isinstance(content, list) and content else None
    if form.cache != "off" and isinstance(last, dict):
        last["cache_control"] = {"type": "ephemeral", "ttl": form.cache}
    return Shape(form, fixed, messages, _open_tools(messages), base, earlier)


def _digest(*parts: bytes) -> bytes:
    return blake2b(b"\0".join(parts), digest_size=KEY_BYTES).digest()


def _canonical(value: JSON) -> bytes:
    """Sorted keys, no spaces. The standard library's encoder: a schema may hold integers of any size."""
    return _ENCODER.encode(value).encode()


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


def _unbound(fixed: dict[str, JSON]) -> None:
    """Asks for free text instead. The tool stays, and is not to be called: a conversation that holds calls of it must name
    it, and what stands before the first message keeps its place in the prompt cache."""
    output = fixed.get("output_config")
    if isinstance(output, dict):
        output.pop("format", None)
        if not output:
            del fixed["output_config"]
    if "tool_choice" in fixed:
        fixed["tool_choice"] = {"type": "none"}


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


def _messages(
    turns: tuple[Turn, ...], open_tools: tuple[str, ...], shown: Callable[[Medium], JSON] = media.block
) -> list[JSON]:
    """API messages. A user turn after tool calls must begin with their results: `open_tools` are calls left without.
    `shown`: what stands for a picture or document.

    An assistant's turn with nothing in it that the API would take back is left out, and the user's turns around it are one.
    """
    messages: list[JSON] = []
    said: list[JSON] = []
    """Content of the user's turn that is being gathered."""
    for turn in turns:
        if turn.role == "user":
            said += _said(turn, open_tools, shown)
            open_tools = ()
            continue
        content = _returnable([block for part in turn.blocks for block in _blocks(part, shown)])
        if content:
            messages += [{"role": "user", "content": said}, {"role": "assistant", "content": content}]
            said = []
            open_tools = _open_tools(messages)
    return [*messages, {"role": "user", "content": said}] if said else messages


def _said(turn: Turn, open_tools: tuple[str, ...], shown: Callable[[Medium], JSON]) -> list[JSON]:
    """Content of a user's turn."""
    complaint = turn.blocks[0] if turn.blocks and isinstance(turn.blocks[0], Complaint) else None
    if complaint is None or not open_tools:
        results: list[JSON] = [
            {"type": "tool_result", "tool_use_id": identity, "content": "Recorded."} for identity in open_tools
        ]
        return [*results, *(block for part in turn.blocks for block in _blocks(part, shown))]
    # A failed call is mended by calling again, and text after a result leads the model to end its turn (platform.claude.com/
    # docs, build-with-claude/handling-stop-reasons, read 2026-11-25): so the complaint is the result itself.
    return [
        {"type": "tool_result", "tool_use_id": identity, "content": complaint.text, "is_error": True} for identity in open_tools
    ]


def _blocks(part: Text | Verbatim | Complaint | Medium, shown: Callable[[Medium], JSON]) -> list[JSON]:
    match part:
        case Verbatim():
            content: list[JSON] = json.loads(part.content)
            return content
        case Text() | Complaint():
            return [{"type": "text", "text": part.text}]
        case _:
            return [shown(part)]


def _returnable(content: list[JSON]) -> list[JSON]:
    """An assistant's content as the API takes it back: it refuses blank texts ("text content blocks must contain
    non-whitespace text") and a turn that ends with thinking ("The final block in an assistant message cannot be `thinking`",
    github.com/tailcallhq/forgecode/issues/2107)."""
    kept = [block for block in content if _member(block, "type") != "text" or str(_member(block, "text") or "").strip()]
    while kept and _member(kept[-1], "type") in ("thinking", "redacted_thinking"):
        kept.pop()
    return kept


def _open_tools(messages: list[JSON]) -> tuple[str, ...]:
    """The ids of the tool calls that the last message leaves without a result."""
    content = _member(messages[-1], "content") if messages else None
    calls = (block for block in (content if isinstance(content, list) else []) if _member(block, "type") == "tool_use")
    return tuple(identity for call in calls if isinstance(identity := _member(call, "id"), str))


def read(
    raw: bytes, form: Form, *, request_id: str | None, latency_s: float | None, at: float, attempts: int
) -> Reply | Unreadable:
    """A Reply from the body of a 200, or why it is none. Thinking blocks may come first: blocks are chosen by type.

    Not by orjson: an answer may hold an integer beyond 64 bits, or half of a surrogate pair, and what it means is decided in
    check/, not here.
    """
    try:
        message = _loaded(raw)
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
        content=_dumped(content),
        stop_reason=_string(message["stop_reason"]) or "",
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


def _loaded(raw: bytes) -> JSON:
    """As the standard library reads it, which is asked where jiter refuses: halves of surrogate pairs it takes alone."""
    try:
        value: JSON = jiter.from_json(raw)
    except ValueError:
        value = json.loads(raw)
    return value


def _dumped(content: list[JSON]) -> str:
    """Without halves of surrogate pairs. orjson writes neither those nor integers beyond 64 bits."""
    try:
        return orjson.dumps(content).decode()
    except orjson.JSONEncodeError:
        return _LONE_SURROGATES.sub("\ufffd", json.dumps(content, ensure_ascii=False))


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
    words = [_string(_member(details, "category")), _string(_member(details, "explanation"))]
    return ": ".join(word for word in words if word is not None) or None


def _member(value: JSON, name: str) -> JSON:
    return value.get(name) if isinstance(value, dict) else None


def _string(value: JSON) -> str | None:
    """Such a value ends in files, which cannot hold half a surrogate pair."""
    return _LONE_SURROGATES.sub("\ufffd", value) if isinstance(value, str) else None
