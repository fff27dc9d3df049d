"""Two runs over the same rows."""

from __future__ import annotations

from math import comb

import pytest
from sklearn.metrics import cohen_kappa_score

from pipeline.measure.rivals import agreement, paired


def test_mcnemar_is_the_sign_test_of_the_rows_on_which_just_one_is_right() -> None:
    this = [True] * 9 + [False] * 2 + [True] * 20 + [False] * 5
    other = [False] * 9 + [True] * 2 + [True] * 20 + [False] * 5
    found = paired(this, other)
    assert (found.only_this, found.only_other, found.right.hits, found.other_right.hits) == (9, 2, 29, 22)
    assert found.p == pytest.approx(2 * sum(comb(11, k) for k in range(3)) / 2**11, abs=1e-12)


def test_twins_are_no_better_than_each_other() -> None:
    assert paired([True, False], [True, False]).p == 1.0


def test_agreement_is_of_the_rows_that_both_answered() -> None:
    this, other = ["a", "b", "a", None, "b", None], ["a", "b", "b", "a", "b", None]
    found = agreement(this, other, [one == two for one, two in zip(this, other, strict=True)], labels=True)
    assert (found.rows, found.answered, found.agreeing.hits, found.agreeing.of) == (6, 4, 3, 4)
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(cohen_kappa_score([*this[:3], "b"], [*other[:3], "b"]), abs=1e-9)


def test_text_has_no_kappa() -> None:
    assert agreement(["x"], ["x"], [True], labels=False).kappa is None
