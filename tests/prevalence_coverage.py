"""How often the 95 % intervals of a share or a mean hold the truth, and how wide they are: `python -m
tests.prevalence_coverage [REPS]`.

A table of 5,000 rows with a known truth; the model is right in so many rows of 100; gold labels are drawn at random, or by
stratum of answer and confidence. Some ten minutes at 1,000 repetitions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.measure.prevalence import Floats, powered, stratified
from pipeline.measure.selection import select, strata

ROWS = 5_000
SHARES = (0.02, 0.05, 0.2, 0.5)
RIGHT = (0.7, 0.85, 0.95)
LABELS = (100, 200, 500)


def table(share: float, right: float, generator: np.random.Generator) -> tuple[Floats, Floats, list[float]]:
    """Truth, answers (0 or 1), and a confidence that tells a little."""
    truth = (generator.random(ROWS) < share).astype(float)
    wrong = generator.random(ROWS) >= right
    answers = np.where(wrong, 1 - truth, truth)
    return truth, answers, list(np.where(wrong, generator.beta(4, 2, ROWS), generator.beta(8, 2, ROWS)))


def simulated(share: float, right: float, labels: int, repetitions: int, way: str, seed: int = 0) -> tuple[float, float, float]:
    """The share of intervals that hold the truth, their mean width, and that of intervals from gold alone."""
    generator = np.random.default_rng(seed)
    truth, answers, confidences = table(share, right, generator)
    names = strata([str(answer) for answer in answers], confidences)
    held, widths, alone = 0, 0.0, 0.0
    for repetition in range(repetitions):
        if way == "random":
            # each time a new table: the published interval is about the population behind it
            truth, answers, _ = table(share, right, generator)
            chosen = np.zeros(ROWS, dtype=bool)
            chosen[generator.choice(ROWS, labels, replace=False)] = True
            one = powered(truth[chosen], answers[chosen], answers[~chosen], share=True)
            gold = powered(truth[chosen], answers[chosen], answers[~chosen], share=True, lam=0.0)
            target = share
        else:
            drawn = select(names, labels, repetition)
            rows = np.array([each.row for each in drawn])
            numbers = np.array([each.stratum for each in drawn])
            sizes = {n: names.count(name) for n, name in enumerate(sorted(set(names)))}
            inside = np.ones(len(rows), dtype=bool)
            one = stratified(truth[rows], answers[rows], numbers, inside, answers, sizes, share=True)
            plain = generator.choice(ROWS, labels, replace=False)
            gold = powered(truth[plain], answers[plain], answers, share=True, lam=0.0)
            target = float(truth.mean())
        held += one.low <= target <= one.high
        widths += one.high - one.low
        alone += gold.high - gold.low
    return held / repetitions, widths / repetitions, alone / repetitions


NUMBERS = ("normal", "ratings", "lognormal", "rare")


def numbers(kind: str, generator: np.random.Generator) -> tuple[Floats, Floats, float]:
    """Truth, answers that are about right, and the mean of the population."""
    match kind:
        case "normal":
            truth = generator.normal(5, 2, ROWS)
            return truth, truth + generator.normal(0.5, 1, ROWS), 5.0
        case "ratings":
            stars = generator.choice(5, ROWS, p=[0.05, 0.05, 0.1, 0.3, 0.5]).astype(np.float64) + 1
            said = np.clip(stars + generator.choice(3, ROWS, p=[0.1, 0.8, 0.1]) - 1, 1.0, 5.0).astype(np.float64)
            return stars, said, 4.15
        case "lognormal":
            truth = generator.lognormal(0, 1, ROWS)
            return truth, truth * generator.lognormal(0, 0.3, ROWS), float(np.exp(0.5))
        case _:  # zeros, and a few large numbers of which one in ten is missed
            truth = np.where(generator.random(ROWS) < 0.05, generator.exponential(100, ROWS), 0.0)
            return truth, np.where(generator.random(ROWS) < 0.9, truth, 0.0), 5.0


def simulated_means(kind: str, labels: int, repetitions: int, seed: int = 0) -> tuple[float, float, float]:
    """As for shares, of labels drawn at random."""
    generator = np.random.default_rng(seed)
    held, widths, alone = 0, 0.0, 0.0
    for _ in range(repetitions):
        truth, answers, mean = numbers(kind, generator)
        one, gold = (powered(truth[:labels], answers[:labels], answers[labels:], share=False, lam=lam) for lam in (None, 0.0))
        held += one.low <= mean <= one.high
        widths += one.high - one.low
        alone += gold.high - gold.low
    return held / repetitions, widths / repetitions, alone / repetitions


def lines(repetitions: int) -> Iterator[str]:
    yield f"{'drawn':<10} {'share':>5} {'right':>5} {'gold':>5} {'holds':>7} {'width':>7} {'gold alone':>10} {'ratio':>6}"
    for way in ("random", "stratified"):
        for share in SHARES:
            for right in RIGHT:
                for labels in LABELS:
                    held, width, alone = simulated(share, right, labels, repetitions, way)
                    yield (
                        f"{way:<10} {share:>5} {right:>5} {labels:>5} {held:>7.1%} {width:>7.4f} {alone:>10.4f} "
                        f"{width / alone:>6.2f}"
                    )
    for kind in NUMBERS:
        for labels in LABELS:
            held, width, alone = simulated_means(kind, labels, repetitions)
            yield f"{'means':<10} {kind:<11} {labels:>5} {held:>7.1%} {width:>7.3f} {alone:>10.3f} {width / alone:>6.2f}"


def main(arguments: Sequence[str]) -> None:
    for line in lines(int(arguments[0]) if arguments else 1_000):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
