"""What each model takes, as a table: thinking, effort, forced tools, structured outputs.

Source: platform.claude.com/docs, build-with-claude/thinking-troubleshooting, build-with-claude/effort,
build-with-claude/structured-outputs and models/haiku-5-5, read 2026-10-08 to 2026-10-10; Fable 5.2 from the release notes of
2026-11-09 and, where they are silent, by analogy with Fable 5.1. Prices stand in configs/prices.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Least = Literal["disabled", "between_tools", "always", "absent"]
"""The least thinking a model allows: it can be switched off by `disabled`; only by `between_tools`; never; or it is off
unless asked for, so that the field is left out."""

ALL = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class Facts:
    least: Least = "absent"
    most: Literal["adaptive", "enabled", "none"] = "none"
    """How thinking is asked for."""
    least_up_to: str | None = None
    """The highest effort with which `least` is taken; above it the API answers 400."""
    efforts: tuple[str, ...] = ()
    forced_tool: bool = True
    """Whether `tool_choice: tool` is taken."""
    structured: bool = True
    """Whether `output_config.format` is taken."""
    max_output: int = 128_000


MODELS: dict[str, Facts] = {
    "claude-haiku-5-5": Facts("disabled", "adaptive", "high", ALL),
    "claude-sonnet-5-5": Facts("between_tools", "adaptive", "high", ALL, forced_tool=False),
    "claude-opus-5-5": Facts("always", "adaptive", None, ALL, forced_tool=False),
    "claude-fable-5-2": Facts("always", "adaptive", None, ALL, forced_tool=False),
    "claude-fable-5-1": Facts("always", "adaptive", None, ALL, forced_tool=False),
    "claude-fable-5": Facts("always", "adaptive", None, ALL),
    "claude-opus-5": Facts("disabled", "adaptive", "high", ALL),
    "claude-sonnet-5": Facts("disabled", "adaptive", None, ALL),
    "claude-opus-4-8": Facts("absent", "adaptive", None, ALL),
    "claude-opus-4-7": Facts("absent", "adaptive", None, ALL),
    "claude-opus-4-6": Facts("absent", "adaptive", None, ("low", "medium", "high", "max")),
    "claude-sonnet-4-6": Facts("absent", "adaptive", None, ("low", "medium", "high", "max")),
    "claude-opus-4-5": Facts("absent", "enabled", None, ("low", "medium", "high"), max_output=64_000),
    "claude-sonnet-4-5": Facts("absent", "enabled", None, (), max_output=64_000),
    "claude-haiku-4-5": Facts("absent", "enabled", None, (), max_output=64_000),
}

DATED = {
    "claude-opus-4-5-20251101": "claude-opus-4-5",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
    "claude-haiku-4-5-20251001": "claude-haiku-4-5",
}

UNKNOWN = Facts()
"""A model this table does not know, such as a local one: nothing optional is sent."""


def facts(name: str) -> Facts:
    return MODELS.get(DATED.get(name, name), UNKNOWN)


def known(name: str) -> bool:
    return DATED.get(name, name) in MODELS
