"""Requests whose prompt is so long that every token of them costs more, and what they would cost in pieces below that. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.measure.estimate import Sizes
from pipeline.measure.forecast import Asking, Forecast, sum_usd

ROUND = 1_000
"""Advice is given in thousands of tokens."""


@dataclass(frozen=True, slots=True)
class Step:
    prompt_tokens: int
    """The longest prompt at the lower price."""
    times: float
    """How much more a token of input costs beyond it."""
    requests: int
    """About so many are longer."""
    usd: float
    """What those cost online."""
    piece_tokens: int
    """Pieces of so many tokens, at most, stay below it."""
    pieces: int
    """So many they would be."""
    pieces_usd: float
    """What those would cost, with the question that combines them."""


def step(sizes: Sizes, forecast: Forecast, asking: Asking, bytes_a_token: int) -> Step | None:
    """None where no request crosses it, or the price has none. `sizes`: bytes of each row's own part; a piece is measured by
    `bytes_a_token`, which makes its tokens too many."""
    rates = asking.prices.rates(asking.model)
    whole = sizes.whole
    if len(rates) < 2 or not whole:
        return None
    low, high = rates[0], rates[1]
    limit, constant = low.prompt_tokens_max or 0, forecast.constant_tokens
    own = forecast.row_tokens.middle - (0 if forecast.cached else len(sizes) * constant)
    each = sizes.each * (own / whole)
    beyond = each + constant > limit
    piece_tokens = int(limit - constant) // ROUND * ROUND
    if not beyond.any() or piece_tokens <= 0:
        return None
    said = forecast.output_tokens.middle / len(sizes)
    hits = 1.0 if forecast.cached else None
    long, tokens = Sizes(sizes.each[beyond], sizes.counts[beyond]), float(each[beyond] @ sizes.counts[beyond])
    into = np.ceil(long.each / (piece_tokens * bytes_a_token)).astype(np.int64)
    pieces = Sizes(long.each / into, long.counts * into)
    answers = Sizes((into * said).astype(np.float64), long.counts)  # what the combining question holds, in tokens
    pieces_usd = sum_usd(pieces, tokens, constant, said, hits, asking)
    pieces_usd += sum_usd(answers, answers.whole, constant, said, hits, asking)
    return Step(
        prompt_tokens=limit,
        times=high.input / low.input,
        requests=len(long),
        usd=sum_usd(long, tokens, constant, said, hits, asking),
        piece_tokens=piece_tokens,
        pieces=len(pieces),
        pieces_usd=pieces_usd,
    )
