"""A whole message → the events by which a server would stream it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.api import Canned

DELTAS = {"text": ("text", "text_delta"), "thinking": ("thinking", "thinking_delta"), "tool_use": ("input", "input_json_delta")}


def cut(text: str, cuts: Sequence[int]) -> list[str]:
    """The text in pieces, cut at these places."""
    at = sorted({0, *(place % (len(text) + 1) for place in cuts), len(text)})
    return [text[start:end] for start, end in pairwise(at)] or [""]


def events(message: dict[str, Any], cuts: Sequence[int] = (1,)) -> list[dict[str, Any]]:
    """As platform.claude.com/docs/en/build-with-claude/streaming has them (read 2026-10-08): usage grows, and ends with the
    counts of the message; pings and events that nobody knows yet lie between."""
    usage = {**message["usage"], "output_tokens": 1}
    usage.pop("output_tokens_details", None)
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "usage": usage}},
        {"type": "ping"},
        {"type": "of_next_year", "index": 99, "delta": {"type": "text_delta", "text": "no"}},
    ]
    for index, block in enumerate(message["content"]):
        told += _block(index, block, cuts)
    delta = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    told.append({"type": "message_delta", "delta": delta, "usage": {**message["usage"], "server_tool_use": None}})
    return [*told, {"type": "message_stop"}]


def _block(index: int, block: dict[str, Any], cuts: Sequence[int]) -> list[dict[str, Any]]:
    field, kind = DELTAS.get(block["type"], ("", ""))
    if not field:
        return [{"type": "content_block_start", "index": index, "content_block": block}]
    whole = block[field] if isinstance(block[field], str) else json.dumps(block[field])
    empty = {**block, field: {} if field == "input" else ""}
    signature = empty.pop("signature", None)
    named = "partial_json" if kind == "input_json_delta" else field
    deltas: list[dict[str, Any]] = [{"type": kind, named: piece} for piece in cut(whole, cuts)]
    deltas.append({"type": "delta_of_next_year", field: "no"})
    if signature is not None:
        empty["signature"] = ""
        deltas.append({"type": "signature_delta", "signature": signature})
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def streamed(told: Sequence[dict[str, Any]]) -> Canned:
    """One HTTP response with these events."""
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in told)
    return Canned(200, body.encode(), {"content-type": "text/event-stream; charset=utf-8", "request-id": "req_s"})
