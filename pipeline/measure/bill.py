"""What tokens of each kind have cost, as parts of a sum that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.measure.price import Rates
from pipeline.records import Usage


@dataclass(frozen=True, slots=True)
class Item:
    name: str
    tokens: int
    usd: float | None
    """None where the sum is not known, or the model has no price."""


def bill(usage: Usage, total_usd: float | None, rates: Sequence[Rates]) -> list[Item]:
    """The items, whose dollars make `total_usd` together. Thinking is a part of the output and stands apart from its rest.

    The sum is shared out at the list prices of the shortest prompts: how dear each reply was, by its length, tier or
    geography, is in the sum alone.
    """
    thinking = min(usage.thinking_tokens, usage.output_tokens)
    kinds = [
        ("input", usage.input_tokens, Usage(input_tokens=usage.input_tokens)),
        ("cache writes", usage.cache_write_tokens, Usage(0, 0, 0, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens)),
        ("cache reads", usage.cache_read_tokens, Usage(cache_read_tokens=usage.cache_read_tokens)),
        ("output", usage.output_tokens - thinking, Usage(output_tokens=usage.output_tokens - thinking)),
        ("thinking", thinking, Usage(output_tokens=thinking)),
    ]
    listed = [rates[0].cost(tokens) if rates else 0.0 for _, _, tokens in kinds]
    known = total_usd is not None and bool(rates)
    scale = (total_usd or 0.0) / sum(listed) if sum(listed) else 0.0
    return [Item(name, tokens, usd * scale if known else None) for (name, tokens, _), usd in zip(kinds, listed, strict=True)]
