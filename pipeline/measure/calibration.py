"""Whether a confidence means what it says: of the answers given with 0.8, are 8 of 10 right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.measure.interval import REPETITIONS, Estimate, Share, generator

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence is at least `low` and below `high` (the last: at most)."""

    low: float
    high: float
    rows: int
    confidence: float | None
    """Their mean; None where there are none."""
    right: Share


@dataclass(frozen=True, slots=True)
class Calibration:
    """A confidence from 0 to 1 against whether the answers are right."""

    rows: int
    ece: Estimate
    """Expected calibration error: how far confidence and accuracy are apart, bin by bin, weighed by rows. Few rows make it
    too large, by chance; its interval inherits that. M. P. Naeini, G. Cooper, M. Hauskrecht, AAAI 2015."""
    brier: Estimate
    """Mean squared distance of the confidence from 1 where right, 0 where wrong. G. W. Brier, 1950."""
    bins: tuple[Bin, ...]


def calibration(confidences: Sequence[float], right: Sequence[bool]) -> Calibration | None:
    """Answered rows; confidences from 0 to 1. None where there are no rows."""
    if not confidences:
        return None
    said, are = np.array(confidences, dtype=float), np.array(right, dtype=float)
    which = np.minimum((said * BINS).astype(int), BINS - 1)
    rows = np.bincount(which, minlength=BINS)
    # A bin's |mean confidence - accuracy| times its share of the rows is the |sum of the differences| by all rows.
    gaps = np.bincount(which, weights=said - are, minlength=BINS)
    chance = generator()
    errors, squares = np.empty(REPETITIONS), np.empty(REPETITIONS)
    for repetition in range(REPETITIONS):
        drawn = chance.integers(0, len(said), len(said))
        differences = (said - are)[drawn]
        errors[repetition] = np.abs(np.bincount(which[drawn], weights=differences, minlength=BINS)).sum() / len(said)
        squares[repetition] = (differences**2).mean()
    return Calibration(
        rows=len(said),
        ece=Estimate.spread(float(np.abs(gaps).sum() / len(said)), errors),
        brier=Estimate.spread(float(((said - are) ** 2).mean()), squares),
        bins=tuple(
            Bin(
                number / BINS,
                (number + 1) / BINS,
                int(rows[number]),
                float(said[which == number].mean()) if rows[number] else None,
                Share.counted(int(are[which == number].sum()), int(rows[number])),
            )
            for number in range(BINS)
        ),
    )
