from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.errors import ConfigInvalid
from pipeline.measure.price import Prices
from pipeline.records import Usage

FILE = Path(__file__).parents[2] / "configs" / "prices.yaml"


SHIPPED: dict[str, Any] = YAML(typ="safe").load(FILE.read_text("utf-8"))
PRICES = Prices.parse(SHIPPED, "configs/prices.yaml")


def changed(path: str, value: object) -> dict[str, Any]:
    """The shipped content with one value replaced, or taken away where `value` is `...`."""
    content = copy.deepcopy(SHIPPED)
    *way, last = path.split("/")
    place: Any = content
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return content


def faults(content: dict[str, Any]) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        Prices.parse(content, "p.yaml")
    assert str(caught.value).startswith("p.yaml: ")
    return "\n".join(caught.value.faults)


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        # 350 × 0.10 + 12 × 0.50 per million
        ("claude-haiku-5-5", Usage(input_tokens=350, output_tokens=12), 0.000_041),
        # 2,310 written for 5 minutes × 0.125
        ("claude-haiku-5-5", Usage(cache_write_5m_tokens=2310), 0.000_288_75),
        # 2,310 written for an hour × 0.20
        ("claude-haiku-5-5", Usage(cache_write_1h_tokens=2310), 0.000_462),
        # 2,310 read × 0.01
        ("claude-haiku-5-5", Usage(cache_read_tokens=2310), 0.000_023_1),
        # reads at 0.05 of input, not 0.1
        ("claude-sonnet-5-5", Usage(cache_read_tokens=1_000_000), 0.10),
        # 3,000 + 1,500 + 6,250 + 2,000 + 100, each per thousand at opus-5-5: 4, 20, 5, 8, 0.20
        ("claude-opus-5-5", Usage(1000, 1000, 1000, 1000, 1000), 0.0372),
        ("claude-haiku-4-5", Usage(input_tokens=1_000_000, output_tokens=200_000), 2.0),
        ("smollm2-135m", Usage(5000, 100), 0.0),
        ("rehearsal", Usage(5000, 100), 0.0),
    ],
)
def test_a_reply_costs_what_a_pencil_says(model: str, usage: Usage, usd: float) -> None:
    assert PRICES.cost_usd(model, usage) == pytest.approx(usd, rel=1e-12)


def test_thinking_tokens_are_paid_once_as_output() -> None:
    thought, plain = Usage(output_tokens=50, thinking_tokens=40), Usage(output_tokens=50)
    assert PRICES.cost_usd("claude-haiku-5-5", thought) == PRICES.cost_usd("claude-haiku-5-5", plain)


def test_a_prompt_of_100000_tokens_is_priced_in_the_lower_band() -> None:
    usage = Usage(input_tokens=100_000, output_tokens=1000)
    assert PRICES.cost_usd("claude-haiku-5-5", usage) == pytest.approx(0.0105, rel=1e-12)


def test_one_token_more_and_every_kind_costs_the_upper_band() -> None:
    usage = Usage(input_tokens=100_001, output_tokens=1000)
    assert PRICES.cost_usd("claude-haiku-5-5", usage) == pytest.approx(0.050_000_5 + 0.0025, rel=1e-12)


def test_cache_reads_and_writes_count_towards_the_length_of_the_prompt() -> None:
    usage = Usage(input_tokens=1, cache_read_tokens=50_000, cache_write_5m_tokens=30_000, cache_write_1h_tokens=20_000)
    # 1 × 0.50 + 50,000 × 0.05 + 30,000 × 0.625 + 20,000 × 1.00
    assert PRICES.cost_usd("claude-haiku-5-5", usage) == pytest.approx(0.041_250_5, rel=1e-12)


def test_output_does_not_count_towards_the_length_of_the_prompt() -> None:
    usage = Usage(input_tokens=10, output_tokens=120_000)
    assert PRICES.cost_usd("claude-haiku-5-5", usage) == pytest.approx(0.060_001, rel=1e-12)


