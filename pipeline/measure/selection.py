"""Which rows to label next: drawn at random within strata of answer and confidence.

Rows are the more worth labelling the likelier they are wrong, and a rare answer would hardly be met by chance. So every
stratum gets its share of the labels by the square root of its size, twice that where confidence is low, and at least two.
What is drawn within a stratum is drawn evenly: each row's chance is known and stored with it, which is what keeps
an estimate from such labels unbiased (prevalence.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

LEAST = 2
"""Labels a stratum: with one its spread is not known."""
MOST_STRATA = 40
EMPHASIS = 2.0
"""So much likelier than by its size alone is the less confident half of an answer taken."""


@dataclass(frozen=True, slots=True)
class Drawn:
    row: int
    """Its index in what was given."""
    stratum: int
    probability: float
    """That a draw takes this row."""


def strata(answers: Sequence[str | None], confidences: Sequence[float | None] | None) -> list[str]:
    """The stratum of each row, named; where there are too many answers the rare ones share one."""
    names = ["(none)" if answer is None else answer for answer in answers]
    by_rows: dict[str, int] = {}
    for name in names:
        by_rows[name] = by_rows.get(name, 0) + 1
    kept = set(sorted(by_rows, key=lambda name: (-by_rows[name], name))[: MOST_STRATA // 2 - 1])
    if len(by_rows) > len(kept):
        names = [name if name in kept or name == "(none)" else "(other)" for name in names]
    if confidences is None:
        return names
    known: dict[str, list[float]] = {name: [] for name in names}
    for name, confidence in zip(names, confidences, strict=True):
        if confidence is not None:
            known[name].append(confidence)
    middle = {name: float(np.median(values)) if values else 0.0 for name, values in known.items()}
    return [
        f"{name} · {'low' if confidence is None or confidence < middle[name] else 'high'}"
        for name, confidence in zip(names, confidences, strict=True)
    ]


def select(names: Sequence[str], size: int, seed: int) -> list[Drawn]:
    """`size` rows of those whose strata are named, fewer only where there are no more, in random order.

    The same rows for the same names, size and seed. ValueError where `size` does not give each stratum its two.
    """
    generator = np.random.default_rng(seed)
    labels = sorted(set(names))
    members = _members(names, labels)
    least = sum(min(LEAST, len(rows)) for rows in members)
    if size < min(least, len(names)):
        raise ValueError(f"{len(labels)} strata take at least {least} rows")
    counts = _allotted([len(rows) for rows in members], [label.endswith(" · low") for label in labels], min(size, len(names)))
    drawn = [
        Drawn(rows[int(place)], number, count / len(rows))
        for number, (rows, count) in enumerate(zip(members, counts, strict=True))
        for place in generator.choice(len(rows), count, replace=False)
    ]
    return [drawn[int(place)] for place in generator.permutation(len(drawn))]


def _members(names: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    rows: dict[str, list[int]] = {label: [] for label in labels}
    for row, name in enumerate(names):
        rows[name].append(row)
    return list(rows.values())


def _allotted(sizes: Sequence[int], low: Sequence[bool], size: int) -> list[int]:
    """Labels for each stratum, `size` in all: its least first, then one after another where it is furthest behind."""
    wanted = [sqrt(rows) * (EMPHASIS if is_low else 1.0) for rows, is_low in zip(sizes, low, strict=True)]
    counts = [min(LEAST, rows) for rows in sizes]
    for _ in range(size - sum(counts)):
        open_strata = [number for number, count in enumerate(counts) if count < sizes[number]]
        counts[min(open_strata, key=lambda number: (counts[number] / wanted[number], number))] += 1
    return counts
