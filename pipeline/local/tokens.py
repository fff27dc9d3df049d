"""How many tokens a rehearsal takes something for: four bytes each, a usual photo or page for every medium. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.local.question import Form, Shaped, Turn

BYTES_PER_TOKEN = 4
MEDIUM_TOKENS = 1_500
"""About what a usual photo or page costs on a Claude."""


def in_bytes(count: int) -> int:
    return -(-count // BYTES_PER_TOKEN)


def in_text(text: str) -> int:
    return in_bytes(len(text.encode("utf-8", "surrogatepass")))


def in_prompt(system: str, tools: str, turns: Sequence[Turn], form: Form) -> int:
    """All that a model would read, from the cache or not."""
    texts = [system, tools, *(turn.text for turn in turns)]
    texts += [call for turn in turns for call in turn.called]
    if isinstance(form, Shaped):
        texts.append(form.schema)
    media = sum(len(turn.media) for turn in turns)
    return sum(in_text(text) for text in texts) + MEDIUM_TOKENS * media
