"""What the Models API tells of a model. Pure."""

from __future__ import annotations

from typing import Any

from pipeline.local.claude import ALL_EFFORTS
from pipeline.local.model import Card

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
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": rules.max_input_tokens,
        "max_tokens": rules.max_tokens,
        "capabilities": {
            "batch": _supported(False),
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


def _supported(is_so: bool) -> dict[str, Any]:
    return {"supported": is_so}
