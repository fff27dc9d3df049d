"""A model's parts → what the API sends: a message, or the same as server-sent events. Pure; ids and time come in.

Shapes: the Messages API reference and the types of the Python SDK 2.12.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from pipeline.local.cache import Cached
from pipeline.local.question import Called, Form

ORGANISATION = "00000000-0000-4000-8000-000000000000"
WORKSPACE = "wrkspc_local"
NOT_CACHED = Cached()


@dataclass(frozen=True, slots=True)
class Began:
    """The prompt is accepted: no error after this one is a 400."""

    input_tokens: int
    """All of the prompt, whatever of it the prompt cache gave or keeps."""
    cached: Cached = NOT_CACHED


@dataclass(frozen=True, slots=True)
class Thought:
    text: str
    """Empty where the request did not ask to see it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next part of the text; of the tool's input, as JSON, where the form is a call."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    stop_reason: str | None
    """`end_turn`, `max_tokens`, `stop_sequence`, `refusal`, `model_context_window_exceeded`; None only by a fault."""
    output_tokens: int
    """Thinking included."""
    stop_sequence: str | None = None
    thinking_tokens: int = 0
    category: str | None = None
    """Of a refusal, with its explanation."""
    explanation: str | None = None


Part: TypeAlias = Began | Thought | Piece | Ended


@dataclass(frozen=True, slots=True)
class Heading:
    """What a message says of itself before any text."""

    message_id: str
    tool_use_id: str
    model: str
    form: Form
    geo: str = "global"
    """`inference_geo`, as `usage` tells it."""
    tier: str = "standard"
    """`service_tier`, likewise: `standard` or `batch`."""


def message(heading: Heading, parts: Iterable[Part]) -> dict[str, Any]:
    """The body of a whole reply. `parts` are Began, then any number of Thought and Piece, then Ended."""
    content: list[dict[str, Any]] = []
    texts: list[str] = []
    began, ended = Began(0), Ended("end_turn", 0)
    for part in parts:
        match part:
            case Began():
                began = part
            case Thought():
                content.append(_thinking(part.text, signature=_signature(heading)))
            case Piece():
                texts.append(part.text)
            case Ended():
                ended = part
    text = "".join(texts)
    if isinstance(heading.form, Called) and texts:
        content.append(_tool_use(heading, heading.form, _input(text)))
    elif text:
        content.append({"type": "text", "text": text})
    return {
        **_opening(heading),
        "content": content,
        **_stop(heading, ended),
        "diagnostics": None,
        "usage": _usage(heading, began, ended),
    }


class Events:
    """The same as a stream: the bytes of each event, part by part, in the order of the API's transcript."""

    def __init__(self, heading: Heading) -> None:
        self._heading = heading
        self._index = 0
        self._is_open = False

    def of(self, part: Part) -> Iterator[bytes]:
        match part:
            case Began():
                yield self._start(part)
                yield _event("ping", {})
            case Thought():
                yield from self._thought(part.text)
            case Piece():
                if not self._is_open:
                    yield self._open()
                yield self._delta(part.text)
            case Ended():
                if self._is_open:
                    yield _event("content_block_stop", {"index": self._index})
                yield _event(
                    "message_delta",
                    {
                        "delta": _stop(self._heading, part),
                        "usage": {
                            "output_tokens": part.output_tokens,
                            "output_tokens_details": {"thinking_tokens": part.thinking_tokens},
                        },
                    },
                )
                yield _event("message_stop", {})

    def _start(self, part: Began) -> bytes:
        opening = {
            **_opening(self._heading),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": _usage(self._heading, part, Ended(None, 1)),
        }
        return _event("message_start", {"message": opening})

    def _thought(self, text: str) -> Iterator[bytes]:
        yield self._block_start(_thinking("", signature=""))
        if text:
            yield self._block_delta({"type": "thinking_delta", "thinking": text})
        yield self._block_delta({"type": "signature_delta", "signature": _signature(self._heading)})
        yield _event("content_block_stop", {"index": self._index})
        self._index += 1

    def _open(self) -> bytes:
        self._is_open = True
        form = self._heading.form
        if isinstance(form, Called):
            return self._block_start(_tool_use(self._heading, form, {}))
        return self._block_start({"type": "text", "text": ""})

    def _delta(self, text: str) -> bytes:
        if isinstance(self._heading.form, Called):
            return self._block_delta({"type": "input_json_delta", "partial_json": text})
        return self._block_delta({"type": "text_delta", "text": text})

    def _block_start(self, block: dict[str, Any]) -> bytes:
        return _event("content_block_start", {"index": self._index, "content_block": block})

    def _block_delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})


def error(kind: str, text: str, request_id: str, code: str | None = None) -> dict[str, Any]:
    """The body of an error; in a stream, the data of its `error` event."""
    told: dict[str, Any] = {"type": kind, "message": text}
    if code is not None:
        told["details"] = {"error_code": code}
    return {"type": "error", "error": told, "request_id": request_id}


def error_event(kind: str, text: str, request_id: str) -> bytes:
    return _line("error", error(kind, text, request_id))


def _opening(heading: Heading) -> dict[str, Any]:
    return {"id": heading.message_id, "type": "message", "role": "assistant", "model": heading.model}


def _stop(heading: Heading, ended: Ended) -> dict[str, Any]:
    calls = isinstance(heading.form, Called) and ended.stop_reason == "end_turn"
    details = {"type": "refusal", "category": ended.category, "explanation": ended.explanation}
    return {
        "stop_reason": "tool_use" if calls else ended.stop_reason,
        "stop_sequence": ended.stop_sequence,
        "stop_details": details if ended.stop_reason == "refusal" else None,
    }


def _usage(heading: Heading, began: Began, ended: Ended) -> dict[str, Any]:
    cached = began.cached
    return {
        "input_tokens": began.input_tokens - cached.tokens,
        "cache_creation_input_tokens": cached.written_5m + cached.written_1h,
        "cache_read_input_tokens": cached.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cached.written_5m,
            "ephemeral_1h_input_tokens": cached.written_1h,
        },
        "output_tokens": ended.output_tokens,
        "output_tokens_details": {"thinking_tokens": ended.thinking_tokens},
        "service_tier": heading.tier,
        "inference_geo": heading.geo,
    }


def _thinking(text: str, *, signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _signature(heading: Heading) -> str:
    return f"local-{heading.message_id}"


def _tool_use(heading: Heading, form: Called, value: object) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": heading.tool_use_id,
        "name": form.tool,
        "input": value,
        "caller": {"type": "direct"},
    }


def _input(text: str) -> object:
    """The input of a call. One that was cut short by max_tokens has lost its JSON: the API then gives what it has."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


def _event(name: str, content: dict[str, Any]) -> bytes:
    return _line(name, {"type": name, **content})


def _line(name: str, content: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(content))
