"""What a model of this server is asked: one request, checked, reduced to what matters for its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Medium:
    """An image or a PDF."""

    path: str
    """Where it stands in the request, as `messages.0.content.1.image`."""
    source: str
    """Base64 data, URL or file id: whatever tells it from another."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One side's say. Consecutive messages of one role are one turn."""

    role: Literal["user", "assistant"]
    text: str
    """Text blocks, plain-text documents and tool results, joined by line feeds."""
    media: tuple[Medium, ...] = ()
    called: tuple[str, ...] = ()
    """Inputs of the tools that an assistant called, as JSON text."""
    results: bool = False
    """True where a user turn brings tool results."""


@dataclass(frozen=True, slots=True)
class Prose:
    """Any text will do."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """One JSON document, valid under a schema (`output_config.format`)."""

    schema: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Called:
    """One call of a tool, its input valid under a schema."""

    tool: str
    schema: str
    """JSON text."""


Form: TypeAlias = Prose | Shaped | Called


@dataclass(frozen=True, slots=True)
class Sampling:
    """Only API version 2023-06-01 can carry these; None where the request is silent."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


@dataclass(frozen=True, slots=True)
class Prefix:
    """The prompt up to the end of one of its blocks."""

    digest: bytes
    """Of all that is rendered up to there, model and settings included."""
    tokens: int
    """As rehearsal counts them."""
    life_s: float | None
    """How long what is written there is kept; None where there is no breakpoint."""


@dataclass(frozen=True, slots=True)
class Question:
    model: str
    """The name that the request gave."""
    system: str
    turns: tuple[Turn, ...]
    """At least one; the last is the user's, or an assistant's prefill where the model takes one."""
    form: Form
    max_tokens: int
    """0 warms the prompt cache and brings no text."""
    stop_sequences: tuple[str, ...] = ()
    stream: bool = False
    thinking: Literal["adaptive", "enabled", "disabled", "between_tools"] | None = None
    shows_thinking: bool = False
    effort: str | None = None
    forced: bool = False
    """`tool_choice` was `tool` or `any`."""
    system_turns: bool = False
    """Whether `messages` held turns with the role `system`; their text stands at the end of `system`."""
    tools: str = ""
    """All tools offered, as JSON text; empty where there are none."""
    sampling: Sampling = field(default_factory=Sampling)
    tokens: int = 0
    """Of the whole input, as rehearsal counts them; for any other model an estimate."""
    prefixes: tuple[Prefix, ...] = ()
    """What the prompt cache could know of it, shortest first; empty where the request has no breakpoint."""
    geo: str | None = None
    """`inference_geo`, where the request names it."""
