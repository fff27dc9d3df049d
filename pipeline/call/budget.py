"""What a run may spend: how much of it is gone, and whether the next request still fits. Pure; all workers share one account.

A request's worst case is set aside before it leaves, and settled by what its reply cost. What may have been paid and was never
answered stays counted at its worst. So what the server charges is never more than the limit, whatever becomes of a request:

    paid + perhaps paid + set aside ≤ limit

The worst case needs a bound of the input tokens that nobody has counted yet. The tokenizers are byte-level: a token stands for
at least one byte, so a text has no more tokens than bytes. A ratio seen so far (tokens a byte, with some margin) would be four
times closer, and no bound: one row in another script breaks it. It matters only at the end, since all that was set aside too
much comes back with the reply: what stays unused of a budget is less than the worst case of one request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from unicodedata import is_normalized, normalize

from pipeline.call.media import Encoded
from pipeline.records import JSON, Usage

Cache = Literal["5m", "1h", "off"]

REQUEST_TOKENS = 64
MESSAGE_TOKENS = 16
"""What the API puts around a prompt and each of its messages: more than has been seen, a handful of tokens each."""
FORM_TOKENS = 1024
"""The system prompt that the API adds for tools (at most 589 tokens: about-claude/pricing, read 2026-10-08) or for structured
outputs (not published), beyond what it repeats of the schema."""
FORM_COPIES = 2
"""How often the schema may stand in it, or how much wider it may be written out there."""
IMAGE_TOKENS = 4_784
"""An image is scaled down to this at most (build-with-claude/vision, read 2026-08-22)."""
MOST_TOKENS = 1_000_000
"""The largest context window of any model: a longer prompt is refused, and refused is not paid."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The most tokens that any request of a run can have."""

    constant_tokens: int
    """Of the part that no row changes, up to the cache breakpoint."""
    constant_messages: int
    """So many messages belong to that part."""
    cache: Cache

    @classmethod
    def of(cls, fixed: Mapping[str, JSON], messages: Sequence[JSON], cache: Cache) -> Bound:
        """`fixed`: a request without its messages. `messages`: those that come before any row's own."""
        form = [fixed[name] for name in ("tools", "output_config") if name in fixed]
        tokens = REQUEST_TOKENS + _tokens(fixed.get("system")) + sum(map(_message_tokens, messages))
        if any(_asks_for_json(part) for part in form):
            tokens += FORM_TOKENS + FORM_COPIES * sum(map(_tokens, form))
        return cls(min(tokens, MOST_TOKENS), len(messages), cache)

    def usage(self, body: Mapping[str, JSON]) -> Usage:
        """What a reply to this request uses at most, each token in its dearest kind: the constant part is written to the
        cache, the rest is read anew."""
        messages, most = body["messages"], body["max_tokens"]
        assert isinstance(messages, list)
        assert isinstance(most, int)
        turns = messages[self.constant_messages :]
        # What a model thought is sent back sealed: as long as the seal, or as what it may have thought.
        own = sum(map(_message_tokens, turns)) + most * sum(map(_thoughts, turns))
        own = min(own, MOST_TOKENS - self.constant_tokens)
        return Usage(
            input_tokens=own + (self.constant_tokens if self.cache == "off" else 0),
            output_tokens=most,  # thinking counts within it
            cache_write_5m_tokens=self.constant_tokens if self.cache == "5m" else 0,
            cache_write_1h_tokens=self.constant_tokens if self.cache == "1h" else 0,
        )


def _asks_for_json(part: JSON) -> bool:
    return isinstance(part, list) or (isinstance(part, dict) and "format" in part)


def _message_tokens(message: JSON) -> int:
    return MESSAGE_TOKENS + _tokens(message.get("content") if isinstance(message, dict) else message)


def _thoughts(message: JSON) -> int:
    content = message.get("content") if isinstance(message, dict) else None
    blocks = content if isinstance(content, list) else []
    return sum(isinstance(block, dict) and block.get("type") in ("thinking", "redacted_thinking") for block in blocks)


def _tokens(content: JSON) -> int:
    """Of content blocks, or of anything that the API writes into a prompt as JSON."""
    match content:
        case None:
            return 0
        case str():
            return _bytes(content)
        case list():
            return sum(map(_tokens, content))
        case {"type": "text", "text": str(text)}:
            return _bytes(text)
        case {"type": "image" | "document", "source": {"data": Encoded() as data}}:
            return min(data.most + MESSAGE_TOKENS, MOST_TOKENS)
        case {"type": "image"}:
            return IMAGE_TOKENS + MESSAGE_TOKENS
        case {"type": "document", "source": {"type": "base64" | "url" | "file"}}:
            return MOST_TOKENS  # as many pages as fit: nothing here says how many
        case _:
            # A tool call, its result, thinking.
            return MESSAGE_TOKENS + _bytes(json.dumps(content, ensure_ascii=False))


def _bytes(text: str) -> int:
    """In UTF-8; or after compatibility normalisation, which some tokenizers do first: U+FDFA then has 33 bytes, not 3."""
    size = len(text.encode("utf-8", "surrogatepass"))
    return size if is_normalized("NFKC", text) else max(size, len(normalize("NFKC", text).encode("utf-8", "surrogatepass")))


@dataclass(slots=True)
class Account:
    """The money of one undertaking: of all runs since the last one that finished. In USD."""

    limit_usd: float | None
    """`run.budget_usd`; None: whatever it takes."""
    paid_usd: float = 0.0
    doubtful_usd: float = 0.0
    """The worst case of requests that may have been paid and were not answered."""
    aside_usd: float = 0.0
    """The worst case of requests that are out."""
    out: int = 0
    """Requests that are out."""

    @property
    def left_usd(self) -> float | None:
        """What may still be set aside; None without a limit."""
        if self.limit_usd is None:
            return None
        return max(0.0, self.limit_usd - self.paid_usd - self.doubtful_usd - (self.aside_usd if self.out else 0.0))

    def fits(self, worst_usd: float) -> bool:
        left_usd = self.left_usd
        return left_usd is None or worst_usd <= left_usd

    def set_aside(self, worst_usd: float) -> None:
        """A request is about to leave. Each is ended by one of `settle`, `give_back`, `doubt`."""
        self.aside_usd = worst_usd + (self.aside_usd if self.out else 0.0)  # the sum's rounding errors go when nothing is out
        self.out += 1

    def settle(self, worst_usd: float, paid_usd: float) -> None:
        """Its reply came, and cost that."""
        self.give_back(worst_usd)
        self.paid_usd += paid_usd

    def give_back(self, worst_usd: float) -> None:
        """It was not paid."""
        self.aside_usd -= worst_usd
        self.out -= 1

    def doubt(self, worst_usd: float) -> None:
        """It may have been paid, and its reply is lost."""
        self.give_back(worst_usd)
        self.doubtful_usd += worst_usd
