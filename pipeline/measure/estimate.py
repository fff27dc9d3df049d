"""What rows that were not bought yet will take, from a sample of rows that were: totals with an interval. Pure.

The estimator is the regression of what a row takes on how long it is, and its interval the 95 % prediction interval of the sum
over the rows to come (W. G. Cochran, Sampling Techniques, 3rd ed. 1977, 7.3; for a sum of N new values the variance is
s² · (N + N²/n + N² · (X̄ − x̄)² / Sxx), with Student's t of n − 2 degrees of freedom). The lengths of all rows are known, so only
what length does not explain is uncertain. It assumes that the rows to come are like those of the sample at the same length.

Nothing here knows of models: sizes are bytes, values are tokens or dollars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.records import JSON

FEWEST = 5
"""Pairs below which a spread says nothing."""
Z_95 = 1.959_964


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    middle: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        """Of the sum of two that may err in the same direction: the widest it can be."""
        return Interval(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __mul__(self, factor: float) -> Interval:
        return Interval(self.low * factor, self.middle * factor, self.high * factor)

    def within(self, least: float, most: float) -> Interval:
        return Interval(*(min(max(value, least), most) for value in (self.low, self.middle, self.high)))


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long requests are, in bytes: sizes, and how many requests have each. A corpus of 10^7 rows has some thousands."""

    each: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, sizes: ArrayLike) -> Sizes:
        """One for each request."""
        return cls(*np.unique(np.asarray(sizes, dtype=np.float64), return_counts=True))

    def __len__(self) -> int:
        """Requests."""
        return int(self.counts.sum())

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(np.concatenate([self.each, other.each]), np.concatenate([self.counts, other.counts]))

    @property
    def whole(self) -> float:
        """Bytes of all requests together."""
        return float(self.each @ self.counts)


def exactly(value: float) -> Interval:
    return Interval(value, value, value)


def total(sample: Sequence[tuple[float, float]], sizes: Sizes) -> Interval:
    """The sum over rows of these sizes, of which the sample gives (size, value) of others: at least FEWEST of them."""
    if len(sample) < FEWEST:
        raise ValueError(f"{len(sample)} rows are no sample")
    known = np.array(sample, dtype=np.float64)
    x, y = known[:, 0], known[:, 1]
    n, rows = len(x), len(sizes)
    if not rows:
        return exactly(0.0)
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread) if spread else 0.0
    away = sizes.whole / rows - float(x.mean())
    middle = rows * (float(y.mean()) + slope * away)
    freedom = n - 2 if spread else n - 1
    noise = float(((y - y.mean() - slope * (x - x.mean())) ** 2).sum()) / freedom
    variance = noise * (rows + rows**2 / n + (rows**2 * away**2 / spread if spread else 0.0))
    half = quantile(freedom) * math.sqrt(variance)
    return Interval(middle - half, middle, middle + half).within(0.0, math.inf)


def quantile(freedom: int) -> float:
    """Student's t, two-sided 95 %: the expansion of Abramowitz and Stegun 26.7.5, within 1 % from 3 degrees on."""
    z, v = Z_95, freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


# Without a reply to learn from ------------------------------------------------------------------------------------------

BYTES_A_TOKEN = Interval(2.0, 3.3, 5.0)
"""Of prose in most languages and of JSON, for current tokenizers: English is near 3.3, since models from Claude 4.7 on take
about 30 % more tokens than those before (about-claude/pricing, read 2026-10-08)."""
TEXT_BYTES = 60
"""Of a string that nothing bounds."""
ITEMS = 3
"""Of an array."""
SHARE = Interval(0.3, 1.0, 2.0)
"""How far an assumed answer may be off."""
DEEPEST = 8


def tokens_of(size: float) -> Interval:
    """Of so many bytes of text. The range of languages and kinds of text, not a sampling error."""
    return Interval(size / BYTES_A_TOKEN.high, size / BYTES_A_TOKEN.middle, size / BYTES_A_TOKEN.low)


def answer_size(schema: JSON, depth: int = 0) -> float:
    """Bytes of a usual answer under a schema, as compact JSON: names as they are, labels at their mean, texts of TEXT_BYTES."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return TEXT_BYTES
    if isinstance(labels := schema.get("enum"), list) and labels:
        return sum(len(str(label)) + 2 for label in labels) / len(labels)
    if isinstance(parts := schema.get("properties"), dict):
        return 2 + sum(len(name) + 4 + answer_size(part, depth + 1) for name, part in parts.items())
    for choice in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(choice), list) and options:
            return max(answer_size(option, depth + 1) for option in options)
    match schema.get("type"):
        case "array":
            return 2 + ITEMS * (1 + answer_size(schema.get("items"), depth + 1))
        case "integer" | "number" | "boolean" | "null":
            return 5
        case _:
            longest = schema.get("maxLength")
            return min(TEXT_BYTES, longest) if isinstance(longest, int) else TEXT_BYTES


def output_tokens(size: float, *, thinks: bool, max_tokens: int) -> Interval:
    """Of an answer of about so many bytes: assumed, not measured. With thinking it may take all of `max_tokens`."""
    said = tokens_of(size)
    assumed = Interval(said.low * SHARE.low, said.middle, max_tokens if thinks else said.high * SHARE.high)
    return assumed.within(1, max_tokens)


# Time -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pace:
    """What a minute admits. None: nothing is known."""

    requests: float | None
    input_tokens: float | None
    """Without reads from the cache, which do not count (api/rate-limits, read 2026-10-08)."""
    output_tokens: float | None


TIERS = {"start": Pace(1_000, 2_000_000, 400_000), "build": Pace(5_000, 5_000_000, 1_000_000)}
FABLE_TIERS = {"start": Pace(1_000, 500_000, 100_000), "build": Pace(2_000, 1_500_000, 300_000)}
"""Limits by the organisation's tier (api/rate-limits, read 2026-10-08); the Fable models have their own."""


def tiers(model: str) -> dict[str, Pace]:
    return FABLE_TIERS if "-fable-" in model or "-mythos-" in model else TIERS


def seconds(requests: float, input_tokens: float, output_tokens: float, pace: Pace, *, latency_s: float, at_once: int) -> float:
    """The least that so many requests take: as fast as they come back, and as the tightest limit admits."""
    needs = ((requests, pace.requests), (input_tokens, pace.input_tokens), (output_tokens, pace.output_tokens))
    limited = [60 * need / admitted for need, admitted in needs if admitted]
    return max([requests * latency_s / at_once, *limited])
