"""Tokens and dollars of the rows that are still to be bought, online and in a batch. Pure.

Learned from rows that were bought under the very same request, where there are enough; otherwise put together from the tokens
of the prompts, counted or estimated, and an assumed length of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.measure.estimate import Interval, Sizes, exactly, tokens_of, total
from pipeline.measure.price import Prices, Rates
from pipeline.records import Usage

Cache = Literal["5m", "1h", "off"]

BATCH_HITS = Interval(0.30, 0.64, 0.98)
"""Share of a batch's requests that read the constant part from the cache (build-with-claude/batch-processing, read 2026-10-08:
30 % to 98 %); the others write it."""


@dataclass(frozen=True, slots=True)
class Bought:
    """What one row took, re-asks included."""

    size: float
    """Bytes of its own part of the prompt."""
    usage: Usage
    asks: int
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """How the rows will be asked."""

    model: str
    cache: Cache
    prices: Prices
    caches_from: int | None
    """Tokens from which on a constant part is cached; None: not known, and not counted on."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Sums over all rows to buy."""

    requests: float
    constant_tokens: float
    """Of one request."""
    cached: bool
    """Whether the constant part is read from the cache by all requests but the first."""
    row_tokens: Interval
    """Input, without the constant part where it is cached."""
    output_tokens: Interval
    online_usd: Interval | None
    """None: the model has no price."""
    batch_usd: Interval | None


def learned(sample: Sequence[Bought], sizes: Sizes, asking: Asking) -> Forecast:
    """From rows that were bought; at least estimate.FEWEST of them."""

    def summed(value: Callable[[Bought], float]) -> Interval:
        return total([(bought.size, value(bought)) for bought in sample], sizes)

    def dollars(hits: float) -> Interval:
        return summed(lambda bought: _usd(bought, asking, hits))

    constant = max((bought.usage.cache_read_tokens + bought.usage.cache_write_tokens) / bought.asks for bought in sample)
    asks = sum(bought.asks for bought in sample) / len(sample)
    online_usd = batch_usd = None
    rates = asking.prices.rates(asking.model)
    if rates:
        online_usd = dollars(1.0) + exactly(_written(constant, rates[0], asking.cache))
        low, middle, high = (dollars(hits) for hits in (BATCH_HITS.high, BATCH_HITS.middle, BATCH_HITS.low))
        batch_usd = Interval(low.low, middle.middle, high.high) * asking.prices.batch
    return Forecast(
        requests=len(sizes) * asks,
        constant_tokens=constant,
        cached=constant > 0,
        row_tokens=summed(lambda bought: bought.usage.input_tokens),
        output_tokens=summed(lambda bought: bought.usage.output_tokens),
        online_usd=online_usd,
        batch_usd=batch_usd,
    )


def _usd(bought: Bought, asking: Asking, hits: float) -> float:
    """What the row would cost if that share of its constant part were read from the cache, and the rest written."""
    each = bought.usage
    cached = each.cache_read_tokens + each.cache_write_tokens
    prompt_tokens = each.prompt_tokens / bought.asks
    band = next(band for band in asking.prices.rates(asking.model) if band.admits(prompt_tokens))
    plain = band.cost(Usage(input_tokens=each.input_tokens, output_tokens=each.output_tokens, cache_read_tokens=cached))
    return plain + (1 - hits) * _written(cached, band, asking.cache)


def _written(tokens: float, rates: Rates, cache: Cache) -> float:
    """What writing so many tokens to the cache costs beyond reading them."""
    price = rates.cache_write_1h if cache == "1h" else rates.cache_write_5m
    return tokens * (price - rates.cache_read) / 1e6


def assumed(
    counted: Sequence[tuple[float, float]] | None, sizes: Sizes, constant_tokens: float, output: Interval, asking: Asking
) -> Forecast:
    """`counted`: (size, tokens) of a sample of rows, at least estimate.FEWEST; None: by a rule of thumb. `output`: tokens of
    one reply. Each row is asked once."""
    rows = len(sizes)
    row_tokens = total(counted, sizes) if counted is not None else tokens_of(sizes.whole)
    minimum = asking.caches_from
    cached = asking.cache != "off" and minimum is not None and constant_tokens >= minimum
    sums = (row_tokens.low, output.low), (row_tokens.middle, output.middle), (row_tokens.high, output.high)

    def priced(hits: Interval) -> Interval:
        shares = (hits.high, hits.middle, hits.low)
        return Interval(
            *(
                sum_usd(sizes, tokens, constant_tokens, said, share if cached else None, asking)
                for (tokens, said), share in zip(sums, shares, strict=True)
            )
        )

    known = bool(asking.prices.rates(asking.model)) and rows > 0
    once = exactly(_written(constant_tokens, asking.prices.rates(asking.model)[0], asking.cache) if known and cached else 0.0)
    return Forecast(
        requests=rows,
        constant_tokens=constant_tokens,
        cached=cached,
        row_tokens=row_tokens if cached else row_tokens + exactly(rows * constant_tokens),
        output_tokens=output * rows,
        online_usd=priced(exactly(1.0)) + once if known else None,
        batch_usd=priced(BATCH_HITS) * asking.prices.batch if known else None,
    )


def widest(forecasts: Sequence[Forecast]) -> Forecast:
    """Of three under different assumptions the middle one, with ranges that hold them all: whether the constant part is long
    enough for the cache may differ."""
    _, middle, _ = forecasts
    return replace(
        middle,
        row_tokens=_span([forecast.row_tokens for forecast in forecasts]),
        online_usd=_priced_span([forecast.online_usd for forecast in forecasts]),
        batch_usd=_priced_span([forecast.batch_usd for forecast in forecasts]),
    )


def _span(found: Sequence[Interval]) -> Interval:
    return Interval(min(one.low for one in found), found[1].middle, max(one.high for one in found))


def _priced_span(found: Sequence[Interval | None]) -> Interval | None:
    priced = [one for one in found if one is not None]
    return _span(priced) if len(priced) == len(found) else None


def sum_usd(sizes: Sizes, tokens: float, constant: float, output_tokens: float, hits: float | None, asking: Asking) -> float:
    """Of all rows, each in the band of its own prompt; `tokens` are shared out by size. `hits` None: nothing is cached."""
    whole = sizes.whole
    each = sizes.each * (tokens / whole) if whole else sizes.each
    usd, below = 0.0, 0.0
    for band in asking.prices.rates(asking.model):
        end = np.inf if band.prompt_tokens_max is None else band.prompt_tokens_max
        within = (each + constant > below) & (each + constant <= end)
        below = end
        rows, own = int(sizes.counts[within].sum()), float(each[within] @ sizes.counts[within])
        read = band.input if hits is None else band.cache_read
        usd += (own * band.input + rows * (constant * read + output_tokens * band.output)) / 1e6
        if hits is not None:
            usd += rows * (1 - hits) * _written(constant, band, asking.cache)
    return usd
