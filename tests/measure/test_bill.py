"""The items of a bill make its sum."""

from __future__ import annotations

import pytest

from pipeline.measure.bill import bill
from pipeline.measure.price import Rates
from pipeline.records import Usage

RATES = Rates(None, input=1.0, output=5.0, cache_write_5m=1.25, cache_write_1h=2.0, cache_read=0.1)
USAGE = Usage(1000, 500, 2000, 300, 100, 200)


def test_items_make_the_sum_and_thinking_stands_apart() -> None:
    items = {item.name: item for item in bill(USAGE, RATES.cost(USAGE), (RATES,))}
    assert sum(item.usd or 0.0 for item in items.values()) == pytest.approx(RATES.cost(USAGE))
    assert items["thinking"].usd == pytest.approx(200 * 5 / 1e6)
    assert (items["output"].tokens, items["cache writes"].tokens) == (300, 400)
    assert items["cache writes"].usd == pytest.approx((300 * 1.25 + 100 * 2) / 1e6)


def test_a_batch_halves_every_item() -> None:
    whole, half = bill(USAGE, RATES.cost(USAGE), (RATES,)), bill(USAGE, RATES.cost(USAGE) / 2, (RATES,))
    assert [(one.usd or 0) / 2 for one in whole] == pytest.approx([one.usd for one in half])


@pytest.mark.parametrize(("total", "rates"), [(None, (RATES,)), (1.0, ())])
def test_what_is_not_known_is_not_guessed(total: float | None, rates: tuple[Rates, ...]) -> None:
    assert {item.usd for item in bill(USAGE, total, rates)} == {None}
