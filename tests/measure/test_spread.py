"""Numbers in bounded memory keep what can be kept exact, and say where they do not."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measure.spread import KEPT, Numbers, bins


def test_up_to_the_kept_number_everything_is_exact() -> None:
    numbers = Numbers()
    for value in range(1, 1001):
        numbers.add(value)
    spread = numbers.spread()
    assert spread is not None
    assert (spread.number, spread.low, spread.high, spread.mean) == (1000, 1, 1000, 500.5)
    assert spread.quantiles == {0.05: 50, 0.25: 250, 0.5: 500, 0.75: 750, 0.95: 950, 0.99: 990}
    assert sum(spread.counts) == 1000
    assert not spread.sampled


def test_beyond_it_memory_does_not_grow_and_quantiles_stay_near() -> None:
    numbers, chance = Numbers(), random.Random(3)  # noqa: S311 no secret
    for _ in range(3 * KEPT):
        numbers.add(chance.random())
    spread = numbers.spread()
    assert spread is not None
    assert len(numbers.kept.items) == KEPT
    assert spread.number == 3 * KEPT
    assert spread.sampled
    assert spread.quantiles[0.5] == pytest.approx(0.5, abs=0.02)
    assert sum(spread.counts) == pytest.approx(3 * KEPT, rel=0.001)


def test_one_slow_reply_does_not_flatten_the_rest() -> None:
    numbers = Numbers()
    for value in range(1000):
        numbers.add(1 + value / 1000)
    numbers.add(900.0)
    spread = numbers.spread()
    assert spread is not None
    assert spread.beyond
    assert spread.edges[-1] < 3
    assert sum(spread.counts) == 1001


def test_what_is_no_finite_number_is_left_out() -> None:
    numbers = Numbers()
    for value in (math.nan, math.inf, 10**400):
        numbers.add(value)
    assert numbers.spread() is None


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50), st.booleans())
def test_bins_hold_every_number_and_are_few(values: list[float], whole: bool) -> None:
    values = [float(round(value)) for value in values] if whole else values
    edges = bins(min(values), max(values), whole=whole)
    assert edges == sorted(set(edges))
    assert edges[0] <= min(values)
    assert max(values) <= edges[-1]
    assert len(edges) <= 40


def test_integers_have_bins_of_their_own() -> None:
    assert bins(1, 5, whole=True) == [1, 2, 3, 4, 5, 6]
    assert bins(0, 0, whole=True) == [0, 1]


def test_the_top_of_a_scale_has_no_bin_of_its_own() -> None:
    edges = bins(0.0, 100.0, whole=False)
    assert (edges[0], edges[-1]) == (0, 100)
