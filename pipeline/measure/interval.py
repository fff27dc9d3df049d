"""Figures with their 95 % intervals: shares by Wilson, all others by the bootstrap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.measure.gold import wilson

Floats = npt.NDArray[np.float64]
REPETITIONS = 1_000
SEED = 20_261_126
"""Fixed: the same tables give the same intervals."""
METHODS = f"shares: Wilson's score interval; others: percentile bootstrap over rows, {REPETITIONS:,} repetitions, seed {SEED}"


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `of`, 95 % interval by Wilson; all None where there is nothing to have a share of."""

    hits: int
    of: int
    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def counted(cls, hits: int, of: int) -> Self:
        return cls(hits, of, hits / of, *wilson(hits, of)) if of else cls(0, 0, None, None, None)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, 95 % interval by percentile bootstrap; None where it is not defined, such as a correlation with a constant."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def spread(cls, value: float, repeated: Floats) -> Self:
        """`repeated`: the same figure of rows drawn with replacement; NaN where it was not defined."""
        known = repeated[np.isfinite(repeated)]
        if not math.isfinite(value) or not len(known):
            return cls(None, None, None)
        low, high = np.percentile(known, [2.5, 97.5])
        return cls(float(value), float(low), float(high))


def generator() -> np.random.Generator:
    return np.random.default_rng(SEED)
