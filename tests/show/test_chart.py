"""Charts: lengths that are true, and numbers a person can read."""

from __future__ import annotations

import re

import pytest

from pipeline.show.chart import SMALLEST, bar, columns, diagonal, figure, interval, shade, share


def widths(svg: str) -> list[float]:
    return [float(width) for width in re.findall(r'<rect class="bar"[^>]* width="([\d.]+)"', svg)]


def heights(svg: str) -> list[float]:
    return [float(height) for height in re.findall(r'height="([\d.]+)"><title>', svg)]


def test_a_bar_is_as_long_as_its_part_and_a_small_one_can_be_seen() -> None:
    assert widths(bar(1, 4, "bar", "")) == [25]
    assert widths(bar(1, 1_000_000, "bar", "")) == [SMALLEST]
    assert widths(bar(0, 4, "bar", "")) == [0]
    assert widths(bar(0, 0, "bar", "")) == [0]


def test_columns_are_as_high_as_their_values_and_gaps_are_empty() -> None:
    assert heights(columns([2, None, 4, 0], ["a", "b", "c", "d"], "")) == [50, 100]
    assert heights(columns([], [], "")) == []


def test_an_interval_is_a_band_with_its_figure_in_it_and_stays_on_its_scale() -> None:
    drawn = interval(0.25, 0.5, 1.5, "")
    assert 'class="band" x="25" y="2" width="75"' in drawn
    assert 'class="point" x1="50" x2="50"' in drawn
    assert f'class="band" x="0" y="2" width="{SMALLEST}"' in interval(0, 0, 0, "")


def test_a_reliability_has_each_share_above_its_confidence_and_a_higher_one_higher() -> None:
    drawn = diagonal([(0.9, 0.6, 0.7, 0.8)], ["<b>"], "")
    assert '<line class="even" x1="0" x2="100" y1="100" y2="0"/>' in drawn
    assert '<line class="whisker" x1="90" x2="90" y1="40" y2="20"/>' in drawn
    assert '<line class="point" x1="88.5" x2="91.5" y1="30" y2="30"/><title>&lt;b&gt;</title>' in drawn


def test_a_label_is_text() -> None:
    assert "&lt;b&gt;" in columns([1], ["<b>"], "<b>")
    assert "<b>" not in columns([1], ["<b>"], "<b>") + bar(1, 1, 'x"><b>', "<b>")


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (12, "12"), (1234567, "1,234,567"), (0.12345, "0.123"), (99.95, "100"), (-2.5, "-2.5"), (1e-7, "1e-07")],
)
def test_numbers_have_three_digits_that_count(value: float, told: str) -> None:
    assert figure(value) == told


def test_places_on_a_scale_stay_on_it() -> None:
    assert [share(value, 0, 4) for value in (-1, 1, 9)] == [0, 0.25, 1]
    assert share(1, 2, 2) == 0


def test_only_nothing_has_no_shade() -> None:
    assert [shade(count, 1000) for count in (0, 1, 500, 1000)] == [0, 1, 3, 6]
