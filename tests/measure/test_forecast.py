"""Tokens and dollars of rows that are still to be bought."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from pipeline.measure.estimate import Interval, Sizes, exactly
from pipeline.measure.forecast import Asking, Bought, Forecast, assumed, learned, widest
from pipeline.measure.price import Prices
from pipeline.records import Usage
from tests.measure.test_price import FILE
from tests.plan_coverage import campaign, told

PRICES = Prices.parse(YAML(typ="safe").load(FILE.read_text("utf-8")), "prices.yaml")
HAIKU = Asking("claude-haiku-5-5", "5m", PRICES, 512)


def middle(found: Interval | None) -> float:
    assert found is not None
    return found.middle


def test_from_rows_that_read_the_cache_the_rest_is_priced_with_one_write() -> None:
    read = [Bought(100, Usage(50, 10, cache_read_tokens=600), 1)] * 19
    written = Bought(100, Usage(50, 10, cache_write_5m_tokens=600), 1)
    found = learned([written, *read], Sizes.of([100.0] * 1000), HAIKU)
    each = (50 * 0.10 + 10 * 0.50 + 600 * 0.01) / 1e6
    assert middle(found.online_usd) == pytest.approx(1000 * each + 600 * (0.125 - 0.01) / 1e6)
    assert (found.constant_tokens, found.cached, found.requests) == (600, True, 1000)
    assert (found.row_tokens.middle, found.output_tokens.middle) == (50_000, 10_000)
    # Half of everything, with a cache that is hit in 30 % to 98 % of requests.
    batch = found.batch_usd
    assert batch is not None
    missed = 600 * (0.125 - 0.01) / 1e6
    assert (batch.low, batch.high) == pytest.approx((500 * (each + 0.02 * missed), 500 * (each + 0.70 * missed)))


def test_rows_that_were_asked_again_make_the_others_dearer() -> None:
    once, twice = Bought(100, Usage(50, 10), 1), Bought(100, Usage(120, 20), 2)
    found = learned([once] * 5 + [twice] * 5, Sizes.of([100.0] * 100), HAIKU)
    assert found.requests == 150
    assert found.row_tokens.middle == pytest.approx(8500)


def test_a_row_of_two_short_asks_is_not_priced_as_one_long_prompt() -> None:
    long = Bought(100, Usage(120_000, 10), 2)
    found = learned([long] * 5, Sizes.of([100.0] * 1), HAIKU)
    assert middle(found.online_usd) == pytest.approx((120_000 * 0.10 + 10 * 0.50) / 1e6)


def before(constant: float, asking: Asking = HAIKU, size: float = 100.0, output: float = 10.0) -> Forecast:
    counted = [(size, size / 4)] * 5
    return assumed(counted, Sizes.of([size] * 1000), constant, exactly(output), asking)


def test_a_constant_part_is_read_from_the_cache_from_the_models_minimum_on() -> None:
    short, long = before(511), before(512)
    assert (short.cached, long.cached) == (False, True)
    assert short.row_tokens.middle == 1000 * (25 + 511)
    assert long.row_tokens.middle == 1000 * 25
    plain = 1000 * (25 * 0.10 + 10 * 0.50)
    assert middle(short.online_usd) == pytest.approx((plain + 1000 * 511 * 0.10) / 1e6)
    assert middle(long.online_usd) == pytest.approx((plain + 1000 * 512 * 0.01 + 512 * 0.115) / 1e6)


def test_nothing_is_cached_where_the_job_or_what_is_known_of_the_model_says_so() -> None:
    assert not before(5000, Asking("claude-haiku-5-5", "off", PRICES, 512)).cached
    assert not before(5000, Asking("claude-fable-5-2", "5m", PRICES, None)).cached


def test_each_row_is_priced_in_the_band_of_its_own_prompt() -> None:
    # 25 tokens, and 100,001: tokens are shared out by size.
    sizes = Sizes.of([100.0, 400_004.0])
    found = assumed([(4.0 * n, 1.0 * n) for n in (1, 10, 100, 1000, 10_000)], sizes, 0, exactly(10), HAIKU)
    assert middle(found.online_usd) == pytest.approx((25 * 0.10 + 10 * 0.50 + 100_001 * 0.50 + 10 * 2.50) / 1e6)


def test_without_a_price_there_are_tokens_and_no_dollars() -> None:
    found = before(600, Asking("claude-next", "5m", PRICES, 512))
    assert (found.online_usd, found.batch_usd) == (None, None)
    assert found.output_tokens.middle == 10_000


def test_what_is_not_known_to_be_cached_spans_both_cases() -> None:
    found = widest([before(400), before(600), before(900)])
    online = found.online_usd
    assert online is not None
    ends = [middle(before(constant).online_usd) for constant in (400, 600, 900)]
    assert (online.low, online.middle, online.high) == (min(ends), ends[1], max(ends))


def test_the_true_cost_of_a_rehearsed_job_lies_in_the_stated_interval_in_at_least_90_of_100_seeds() -> None:
    trials = campaign(100, rows=80, bought=20)
    assert sum(one.holds for one in trials) >= 90, told(trials)
    assert sorted(one.width for one in trials)[50] < 0.10, "an interval that holds anything says nothing"
