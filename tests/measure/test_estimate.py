"""Totals with an interval, from a sample."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measure.estimate import (
    Interval,
    Pace,
    Sizes,
    answer_size,
    output_tokens,
    quantile,
    seconds,
    tiers,
    tokens_of,
    total,
)
from pipeline.records import JSON


@pytest.mark.parametrize(("freedom", "t"), [(3, 3.1824), (5, 2.5706), (8, 2.3060), (18, 2.1009), (30, 2.0423), (1000, 1.9623)])
def test_students_t_is_that_of_the_tables(freedom: int, t: float) -> None:
    assert quantile(freedom) == pytest.approx(t, rel=0.01)


def test_what_length_explains_wholly_has_no_interval() -> None:
    sample = [(size, 3.0 + 2.0 * size) for size in (1.0, 4.0, 9.0, 16.0, 25.0)]
    found = total(sample, Sizes.of([10.0, 100.0]))
    assert (found.low, found.middle, found.high) == pytest.approx((226.0, 226.0, 226.0))


def test_rows_of_one_length_are_estimated_by_their_mean() -> None:
    found = total([(7.0, value) for value in (1.0, 2.0, 3.0, 4.0, 5.0)], Sizes.of([7.0, 7.0]))
    assert found.middle == 6.0
    # s² = 2.5, n = 5, N = 2: 2.776 × √(2.5 × (2 + 4/5))
    assert found.high - found.middle == pytest.approx(quantile(4) * math.sqrt(2.5 * 2.8))
    assert found.low == 0.0, "nothing costs less than nothing"


def test_the_further_rows_are_from_the_sample_in_length_the_wider_is_the_interval() -> None:
    sample = [(1.0, 2.0), (2.0, 3.0), (3.0, 7.0), (4.0, 6.0), (5.0, 12.0)]
    # By hand: x̄ 3, ȳ 6, Sxx 10, slope 2.3, residual sum of squares 9.1 over 3 degrees; one row of length 13.
    half = quantile(3) * math.sqrt(9.1 / 3 * (1 + 1 / 5 + 100 / 10))
    found = total(sample, Sizes.of([13.0]))
    assert (found.middle, found.high) == pytest.approx((29.0, 29.0 + half))


def test_no_rows_take_nothing_and_a_handful_is_no_sample() -> None:
    assert total([(1.0, 1.0)] * 5, Sizes.of([])) == Interval(0, 0, 0)
    with pytest.raises(ValueError, match="4 rows are no sample"):
        total([(1.0, 1.0)] * 4, Sizes.of([1.0]))


def test_the_interval_holds_the_true_sum_in_95_of_100_cases() -> None:
    """Values that scatter around a line, sizes beyond those of the sample."""
    chance, held = random.Random(3), 0  # noqa: S311 no secret
    for _ in range(1000):
        sizes = [chance.lognormvariate(4, 0.8) for _ in range(60)]
        values = [5 + 0.4 * size + chance.gauss(0, 6) for size in sizes]
        found = total(list(zip(sizes[:15], values[:15], strict=True)), Sizes.of(sizes[15:]))
        held += found.low <= sum(values[15:]) <= found.high
    assert 930 <= held <= 970


@given(st.floats(1, 1e6))
def test_an_estimate_by_length_lies_within_its_range(size: float) -> None:
    found = tokens_of(size)
    assert 0 < found.low < found.middle < found.high < size


def test_the_size_of_an_answer_follows_its_schema() -> None:
    label: JSON = {"enum": ["yes", "no"]}
    assert answer_size({"properties": {"label": label}}) == 2 + 9 + 4.5
    assert answer_size({"properties": {"label": label, "why": {"type": "string"}}}) > 60
    assert answer_size({"type": "string", "maxLength": 10}) == 10
    assert answer_size({"type": "array", "items": label}) == 2 + 3 * 5.5
    assert answer_size({"anyOf": [{"type": "null"}, {"type": "string"}]}) == 60
    nested: dict[str, JSON] = {}
    nested["properties"] = {"self": nested}
    assert answer_size(nested) < 1000


def test_an_assumed_answer_is_never_longer_than_max_tokens_and_thinking_may_take_all_of_them() -> None:
    assert output_tokens(10_000, thinks=False, max_tokens=100) == Interval(100, 100, 100)
    assert output_tokens(33, thinks=True, max_tokens=1024).high == 1024
    assert output_tokens(33, thinks=False, max_tokens=1024).middle == 10
    assert output_tokens(1, thinks=False, max_tokens=1024).low == 1


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        (Pace(None, None, None), 1000 * 2 / 10),
        (Pace(60, None, None), 1000.0),
        (Pace(6000, 30_000, None), 2000.0),
        (Pace(6000, None, 1000), 3000.0),
    ],
)
def test_the_tightest_limit_makes_the_time(pace: Pace, expected: float) -> None:
    assert seconds(1000, 1_000_000, 50_000, pace, latency_s=2.0, at_once=10) == expected


def test_the_fable_models_have_limits_of_their_own() -> None:
    assert tiers("claude-fable-5-1")["start"].input_tokens == 500_000
    assert tiers("claude-haiku-5-5")["start"].input_tokens == 2_000_000
