"""Class labels against gold: the figures are those of scikit-learn, and of a case worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score, precision_score, recall_score

from pipeline.measure.classes import _Again, classes
from pipeline.measure.gold import wilson

GOLD = ["a", "a", "a", "a", "b", "b", "b", "c", "c", "c"]
ANSWERS = ["a", "a", "b", None, "b", "b", "c", "c", "a", None]


def test_a_case_worked_out_by_hand() -> None:
    found = classes(GOLD, ANSWERS, ("a", "b", "c"))
    assert (found.accuracy.hits, found.accuracy.of, found.accuracy_all.of) == (5, 8, 10)
    assert (found.coverage.hits, found.coverage.of) == (8, 10)
    assert found.confusion == ((2, 1, 0, 1), (0, 2, 1, 0), (1, 0, 1, 1))
    precision, recall = (Fraction(2, 3), Fraction(2, 3), Fraction(1, 2)), (Fraction(1, 2), Fraction(2, 3), Fraction(1, 3))
    f1 = [2 * p * r / (p + r) for p, r in zip(precision, recall, strict=True)]
    for one, p, r, f in zip(found.classes, precision, recall, f1, strict=True):
        assert one.precision.value == pytest.approx(float(p), abs=1e-12)
        assert one.recall.value == pytest.approx(float(r), abs=1e-12)
        assert one.f1.value == pytest.approx(float(f), abs=1e-12)
    assert found.macro_precision.value == pytest.approx(float(sum(precision) / 3), abs=1e-12)
    assert found.macro_f1.value == pytest.approx(float(sum(f1) / 3), abs=1e-12)
    # answered rows: gold a 3, b 3, c 2; answers a 3, b 3, c 2; agreed 5 of 8, by chance (9 + 9 + 4) / 64
    chance = Fraction(22, 64)
    assert found.kappa.value == pytest.approx(float((Fraction(5, 8) - chance) / (1 - chance)), abs=1e-12)
    assert (found.accuracy.low, found.accuracy.high) == wilson(5, 8)


LABELS = st.sampled_from("abcd")
ROWS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=60)


@settings(deadline=None, max_examples=40)  # the first call imports
@given(ROWS)
def test_figures_are_those_of_scikit_learn(rows: list[tuple[str, str]]) -> None:
    gold, answers = [list(side) for side in zip(*rows, strict=True)]
    found = classes(gold, answers)
    assert found.accuracy.value == pytest.approx(accuracy_score(gold, answers), abs=1e-9)
    for mine, theirs in (
        (found.macro_precision, precision_score),
        (found.macro_recall, recall_score),
        (found.macro_f1, f1_score),
    ):
        assert mine.value == pytest.approx(theirs(gold, answers, average="macro", zero_division=0), abs=1e-9)
    for name, theirs in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        each = theirs(gold, answers, average=None, zero_division=0)
        ours = [getattr(one, name).value or 0.0 for one in found.classes]  # a precision of nothing is None, there 0
        assert ours == pytest.approx(list(each), abs=1e-9)
    matrix = confusion_matrix(gold, answers, labels=[*sorted({*gold, *answers}), "(none)"])
    assert np.array_equal(np.array(found.confusion), matrix[:-1])
    if len({*gold, *answers}) > 1:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(gold, answers), abs=1e-9)
    else:
        assert found.kappa.value is None


@settings(deadline=None, max_examples=40)  # the first call imports
@given(st.lists(st.tuples(LABELS, st.none() | LABELS), min_size=1, max_size=60))
def test_rows_without_an_answer_are_to_scikit_learn_a_class_that_is_not_asked_about(rows: list[tuple[str, str | None]]) -> None:
    gold, answers = [row[0] for row in rows], [row[1] or "(none)" for row in rows]
    found = classes(gold, [row[1] for row in rows])
    labels = [one.label for one in found.classes]
    assert found.accuracy_all.value == pytest.approx(accuracy_score(gold, answers), abs=1e-9)
    for mine, theirs in (
        (found.macro_precision, precision_score),
        (found.macro_recall, recall_score),
        (found.macro_f1, f1_score),
    ):
        assert mine.value == pytest.approx(theirs(gold, answers, labels=labels, average="macro", zero_division=0), abs=1e-9)


@settings(deadline=None, max_examples=40)  # the first call imports
@given(ROWS)
def test_what_is_drawn_again_is_computed_as_the_figures_are(rows: list[tuple[str, str]]) -> None:
    """The counts themselves, as the one repetition: the formulas of the intervals must give the figures."""
    gold, answers = [list(side) for side in zip(*rows, strict=True)]
    found = classes(gold, answers)
    matrix = np.array(found.confusion, dtype=float)
    size = len(matrix)
    again = _Again(
        np.diag(matrix)[None], matrix.sum(axis=1)[None], matrix[:, :size].sum(axis=0)[None], matrix[:, :size].sum(axis=1)[None]
    )
    assert again.macro(again.f1)[0] == pytest.approx(found.macro_f1.value, abs=1e-9)
    assert again.macro(again.recall)[0] == pytest.approx(found.macro_recall.value, abs=1e-9)
    if found.kappa.value is not None:
        assert again.kappa[0] == pytest.approx(found.kappa.value, abs=1e-9)


def test_kappa_is_drawn_again_from_answered_rows_alone() -> None:
    again = _Again.drawn(np.array([[60.0, 10.0, 90.0], [20.0, 50.0, 10.0]]))
    assert np.array_equal(again.gold_answered.sum(axis=1), again.answered.sum(axis=1))
    assert (again.gold.sum(axis=1) == 240).all()
    alone = _Again.drawn(np.array([[60.0, 10.0, 0.0], [20.0, 50.0, 0.0]]))
    assert np.mean(again.kappa) == pytest.approx(np.mean(alone.kappa), abs=0.02)


def test_the_interval_of_f1_is_as_wide_as_that_of_drawing_rows() -> None:
    chance = np.random.default_rng(0)
    gold = chance.choice(["a", "b"], 200)
    answers = np.where(chance.random(200) < 0.8, gold, "a")
    found = classes(list(gold), list(answers)).macro_f1
    drawn = [
        f1_score(gold[rows], answers[rows], average="macro") for rows in (chance.integers(0, 200, 200) for _ in range(300))
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)


def test_a_row_without_answer_lowers_recall_and_never_precision() -> None:
    found = classes(["a", "a"], ["a", None]).classes[0]
    assert (found.precision.value, found.recall.value) == (1.0, 0.5)


def test_no_answer_at_all_leaves_nothing_undefined_as_a_figure() -> None:
    found = classes(["a", "b"], [None, None])
    assert (found.coverage.value, found.accuracy.value, found.accuracy_all.value) == (0.0, None, 0.0)
    assert found.kappa.value is None


def test_classes_come_as_the_schema_has_them_and_others_after() -> None:
    assert [one.label for one in classes(["x", "b"], ["b", "a"], ("b", "a", "unused")).classes] == ["b", "a", "x"]


def test_the_same_rows_give_the_same_intervals() -> None:
    assert classes(GOLD, ANSWERS) == classes(GOLD, ANSWERS)
