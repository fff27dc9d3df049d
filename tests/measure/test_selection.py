"""Which rows to label next."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measure.selection import MOST_STRATA, select, strata


@given(st.lists(st.sampled_from(["a", "b · low", "c"]), min_size=6, max_size=200), st.integers(6, 80), st.integers(0, 99))
def test_as_many_rows_as_asked_each_once_with_its_true_chance(names: list[str], size: int, seed: int) -> None:
    drawn = select(names, size, seed)
    labels = sorted(set(names))
    assert len(drawn) == min(size, len(names)) == len({one.row for one in drawn})
    counts = Counter(one.stratum for one in drawn)
    for one in drawn:
        name = labels[one.stratum]
        assert names[one.row] == name
        assert one.probability == pytest.approx(counts[one.stratum] / names.count(name))
    assert all(counts[number] >= min(2, names.count(name)) for number, name in enumerate(labels))


def test_the_same_seed_draws_the_same_rows_and_another_others() -> None:
    names = ["a"] * 100
    assert select(names, 10, 1) == select(names, 10, 1)
    assert select(names, 10, 1) != select(names, 10, 2)


def test_rare_answers_and_unsure_ones_are_drawn_more_often() -> None:
    counts = Counter(one.stratum for one in select(["a"] * 900 + ["b"] * 100, 100, 0))
    assert counts == {0: 75, 1: 25}
    unsure = Counter(one.stratum for one in select(["a · high"] * 500 + ["a · low"] * 500, 90, 0))
    assert unsure == {0: 30, 1: 60}


def test_each_row_of_a_stratum_has_the_same_chance() -> None:
    hits = np.zeros(20)
    for seed in range(2000):
        for one in select(["a"] * 20, 5, seed):
            hits[one.row] += 1
    # 2,000 draws at 1/4: 5 standard deviations are 97
    assert np.abs(hits - 500).max() < 97


def test_too_few_for_the_strata_is_said() -> None:
    with pytest.raises(ValueError, match="3 strata take at least 6 rows"):
        select(["a"] * 9 + ["b"] * 9 + ["c"] * 9, 5, 0)


def test_strata_are_answers_by_half_of_their_confidence_and_never_too_many() -> None:
    assert strata(["a", "a", None], [0.1, 0.9, None]) == ["a · low", "a · high", "(none) · low"]
    assert strata(["a", None], None) == ["a", "(none)"]
    many = [str(number) for number in range(500)]
    assert len(set(strata(many, [0.5] * 500))) <= MOST_STRATA
