"""Numbers against gold numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, median_absolute_error, root_mean_squared_error

from pipeline.measure.numeric import numbers

FINITE = st.floats(-1000, 1000).map(lambda one: round(one, 3))


def test_a_case_worked_out_by_hand() -> None:
    found = numbers([1, 2, 3, 4, 9], [2, 2, 1, 5, None])
    assert (found.coverage.hits, found.coverage.of, found.exact.hits, found.exact.of) == (4, 5, 1, 4)
    assert found.mae.value == pytest.approx(1.0, abs=1e-12)
    assert found.rmse.value == pytest.approx(math.sqrt(6 / 4), abs=1e-12)
    assert found.median_error.value == pytest.approx(1.0, abs=1e-12)
    assert found.bias.value == pytest.approx(0.0, abs=1e-12)
    # ranks of the answers: 2.5, 2.5, 1, 4 against 1, 2, 3, 4
    assert found.spearman.value == pytest.approx(1.5 / math.sqrt(5 * 4.5), abs=1e-12)


@settings(deadline=None, max_examples=40)  # the first call imports
@given(st.lists(st.tuples(FINITE, FINITE), min_size=3, max_size=40))
def test_figures_are_those_of_scikit_learn_and_scipy(rows: list[tuple[float, float]]) -> None:
    gold, answers = [list(side) for side in zip(*rows, strict=True)]
    found = numbers(gold, list(answers))
    assert found.mae.value == pytest.approx(mean_absolute_error(gold, answers), abs=1e-9)
    assert found.rmse.value == pytest.approx(root_mean_squared_error(gold, answers), abs=1e-9)
    assert found.median_error.value == pytest.approx(median_absolute_error(gold, answers), abs=1e-9)
    if len(set(gold)) > 1 and len(set(answers)) > 1:
        assert found.spearman.value == pytest.approx(spearmanr(gold, answers).statistic, abs=1e-9)
    else:
        assert found.spearman.value is None


def test_the_interval_of_the_bias_is_that_of_the_mean() -> None:
    errors = np.random.default_rng(3).normal(0.5, 2.0, 400)
    found = numbers([0.0] * 400, list(errors)).bias
    half = 1.96 * float(errors.std()) / 20
    assert found.low == pytest.approx(float(errors.mean()) - half, abs=0.03)
    assert found.high == pytest.approx(float(errors.mean()) + half, abs=0.03)


def test_without_an_answer_there_is_no_figure() -> None:
    found = numbers([1.0], [None])
    assert (found.coverage.value, found.mae.value, found.exact.value) == (0.0, None, None)
