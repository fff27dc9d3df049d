"""How far numbers are from gold numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.measure.interval import REPETITIONS, Estimate, Floats, Share, generator

MOST_AT_ONCE = 2_000_000
"""Numbers drawn at once: 16 MB an array."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers against gold. Errors are answer minus gold, of the answered rows."""

    rows: int
    """With a gold label; at least one."""
    coverage: Share
    exact: Share
    """Of the answered rows: those with the very number."""
    mae: Estimate
    """Mean absolute error."""
    rmse: Estimate
    """Root of the mean squared error."""
    median_error: Estimate
    """Median of the absolute errors."""
    bias: Estimate
    """Mean error: above 0 the answers are too high."""
    spearman: Estimate
    """Rank correlation; not defined where gold or answers are all the same."""


def numbers(gold: Sequence[float], answers: Sequence[float | None]) -> Numbers:
    """At least one row; all numbers finite."""
    pairs = [(one, other) for one, other in zip(gold, answers, strict=True) if other is not None]
    truth = np.array([one for one, _ in pairs], dtype=float)
    given = np.array([other for _, other in pairs], dtype=float)
    repeated = _repeated(truth, given) if pairs else {name: np.array([]) for name in _FIGURES}

    def estimate(name: str) -> Estimate:
        value = float(_FIGURES[name](truth[None], given[None])[0]) if pairs else float("nan")
        return Estimate.spread(value, repeated[name])

    return Numbers(
        rows=len(gold),
        coverage=Share.counted(len(pairs), len(gold)),
        exact=Share.counted(int(np.sum(truth == given)), len(pairs)),
        mae=estimate("mae"),
        rmse=estimate("rmse"),
        median_error=estimate("median_error"),
        bias=estimate("bias"),
        spearman=estimate("spearman"),
    )


def _repeated(truth: Floats, given: Floats) -> dict[str, Floats]:
    """Each figure of rows drawn with replacement, so often as REPETITIONS says."""
    chance = generator()
    step = max(1, MOST_AT_ONCE // len(truth))
    found: dict[str, list[Floats]] = {name: [] for name in _FIGURES}
    for begin in range(0, REPETITIONS, step):
        rows = chance.integers(0, len(truth), (min(step, REPETITIONS - begin), len(truth)))
        for name, figure in _FIGURES.items():
            found[name].append(figure(truth[rows], given[rows]))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _spearman(truth: Floats, given: Floats) -> Floats:
    """Pearson's correlation of the ranks, ties at their mean rank; NaN where one side is constant."""
    from scipy.stats import rankdata

    one, other = (rankdata(side, axis=1) - (side.shape[1] + 1) / 2 for side in (truth, given))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return found


_FIGURES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "mae": lambda truth, given: np.abs(given - truth).mean(axis=1),
    "rmse": lambda truth, given: np.sqrt(((given - truth) ** 2).mean(axis=1)),
    "median_error": lambda truth, given: np.median(np.abs(given - truth), axis=1),
    "bias": lambda truth, given: (given - truth).mean(axis=1),
    "spearman": _spearman,
}
"""Both sides: one line a repetition, in it one number a row."""
