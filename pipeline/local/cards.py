"""What the Models API tells of a model. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.local import paging
from pipeline.local.claude import ALL_EFFORTS
from pipeline.local.model import Card

LISTED = ("active", "deprecated")
"""Where the query names no lifecycle. Retired models are asked for by name."""
THINKING_TYPES = ("adaptive", "between_tools", "disabled", "enabled")


def model(card: Card) -> dict[str, Any]:
    """One entry of GET /v1/models, under the name that replies carry."""
    rules = card.rules
    thinks = any(kind != "disabled" for kind in rules.thinking)
    return {
        "type": "model",
        "id": card.name,
        "display_name": card.display_name,
        "created_at": rules.created_at,
        "line": rules.line,
        "lifecycle": "deprecated" if rules.retires_at else "active",
        "deprecated_at": rules.deprecated_at,
        "retires_at": rules.retires_at,
        "max_input_tokens": rules.max_input_tokens,
        "max_tokens": rules.max_tokens,
        "capabilities": {
            "batch": _supported(True),
            "citations": _supported(False),
            "code_execution": _supported(False),
            "context_management": _supported(False),
            "effort": {
                **_supported(bool(rules.efforts)),
                **{level: _supported(level in rules.efforts) for level in ALL_EFFORTS},
            },
            "image_input": _supported(card.sees),
            "pdf_input": _supported(card.sees),
            "server_tools": {
                **_supported(False),
                "code_execution": _supported(False),
                "web_search": _supported(False),
            },
            "structured_outputs": _supported(True),
            "thinking": {
                **_supported(thinks),
                "types": {kind: _supported(kind in rules.thinking) for kind in THINKING_TYPES},
            },
        },
    }


def page(all_cards: Sequence[Card], asked: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """GET /v1/models: one page of the models. `asked` are the parameters of the query: `limit`, `after_id`, `before_id`, and
    `lifecycle`, which may come more than once.

    Raises ApiError 400 where it holds something that makes no sense.
    """
    wanted = {value for name, value in asked if name in ("lifecycle", "lifecycle[]")} or set(LISTED)
    told = [each for each in map(model, all_cards) if each["lifecycle"] in wanted]
    found = paging.page([each["id"] for each in told], dict(asked), "model")
    data = told[found.start : found.end]
    return {
        "data": data,
        "has_more": found.has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def _supported(is_so: bool) -> dict[str, Any]:
    return {"supported": is_so}
