"""Shares and means from few gold labels: the same as the authors' package, unbiased, and with intervals that hold."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from pipeline.measure.prevalence import powered, stratified, thin
from tests.prevalence_coverage import simulated, simulated_means

Z = 1.959963984540054
OF_PPI_PYTHON = [
    (True, None, 0.34962322695035464, 0.2571579182891489, 0.44208853561156036),
    (True, 0.0, 0.3333333333333333, 0.2140537237521895, 0.4526129429144771),
    (True, 1.0, 0.3625, 0.25400589828136416, 0.4709941017186358),
    (False, None, 5.018316619020116, 4.720454078045527, 5.316179159994705),
    (False, 0.0, 4.951666666666666, 4.214115039103001, 5.689218294230331),
    (False, 1.0, 5.03080303030303, 4.701515744011927, 5.360090316594133),
]
"""What ppi-python 0.2.3 said on 2026-11-26 of the numbers below: share?, lambda, value and both ends. The package brings numba
and more, too much for everybody's environment; where it is installed, the test after this one asks it itself."""
CHANCE = np.random.default_rng(7)


@pytest.mark.parametrize(("share", "lam", "value", "low", "high"), OF_PPI_PYTHON)
def test_value_and_standard_error_are_those_that_ppi_python_gave(
    share: bool, lam: float | None, value: float, low: float, high: float
) -> None:
    if share:
        gold = np.array([i % 3 == 0 for i in range(60)], float)
        answered = np.array([(i % 3 == 0) ^ (i % 7 == 0) for i in range(60)], float)
        others = np.array([(i % 5 < 2) ^ (i % 11 == 0) for i in range(400)], float)
    else:
        gold = np.array([(i * 37 % 101) / 10 for i in range(60)])
        answered = gold + np.array([(i * 17 % 23) / 11 for i in range(60)])
        others = np.array([(i * 53 % 103) / 10 + 1 for i in range(400)])
    found = powered(gold, answered, others, share=share, lam=lam)
    assert (found.value, found.value - Z * found.se, found.value + Z * found.se) == pytest.approx((value, low, high), abs=1e-9)


@pytest.mark.parametrize("lam", [None, 0.0, 0.35, 1.0])
@pytest.mark.parametrize("right", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("share", [True, False])
def test_value_and_standard_error_are_those_of_ppi_python(lam: float | None, right: float, share: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        ppi_py = pytest.importorskip("ppi_py", reason="ppi-python is not installed; its figures of one day stand above")
    truth = (CHANCE.random(1000) < 0.3).astype(float) if share else CHANCE.normal(5, 2, 1000)
    answers = np.where(CHANCE.random(1000) < right, truth, 1 - truth) if share else truth + CHANCE.normal(0.5, 1 / right, 1000)
    gold, answered, others = truth[:120], answers[:120], answers[120:]
    found = powered(gold, answered, others, share=share, lam=lam)
    low, high = ppi_py.ppi_mean_ci(gold, answered, others, alpha=0.05, lam=lam)
    assert found.value == pytest.approx(float(ppi_py.ppi_mean_pointestimate(gold, answered, others, lam=lam)[0]), abs=1e-9)
    assert found.value - Z * found.se == pytest.approx(float(low[0]), abs=1e-9)
    assert found.value + Z * found.se == pytest.approx(float(high[0]), abs=1e-9)
    # our own interval is never the narrower one
    assert found.low <= max(float(low[0]), 0.0 if share else -np.inf)
    assert found.high >= min(float(high[0]), 1.0 if share else np.inf)


def test_gold_alone_is_the_plain_mean() -> None:
    gold = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    found = powered(gold, 1 - gold, np.ones(9), share=True, lam=0.0)
    assert found.value == pytest.approx(0.6)
    assert found.se == pytest.approx(float(gold.std()) / np.sqrt(5))


def test_labels_without_a_single_error_still_leave_an_interval() -> None:
    gold = np.array([1.0] * 30 + [0.0] * 70)
    found = powered(gold, gold, np.tile(gold, 1000), share=True, lam=1.0)
    assert found.high - found.low > 0.02
    assert found.se < 0.002


def test_one_stratum_is_the_difference_estimator_with_the_finite_correction() -> None:
    truth = CHANCE.normal(3, 1, 400)
    answers = truth + CHANCE.normal(0.2, 0.5, 400)
    errors = (truth - answers)[:50]
    strata, inside = np.zeros(50, dtype=np.int64), np.ones(50, dtype=bool)
    found = stratified(truth[:50], answers[:50], strata, inside, answers, {0: 400}, share=False, lam=1.0)
    assert found.value == pytest.approx(answers.mean() + errors.mean(), abs=1e-12)
    assert found.se == pytest.approx(np.sqrt((1 - 50 / 400) * errors.var(ddof=1) / 50), abs=1e-12)


def test_strata_are_weighed_by_their_rows_by_hand() -> None:
    """Stratum 0: 90 rows, errors 0 and 1; stratum 1: 10 rows, errors 0 and -1. All answers are 0.4 on average."""
    gold, answered = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0, 1.0])
    strata, inside = np.array([0, 0, 1, 1]), np.ones(4, dtype=bool)
    everywhere = np.array([0.0] * 60 + [1.0] * 40)
    found = stratified(gold, answered, strata, inside, everywhere, {0: 90, 1: 10}, share=True, lam=1.0)
    assert found.value == pytest.approx(0.4 + 0.9 * 0.5 - 0.1 * 0.5, abs=1e-12)
    assert found.se**2 == pytest.approx(0.81 * (1 - 2 / 90) * 0.5 / 2 + 0.01 * (1 - 2 / 10) * 0.5 / 2, abs=1e-12)