def test_a_batch_costs_half_and_us_inference_a_tenth_more_and_both_stack() -> None:
    usage, usd = Usage(1000, 1000, 1000, 1000, 1000), 0.0372
    price = PRICES.cost_usd
    assert price("claude-opus-5-5", usage, tier="batch") == pytest.approx(usd / 2, rel=1e-12)
    assert price("claude-opus-5-5", usage, geo="us") == pytest.approx(usd * 1.1, rel=1e-12)
    assert price("claude-opus-5-5", usage, tier="batch", geo="us") == pytest.approx(usd * 0.55, rel=1e-12)


@pytest.mark.parametrize("geo", [None, "global", "not_available"])
def test_other_geographies_cost_the_plain_price(geo: str | None) -> None:
    assert PRICES.cost_usd("claude-haiku-5-5", Usage(1_000_000 // 10), geo=geo) == pytest.approx(0.01, rel=1e-12)


def test_an_unknown_model_has_no_cost_rather_than_none_to_pay() -> None:
    assert PRICES.cost_usd("claude-haiku-9", Usage(1000, 1000)) is None
    assert not PRICES.known("claude-haiku-9")


def test_an_alias_costs_what_its_model_costs() -> None:
    usage = Usage(1234, 56, 7, 8, 9)
    assert PRICES.known("claude-haiku-4-5")
    assert PRICES.cost_usd("claude-haiku-4-5", usage) == PRICES.cost_usd("claude-haiku-4-5-20251001", usage)


def test_a_rehearsed_model_costs_what_the_model_costs() -> None:
    usage = Usage(200_000, 100)
    assert PRICES.known("rehearsal/claude-haiku-5-5")
    assert PRICES.cost_usd("rehearsal/claude-haiku-5-5", usage) == PRICES.cost_usd("claude-haiku-5-5", usage) != 0
    assert PRICES.cost_usd("rehearsal/nobody", usage) is None


counts = st.integers(0, 100_000)


@given(st.builds(Usage, counts, counts, counts, counts, counts), st.sampled_from(sorted(PRICES.models)))
def test_no_cost_is_negative_and_more_tokens_never_cost_less(usage: Usage, model: str) -> None:
    less, more = PRICES.cost_usd(model, usage), PRICES.cost_usd(model, usage + Usage(1, 1, 1, 1, 1))
    assert less is not None
    assert more is not None
    assert 0 <= less <= more


@pytest.mark.parametrize("model", sorted(SHIPPED["models"]))
def test_the_shipped_cache_writes_are_the_documented_multiples_of_input(model: str) -> None:
    multipliers = SHIPPED["multipliers"]
    assert (multipliers["cache_write_5m"], multipliers["cache_write_1h"]) == (1.25, 2.0)
    for rates in PRICES.models[model]:
        assert rates.cache_write_5m == pytest.approx(1.25 * rates.input, rel=1e-12)
        assert rates.cache_write_1h == pytest.approx(2 * rates.input, rel=1e-12)


@pytest.mark.parametrize("model", sorted(SHIPPED["models"]))
def test_the_shipped_output_costs_five_times_the_input_and_a_read_at_most_a_tenth(model: str) -> None:
    for rates in PRICES.models[model]:
        assert rates.output == pytest.approx(5 * rates.input, rel=1e-12)
        assert rates.cache_read <= 0.1 * rates.input + 1e-12


def test_the_shipped_file_names_its_day_and_a_source_for_each_model() -> None:
    assert PRICES.as_of == "2026-11-22"
    local = {"smollm2-135m", "rehearsal"}
    for name, entry in SHIPPED["models"].items():
        assert entry["source"].startswith("https://platform.claude.com/docs/") or name in local, name


def test_a_cache_write_left_out_is_input_times_its_multiplier() -> None:
    price = {"input": 3.0, "output": 15, "cache_read": 0.3}
    rates = Prices.parse(changed("models/claude-sonnet-5/price", price), "p.yaml").models["claude-sonnet-5"]
    assert (rates[0].cache_write_5m, rates[0].cache_write_1h) == (3.75, 6.0)


def test_an_unquoted_date_is_taken_too() -> None:
    content = YAML(typ="safe").load(FILE.read_text("utf-8").replace('as_of: "2026-11-22"', "as_of: 2026-11-22"))
    assert Prices.parse(content, "p.yaml").as_of == "2026-11-22"


HAIKU = "models/claude-haiku-5-5"
LIMITED = {"prompt_tokens_max": 10, "input": 1, "output": 5, "cache_read": 0.1}
OPEN = {"input": 1, "output": 5, "cache_read": 0.1}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("as_of", ..., "as_of: Field required"),
        ("currency", "EUR", "currency: Input should be 'USD'"),
        ("multipliers/batch", ..., "multipliers.batch: Field required"),
        ("models/claude-opus-5/price/input", -1, "models.claude-opus-5.price.input: Input should be greater than or eq"),
        ("models/claude-opus-5/price/input", float("nan"), "models.claude-opus-5.price.input: Input should be"),
        ("models/claude-opus-5/price/input", float("inf"), "models.claude-opus-5.price.input: Input should be"),
        ("models/claude-opus-5/price/input", "five", "models.claude-opus-5.price.input: Input should be a valid number"),
        ("models/claude-opus-5/price/input", True, "models.claude-opus-5.price.input: Input should be a valid number"),
        ("models/claude-opus-5/price/cache_read", ..., "models.claude-opus-5.price.cache_read: Field required"),
        ("models/claude-opus-5/price/cache_write", 1, "models.claude-opus-5.price.cache_write: Extra inputs are not"),
        ("models/claude-opus-5/price", ..., "models.claude-opus-5: give either price or bands"),
        ("models/claude-opus-5/bands", [OPEN], "models.claude-opus-5: give either price or bands"),
        ("models/claude-opus-5/aliases", ["claude-sonnet-5"], "'claude-sonnet-5' is priced twice"),
        (f"{HAIKU}/bands", [LIMITED], "models.claude-haiku-5-5: the price of the longest prompts must have no"),
        (f"{HAIKU}/bands", [OPEN, OPEN], "models.claude-haiku-5-5: bands must have a rising prompt_tokens_max"),
        (f"{HAIKU}/bands", [LIMITED, LIMITED, OPEN], "models.claude-haiku-5-5: bands must have a rising prompt_tok"),
    ],
)
def test_a_wrong_file_is_refused_by_the_place_of_the_fault(path: str, value: object, said: str) -> None:
    assert said in faults(changed(path, value))


