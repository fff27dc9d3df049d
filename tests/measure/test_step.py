"""Prompts beyond a price step, and what pieces below it would cost."""

from __future__ import annotations

import pytest

from pipeline.measure.estimate import Sizes, exactly
from pipeline.measure.forecast import Asking, Forecast, assumed
from pipeline.measure.step import Step, step
from tests.measure.test_forecast import HAIKU, PRICES

CONSTANT, OUTPUT = 1_000.0, 10.0


def forecast(sizes: list[float], asking: Asking = HAIKU) -> Forecast:
    """Two bytes a token."""
    counted = [(size, size / 2) for size in (100.0, 200.0, 300.0, 400.0, 500.0)]
    return assumed(counted, Sizes.of(sizes), CONSTANT, exactly(OUTPUT), asking)


def found(sizes: list[float], asking: Asking = HAIKU) -> Step | None:
    return step(Sizes.of(sizes), forecast(sizes, asking), asking, bytes_a_token=2)


def test_what_is_beyond_the_step_is_named_with_what_it_costs_and_would_cost() -> None:
    told = found([300_000.0, 400_000.0, 1_000.0, 190_000.0])
    assert told is not None
    # 150,000 and 200,000 tokens, each five times as dear; in pieces of at most 99,000: 2 and 3.
    assert (told.prompt_tokens, told.times, told.requests, told.piece_tokens, told.pieces) == (100_000, 5, 2, 99_000, 5)
    dear = (350_000 * 0.5 + 2 * (CONSTANT * 0.05 + OUTPUT * 2.5)) / 1e6
    cheap = (350_000 * 0.1 + 5 * (CONSTANT * 0.01 + OUTPUT * 0.5)) / 1e6
    combining = (5 * OUTPUT * 0.1 + 2 * (CONSTANT * 0.01 + OUTPUT * 0.5)) / 1e6
    assert told.usd == pytest.approx(dear)
    assert told.pieces_usd == pytest.approx(cheap + combining)


def test_the_constant_part_counts_toward_the_step() -> None:
    assert found([198_000.0]) is None
    assert found([198_002.0]) is not None


def test_there_is_none_where_the_price_has_none() -> None:
    assert found([900_000.0], Asking("claude-sonnet-5-5", "5m", PRICES, 512)) is None
    assert found([900_000.0], Asking("no-such-model", "5m", PRICES, None)) is None
    assert step(Sizes.of([]), forecast([]), HAIKU, 2) is None
