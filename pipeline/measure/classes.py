"""How good class labels are: accuracy, precision, recall, F1, Cohen's κ and the confusion matrix.

A row without an answer is no right one: it lowers recall, F1 and the accuracy over all rows, never precision. Accuracy over
answered rows and κ leave it out. The figures are scikit-learn's (`confusion_matrix`, `precision_recall_fscore_support`,
`cohen_kappa_score`); only what is drawn again for the intervals is computed here, from counts, so that a thousand repetitions
take no longer for a million rows. The macro mean is over the classes met in gold or answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.measure.interval import REPETITIONS, Estimate, Floats, Share, generator


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class."""

    label: str
    gold: int
    """Rows whose gold label it is."""
    answered: int
    """Rows for which it was the answer."""
    precision: Share
    recall: Share
    f1: Estimate


@dataclass(frozen=True, slots=True)
class Classes:
    """A column of classes against gold."""

    rows: int
    """With a gold label; at least one."""
    coverage: Share
    """Of the rows: those answered."""
    accuracy: Share
    """Of the answered rows."""
    accuracy_all: Share
    """Of all rows."""
    macro_precision: Estimate
    macro_recall: Estimate
    macro_f1: Estimate
    kappa: Estimate
    """Cohen's, of the answered rows."""
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    """A line for each class as gold; in it the answers: a count for each class, then rows without an answer."""


def classes(gold: Sequence[str], answers: Sequence[str | None], known: Sequence[str] = ()) -> Classes:
    """At least one row. `known`: the classes of the schema, in its order; those not met are left out, others come after."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    met = {*gold, *(answer for answer in answers if answer is not None)}
    labels = [*(label for label in known if label in met), *sorted(met.difference(known))]
    number = {label: place for place, label in enumerate(labels)}
    truth = [number[label] for label in gold]
    given = [len(labels) if answer is None else number[answer] for answer in answers]
    matrix = confusion_matrix(truth, given, labels=range(len(labels) + 1))[:-1]
    each = precision_recall_fscore_support(truth, given, labels=range(len(labels)), zero_division=0.0)
    again = _Again.drawn(matrix)
    hits = int(np.trace(matrix))
    answered = int(matrix[:, :-1].sum())
    return Classes(
        rows=len(truth),
        coverage=Share.counted(answered, len(truth)),
        accuracy=Share.counted(hits, answered),
        accuracy_all=Share.counted(hits, len(truth)),
        macro_precision=Estimate.spread(float(np.mean(each[0])), again.macro(again.precision)),
        macro_recall=Estimate.spread(float(np.mean(each[1])), again.macro(again.recall)),
        macro_f1=Estimate.spread(float(np.mean(each[2])), again.macro(again.f1)),
        kappa=Estimate.spread(_kappa(truth, given, len(labels)), again.kappa),
        classes=tuple(
            ClassFigures(
                label,
                int(matrix[place].sum()),
                int(matrix[:, place].sum()),
                Share.counted(int(matrix[place, place]), int(matrix[:, place].sum())),
                Share.counted(int(matrix[place, place]), int(matrix[place].sum())),
                Estimate.spread(float(each[2][place]), again.f1[:, place]),
            )
            for place, label in enumerate(labels)
        ),
        confusion=tuple(tuple(int(count) for count in line) for line in matrix),
    )


def kappa(one: Sequence[str], other: Sequence[str]) -> Estimate:
    """Cohen's κ of two answers to the same rows."""
    both = classes(one, other) if one else None
    return both.kappa if both is not None else Estimate(None, None, None)


def _kappa(truth: Sequence[int], given: Sequence[int], none: int) -> float:
    """NaN where both only ever say one and the same class: chance alone would agree as well."""
    from sklearn.metrics import cohen_kappa_score

    pairs = [(one, other) for one, other in zip(truth, given, strict=True) if other != none]
    if len({label for pair in pairs for label in pair}) < 2:
        return float("nan")
    return float(cohen_kappa_score(*zip(*pairs, strict=True)))


@dataclass(frozen=True, slots=True)
class _Again:
    """The counts as they would be, had other rows been drawn: one line a repetition, in it one count a class."""

    right: Floats
    gold: Floats
    answered: Floats
    gold_answered: Floats
    """Rows of that gold label that have an answer."""

    @classmethod
    def drawn(cls, matrix: Floats) -> _Again:
        lines, columns = np.nonzero(matrix)
        counts = matrix[lines, columns]
        times = generator().multinomial(int(counts.sum()), counts / counts.sum(), size=REPETITIONS).astype(float)
        size, none = len(matrix), len(matrix)
        whose = np.eye(size)[lines]
        what = np.eye(size + 1)[columns][:, :size]
        return cls(
            times @ (whose * (lines == columns)[:, None]),
            times @ whose,
            times @ what,
            times @ (whose * (columns != none)[:, None]),
        )

    @property
    def precision(self) -> Floats:
        return _ratio(self.right, self.answered)

    @property
    def recall(self) -> Floats:
        return _ratio(self.right, self.gold)

    @property
    def f1(self) -> Floats:
        return _ratio(2 * self.right, self.gold + self.answered)

    @property
    def kappa(self) -> Floats:
        total = self.answered.sum(axis=1)
        agreed = _ratio(self.right.sum(axis=1), total)
        chance = _ratio((self.gold_answered * self.answered).sum(axis=1), total**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.where(chance < 1, (agreed - chance) / (1 - chance), np.nan)
        return found

    def macro(self, figures: Floats) -> Floats:
        """The mean over the classes that a repetition met."""
        met = self.gold + self.answered > 0
        return _ratio(np.where(met, figures, 0.0).sum(axis=1), met.sum(axis=1).astype(float))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """0 where there is no whole, as scikit-learn has it with `zero_division=0`."""
    found: Floats = np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)
    return found