def test_all_faults_are_told_at_once() -> None:
    content = changed("models/claude-opus-5/price/input", -1)
    content["currency"] = "EUR"
    assert len(faults(content).splitlines()) == 2


def test_a_file_that_holds_no_mapping_is_refused() -> None:
    assert "the whole file: " in faults([])  # type: ignore[arg-type]


def test_the_worst_case_takes_the_band_that_the_longest_prompt_may_reach() -> None:
    short, long = Usage(input_tokens=100_000, output_tokens=1000), Usage(input_tokens=100_001, output_tokens=1000)
    # Anywhere but in the US it costs the plain price; there, a tenth more.
    assert PRICES.worst_usd("claude-haiku-5-5", short) == pytest.approx(0.0105 * 1.1, rel=1e-12)
    assert PRICES.worst_usd("claude-haiku-5-5", long) == pytest.approx((0.050_000_5 + 0.0025) * 1.1, rel=1e-12)
    assert PRICES.worst_usd("claude-haiku-9", short) is None


COUNTS = st.integers(0, 300_000)


@given(
    model=st.sampled_from(["claude-haiku-5-5", "claude-opus-5-5", "rehearsal/claude-haiku-5-5"]),
    most=st.builds(Usage, COUNTS, COUNTS, st.just(0), COUNTS, COUNTS),
    share=st.floats(0, 1),
    tier=st.sampled_from(["standard", "priority", "batch"]),
    geo=st.sampled_from([None, "us", "global"]),
)
def test_nothing_within_its_counts_costs_more_than_the_worst_case(
    model: str, most: Usage, share: float, tier: str, geo: str | None
) -> None:
    worst = PRICES.worst_usd(model, most)
    assert worst is not None
    # Fewer tokens, and what was to be written to the cache partly read from it.
    five, hour = int(most.cache_write_5m_tokens * share), int(most.cache_write_1h_tokens * share)
    read = most.cache_write_tokens - five - hour
    used = Usage(int(most.input_tokens * share), int(most.output_tokens * share), read, five, hour)
    paid = PRICES.cost_usd(model, used, tier=tier, geo=geo)
    assert paid is not None
    assert paid <= worst * (1 + 1e-12)
