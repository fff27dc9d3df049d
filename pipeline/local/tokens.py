"""How many tokens a rehearsal takes something for: four bytes each, a usual photo or page for every medium. Pure."""

from __future__ import annotations

from pipeline.local.question import Question, Shaped

BYTES_PER_TOKEN = 4
MEDIUM_TOKENS = 1_500
"""About what a usual photo or page costs on a Claude."""


def in_bytes(count: int) -> int:
    return -(-count // BYTES_PER_TOKEN)


def in_text(text: str) -> int:
    return in_bytes(len(text.encode("utf-8", "surrogatepass")))


def in_question(question: Question) -> int:
    """Input tokens, read from the cache or not."""
    texts = [question.system, question.tools, *(turn.text for turn in question.turns)]
    texts += [call for turn in question.turns for call in turn.called]
    if isinstance(question.form, Shaped):
        texts.append(question.form.schema)
    media = sum(len(turn.media) for turn in question.turns)
    return sum(in_text(text) for text in texts) + MEDIUM_TOKENS * media
