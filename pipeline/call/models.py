"""What each model takes, as a table: thinking, effort, forced tools, sampling, the shortest prompt that is cached.

Source: platform.claude.com/docs/en, build-with-claude/thinking-troubleshooting, build-with-claude/effort,
build-with-claude/prompt-caching, about-claude/model-deprecations, api/errors and models/haiku-5-5, read 2026-10-08 to
2026-10-10. Fable 5.2 is from the release notes of 2026-11-09 and, where they are silent, by analogy with Fable 5.1. Prices
stand in configs/prices.yaml. What the Models API says of a model at the start of a run is checked against this on top
(preflight.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Least = Literal["disabled", "between_tools", "always", "absent"]
"""The least thinking a model allows: it can be switched off by `disabled`; only by `between_tools`; never; or it is off
unless asked for, so that the field is left out."""

ALL = ("low", "medium", "high", "xhigh", "max")
NO_XHIGH = ("low", "medium", "high", "max")


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
    min_cached: int | None = None
    """Tokens below which a prefix is silently not cached; None: not known."""
    sampling: Literal["free", "default", "unknown"] = "unknown"
    """What API version 2023-06-01 takes of temperature, top_p and top_k: any value, or only the model's own default."""
    geo: bool = True
    """Whether `inference_geo` is taken."""
    sharp: bool = True
    """Whether it sees pictures of up to 2,576 pixels, as models since 4.7 do, or of 1,568 (build-with-claude/vision, read
    2026-08-22)."""
    window: int = 1_000_000
    """Tokens of the context: with fewer than a million, fewer pictures and pages fit into a request too."""
    retires: str | None = None
    """The day on which the model ends, where one was announced."""


MODELS: dict[str, Facts] = {
    "claude-haiku-5-5": Facts("disabled", "adaptive", "high", ALL, min_cached=512, sampling="default"),
    "claude-sonnet-5-5": Facts("between_tools", "adaptive", "high", ALL, forced_tool=False, min_cached=512, sampling="default"),
    "claude-opus-5-5": Facts("always", "adaptive", None, ALL, forced_tool=False, min_cached=512, sampling="default"),
    "claude-fable-5-2": Facts("always", "adaptive", None, ALL, forced_tool=False, min_cached=512, sampling="default"),
    "claude-fable-5-1": Facts("always", "adaptive", None, ALL, forced_tool=False, min_cached=512, sampling="default"),
    "claude-fable-5": Facts("always", "adaptive", None, ALL, min_cached=512, sampling="default"),
    "claude-opus-5": Facts("disabled", "adaptive", "high", ALL, min_cached=512, sampling="default"),
    "claude-sonnet-5": Facts("disabled", "adaptive", None, ALL, min_cached=1024, sampling="default"),
    "claude-opus-4-8": Facts("absent", "adaptive", None, ALL, min_cached=1024, sampling="default"),
    "claude-opus-4-7": Facts("absent", "adaptive", None, ALL, min_cached=2048, sampling="default"),
    "claude-opus-4-6": Facts("absent", "adaptive", None, NO_XHIGH, min_cached=4096, sampling="free", sharp=False),
    "claude-sonnet-4-6": Facts("absent", "adaptive", None, NO_XHIGH, min_cached=1024, sampling="free", sharp=False),
    "claude-opus-4-5": Facts(
        "absent",
        "enabled",
        None,
        ALL[:3],
        max_output=64_000,
        min_cached=4096,
        sampling="free",
        geo=False,
        sharp=False,
        window=200_000,
    ),
    "claude-sonnet-4-5": Facts(
        "absent",
        "enabled",
        None,
        (),
        max_output=64_000,
        min_cached=1024,
        sampling="free",
        geo=False,
        sharp=False,
        window=200_000,
        retires="2026-11-30",
    ),
    "claude-haiku-4-5": Facts(
        "absent",
        "enabled",
        None,
        (),
        max_output=64_000,
        min_cached=4096,
        sampling="free",
        geo=False,
        sharp=False,
        window=200_000,
    ),
}

DATED = {
    "claude-opus-4-5-20251101": "claude-opus-4-5",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
    "claude-haiku-4-5-20251001": "claude-haiku-4-5",
}

UNKNOWN = Facts()
"""A model that this table does not know and that is no Claude, such as a local one: nothing optional is sent."""
UNKNOWN_CLAUDE = Facts(most="adaptive", forced_tool=False)
"""A Claude that this table does not know: nothing optional is sent by itself, and no tool is forced, since most of the
newer models refuse that. What a person asks for is sent as every model since 4.6 takes it; the first request will tell."""


def facts(name: str) -> Facts:
    found = MODELS.get(DATED.get(name, name))
    if found is not None:
        return found
    return UNKNOWN_CLAUDE if name.startswith("claude-") else UNKNOWN


def known(name: str) -> bool:
    return DATED.get(name, name) in MODELS


def nearest(name: str) -> list[str]:
    """The ids that a wrong one was probably meant as, best first; perhaps none."""
    return get_close_matches(name, [*MODELS, *DATED], 3)
