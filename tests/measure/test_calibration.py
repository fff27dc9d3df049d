"""Confidence against being right."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from pipeline.measure.calibration import calibration


def test_a_case_worked_out_by_hand() -> None:
    found = calibration([0.95, 0.85, 0.85, 0.2, 1.0], [True, True, False, False, True])
    assert found is not None
    # bins: 0.2 → |0.2 - 0| · 1; 0.8 → |0.85 - 0.5| · 2; 0.9 and above → |0.975 - 1| · 2; of 5
    assert found.ece.value == pytest.approx((0.2 + 0.7 + 0.05) / 5, abs=1e-12)
    assert found.brier.value == pytest.approx((0.0025 + 0.0225 + 0.7225 + 0.04 + 0) / 5, abs=1e-12)
    assert [one.rows for one in found.bins] == [0, 0, 1, 0, 0, 0, 0, 0, 2, 2]
    assert found.bins[8].confidence == pytest.approx(0.85)
    assert found.bins[8].right.value == 0.5


def test_brier_is_that_of_scikit_learn() -> None:
    chance = np.random.default_rng(0)
    said, right = chance.random(300), chance.random(300) < 0.6
    found = calibration(list(said), list(right))
    assert found is not None
    assert found.brier.value == pytest.approx(brier_score_loss(right, said), abs=1e-9)
    assert found.brier.low is not None
    assert found.brier.low < brier_score_loss(right, said)


def test_a_confidence_that_is_true_has_a_small_error_and_one_that_is_not_a_large_one() -> None:
    chance = np.random.default_rng(1)
    said = chance.random(20_000)
    true = calibration(list(said), list(chance.random(20_000) < said))
    vain = calibration([0.99] * 100, [True, False] * 50)
    assert true is not None
    assert vain is not None
    assert true.ece.value == pytest.approx(0, abs=0.015)
    assert vain.ece.value == pytest.approx(0.49, abs=1e-9)


def test_no_rows_no_calibration() -> None:
    assert calibration([], []) is None