def test_a_table_labelled_whole_has_no_error_left() -> None:
    gold = np.array([1.0, 0.0, 1.0])
    found = stratified(gold, 1 - gold, np.array([0, 0, 1]), np.ones(3, dtype=bool), 1 - gold, {0: 2, 1: 1}, share=True, lam=1.0)
    assert found.value == pytest.approx(2 / 3)
    assert found.se == 0.0


def test_strata_with_too_few_labels_are_named() -> None:
    assert thin(np.array([0, 0, 1, 3]), {0: 10, 1: 10, 2: 5, 3: 1}) == [1, 2]


@pytest.mark.parametrize("way", ["random", "stratified"])
def test_intervals_hold_the_truth_as_often_as_they_say(way: str) -> None:
    """300 repetitions; with 95 % the count lies above 271 with a probability of 0.9999. More: tests/prevalence_coverage.py."""
    held, width, alone = simulated(0.2, 0.9, 100, 300, way)
    assert held >= 0.905
    assert width < 0.8 * alone


def test_the_interval_of_a_mean_is_students_where_errors_are_even_and_reaches_to_their_tail_where_not() -> None:
    even = np.array([-1.0, 1.0] * 50)
    found = powered(even, even, even, share=False, lam=0.0)
    assert (found.low, found.high) == pytest.approx((-1.984216951 / 10, 1.984216951 / 10), abs=1e-9)  # t of 99 at 97.5 %
    tail = np.array([0.0] * 96 + [25.0] * 4)
    found = powered(tail, tail, tail, share=False, lam=0.0)
    # value 1, se 0.489897949; skewness of the mean 0.469485...: Hall's cubic is t at -1.39 and at 3.49
    assert found.low == pytest.approx(1 - 1.984216951 * 0.4898979486, abs=1e-8)
    a, upper = 4.694855340 / 10, (found.high - 1) / 0.4898979486
    assert -upper + a * upper**2 / 3 - a**2 * upper**3 / 27 + a / 6 == pytest.approx(-1.984216951, abs=1e-6)
    assert upper > 3


@pytest.mark.parametrize(("kind", "at_least"), [("ratings", 0.92), ("rare", 0.89)])
def test_intervals_of_means_hold_as_often_as_they_say_however_uneven_the_numbers(kind: str, at_least: float) -> None:
    """200 repetitions with 200 labels. Of "rare", Student's t alone holds the mean in 77 %."""
    held, width, alone = simulated_means(kind, 200, 200)
    assert held >= at_least
    assert width < 0.95 * alone


def test_an_estimate_from_a_stratified_sample_is_unbiased_in_groups_too() -> None:
    """Labels are far denser in the small stratum: the plain mean of the gold labels would be far off."""
    chance = np.random.default_rng(5)
    rows = 2000
    stratum = (np.arange(rows) >= 1800).astype(np.int64)
    truth = np.where(stratum == 1, chance.random(rows) < 0.9, chance.random(rows) < 0.1).astype(float)
    answers = np.where(chance.random(rows) < 0.7, truth, 1 - truth)
    group = chance.random(rows) < 0.5
    values = []
    for _ in range(300):
        drawn = np.concatenate([chance.choice(1800, 60, replace=False), 1800 + chance.choice(200, 60, replace=False)])
        one = stratified(
            truth[drawn], answers[drawn], stratum[drawn], group[drawn], answers[group], {0: 1800, 1: 200}, share=True
        )
        values.append(one.value)
    error = float(np.std(values)) / np.sqrt(300)
    assert np.mean(values) == pytest.approx(truth[group].mean(), abs=4 * error)
