"""Two runs over the same rows: how far they agree, and whether one of them is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.measure.classes import kappa
from pipeline.measure.interval import Estimate, Share


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two answers to each row, without gold."""

    rows: int
    """In both tables."""
    answered: int
    """By both."""
    agreeing: Share
    """Of the rows that both answered."""
    kappa: Estimate | None
    """Cohen's, of the rows that both answered; None for what is no class."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Which of two runs is right more often, on the same gold rows; no answer is not right."""

    rows: int
    right: Share
    """This run."""
    other_right: Share
    only_this: int
    """Rows that this run alone has right."""
    only_other: int
    p: float
    """McNemar's exact test, two-sided: how often rows on which just one is right would fall so unevenly, were both as good; 1
    where there are none. Q. McNemar, Psychometrika 12 (1947) 153-157."""


def agreement(this: Sequence[object], other: Sequence[object], same: Sequence[bool], *, labels: bool) -> Agreement:
    """Both answers of each row, None where there is none, and whether they are the same; `labels`: they are class names."""
    both = [place for place, pair in enumerate(zip(this, other, strict=True)) if None not in pair]
    return Agreement(
        rows=len(this),
        answered=len(both),
        agreeing=Share.counted(sum(same[place] for place in both), len(both)),
        kappa=kappa([str(this[place]) for place in both], [str(other[place]) for place in both]) if labels else None,
    )


def paired(this: Sequence[bool], other: Sequence[bool]) -> Paired:
    """Whether each run has each gold row right."""
    from scipy.stats import binomtest

    only_this = sum(one and not two for one, two in zip(this, other, strict=True))
    only_other = sum(two and not one for one, two in zip(this, other, strict=True))
    apart = only_this + only_other
    return Paired(
        rows=len(this),
        right=Share.counted(sum(this), len(this)),
        other_right=Share.counted(sum(other), len(other)),
        only_this=only_this,
        only_other=only_other,
        p=float(binomtest(only_this, apart, 0.5).pvalue) if apart else 1.0,
    )
