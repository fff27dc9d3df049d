"""The limiter, alone and against a simulated server with token buckets."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.call.limit import INPUT, OUTPUT, REQUESTS, TOKENS, Estimate, Limiter, size
from pipeline.records import Constant, Prompt, Text, Turn, Usage, Verbatim
from tests.call.buckets import Server, ServerBucket, Simulated, simulate

NOTHING: dict[str, str] = {}


def told(name: str, limit: float, remaining: float) -> dict[str, str]:
    prefix = f"anthropic-ratelimit-{name}"
    return {f"{prefix}-limit": str(limit), f"{prefix}-remaining": str(remaining), f"{prefix}-reset": "2026-11-22T17:00:01Z"}


def asked(limiter: Limiter, now: float, headers: dict[str, str], usage: Usage | None = None) -> None:
    """A request that leaves at `now` and is answered in no time."""
    limiter.settle(limiter.take(now, 100), now, usage, headers)


def let_through(limiter: Limiter, seconds: float, *, start: float = 0.0, characters: int = 100) -> int:
    """Requests that may leave in that time, each as soon as it may."""
    now, left = start, 0
    while (wait_s := limiter.wait_s(now, characters)) + now <= start + seconds:
        now += wait_s
        limiter.take(now, characters)
        left += 1
    return left


def test_without_headers_and_ceilings_nothing_waits() -> None:
    limiter = Limiter()
    asked(limiter, 0.0, NOTHING)
    assert limiter.wait_s(0.0, 10**9) == 0


def test_the_pace_is_that_of_the_limit() -> None:
    limiter = Limiter()
    asked(limiter, 0.0, told(REQUESTS, 1800, 29))
    assert 1800 <= let_through(limiter, 60.0) <= 1800 + 16


@pytest.mark.parametrize("name", [INPUT, OUTPUT, TOKENS])
def test_tokens_are_paced_as_well(name: str) -> None:
    limiter = Limiter()
    usage = Usage(input_tokens=100, output_tokens=100)
    asked(limiter, 0.0, told(name, 60_000, 1_000), usage)
    cost = 200 if name == TOKENS else 100
    assert let_through(limiter, 60.0) == pytest.approx(60_000 / cost, rel=0.02)


@pytest.mark.parametrize("odd", ["", "soon", "-1", "nan", "inf", "0"])
def test_headers_that_make_no_sense_limit_nothing(odd: str) -> None:
    limiter = Limiter()
    asked(limiter, 0.0, {"anthropic-ratelimit-requests-limit": odd, "anthropic-ratelimit-requests-remaining": odd})
    assert limiter.wait_s(0.0, 100) == 0


def test_a_limit_that_is_raised_is_used() -> None:
    limiter = Limiter()
    asked(limiter, 0.0, told(REQUESTS, 60, 1))
    asked(limiter, 1.0, told(REQUESTS, 600, 50))
    assert let_through(limiter, 60.0, start=1.0) == pytest.approx(600, rel=0.05)


def test_ceilings_of_ours_hold_whatever_the_server_says() -> None:
    limiter = Limiter(requests_per_minute=300)
    asked(limiter, 0.0, told(REQUESTS, 6000, 5999))
    assert 300 <= let_through(limiter, 60.0) <= 303


def test_a_ceiling_on_input_tokens_leaves_out_what_the_cache_gave() -> None:
    limiter = Limiter(input_tokens_per_minute=6000)
    for _ in range(50):
        asked(limiter, 0.0, NOTHING, Usage(input_tokens=20, cache_read_tokens=5000))
    assert let_through(limiter, 60.0, start=1000.0) == pytest.approx(300, rel=0.02)


def test_stock_is_spent_in_haste_and_a_tenth_of_it_is_left() -> None:
    limiter = Limiter()
    asked(limiter, 0.0, told(REQUESTS, 600, 600))
    assert let_through(limiter, 10.0) == pytest.approx(5 * 600 / 60 * 10, rel=0.05)
    assert let_through(limiter, 60.0, start=10.0) == pytest.approx(600 + 540 - 400, rel=0.05)


def test_stock_that_a_429_takes_back_is_not_spent_again() -> None:
    limiter = Limiter()
    asked(limiter, 0.0, told(REQUESTS, 600, 600))
    limiter.refused(0.0)
    asked(limiter, 1.0, told(REQUESTS, 600, 600))
    assert let_through(limiter, 10.0, start=1.0) <= 10 * 10 + 3


def test_others_who_draw_on_the_limit_make_us_slower() -> None:
    limiter = Limiter()
    asked(limiter, 0.0, told(REQUESTS, 1800, 29))
    asked(limiter, 1.0, told(REQUESTS, 1800, 1))
    assert let_through(limiter, 10.0, start=1.0) < 100
    asked(limiter, 20.0, told(REQUESTS, 1800, 29))
    assert let_through(limiter, 10.0, start=20.0) >= 300


def test_what_remains_is_never_thought_to_be_more_than_the_server_says() -> None:
    limiter = Limiter()
    asked(limiter, 0.0, told(REQUESTS, 1800, 29))
    assert limiter.wait_s(1.0, 100) == 0
    asked(limiter, 1.0, told(REQUESTS, 1800, 0))
    assert limiter.wait_s(1.0, 100) > 1 / 30


def test_a_reply_that_comes_out_of_order_slows_nobody_down() -> None:
    limiter = Limiter()
    asked(limiter, 0.0, told(REQUESTS, 1800, 29))
    early = limiter.take(1.0, 100)
    late = limiter.take(2.0, 100)
    limiter.settle(late, 2.2, None, told(REQUESTS, 1800, 28))
    limiter.settle(early, 2.3, None, told(REQUESTS, 1800, 0))
    assert let_through(limiter, 10.0, start=2.3) >= 290


def test_what_never_reached_the_server_is_given_back() -> None:
    limiter = Limiter(requests_per_minute=60)
    assert limiter.wait_s(0.0, 100) == 0
    hold = limiter.take(0.0, 100)
    assert limiter.wait_s(0.0, 100) == pytest.approx(0.5)
    limiter.give_back(hold)
    assert limiter.wait_s(0.0, 100) == 0


def test_tokens_are_estimated_from_characters_as_replies_have_told() -> None:
    estimate = Estimate()
    draw = Random(1)  # noqa: S311 a simulation
    for _ in range(200):
        characters = draw.randint(100, 4000)
        estimate.learn(characters, Usage(input_tokens=50 + characters // 5, output_tokens=30))
    assert estimate.input_tokens(1000) == pytest.approx(250, rel=0.05)
    assert estimate.input_tokens(4000) == pytest.approx(850, rel=0.05)
    assert estimate.output_tokens == pytest.approx(30)


def test_rows_of_one_length_are_estimated_as_they_were() -> None:
    estimate = Estimate()
    for _ in range(10):
        estimate.learn(500, Usage(input_tokens=130))
    assert estimate.input_tokens(500) == pytest.approx(130)


def test_once_the_cache_is_read_the_constant_part_is_forgotten() -> None:
    estimate = Estimate()
    estimate.learn(500, Usage(input_tokens=100, cache_write_5m_tokens=3000))
    assert estimate.input_tokens(500) > 3000
    for _ in range(100):
        estimate.learn(500, Usage(input_tokens=100, cache_read_tokens=3000))
    assert estimate.input_tokens(500) < 130


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), max_size=30), st.integers(0, 10**8))
def test_an_estimate_is_a_number_of_tokens_whatever_was_learned(replies: list[tuple[int, int]], characters: int) -> None:
    estimate = Estimate()
    for learned, tokens in replies:
        estimate.learn(learned, Usage(input_tokens=tokens))
    assert 1 <= estimate.input_tokens(characters) < float("inf")


def test_the_size_of_a_prompt_is_that_of_its_turns() -> None:
    turns = (Turn("user", (Text("12345"),)), Turn("assistant", (Verbatim("[]"),)))
    assert size(Prompt(0, "k", Constant("x" * 1000), turns)) == 7


# Against a simulated server ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    limit: int
    """Requests a minute."""
    burst: int
    tokens: tuple[int, int] | None = None
    """Input tokens a minute, and how many the bucket holds."""
    rows: int = 900
    slowest_s: float = 0.2
    counts_at_reply: bool = False
    rounds: bool = False
    seed: int = 0
    stall_s: float = 0.0


def ran(case: Case) -> tuple[Simulated, float]:
    """What came of it, and the share of the pace that was reached between the first reply and the last request."""
    draw = Random(case.seed)  # noqa: S311 a simulation
    rows = []
    for _ in range(case.rows):
        characters = draw.randint(50, 1500)
        rows.append((characters, Usage(input_tokens=30 + characters // 4, output_tokens=draw.randint(5, 60))))
    buckets = {REQUESTS: ServerBucket(case.limit, case.burst)}
    if case.tokens is not None:
        buckets[INPUT] = ServerBucket(*case.tokens)
    server = Server(buckets, case.counts_at_reply, case.rounds)
    result = simulate(
        Limiter(),
        server,
        rows,
        lambda random: random.uniform(0.5, 1) * case.slowest_s,
        seed=case.seed,
        network_s=0.008,
        stall_s=case.stall_s,
    )
    # All but what was sent in the first second: then the bucket was full, and what is counted is pace alone.
    start = result.sent_at[1] + 1.0
    after = [number for number, at in enumerate(result.sent_at) if at > start]
    seconds = result.sent_at[-1] - start
    pace = len(after) / seconds / (case.limit / 60)
    if case.tokens is not None:
        pace = max(pace, sum(rows[number][1].input_tokens for number in after) / seconds / (case.tokens[0] / 60))
    return result, pace


CASES = [
    Case(1800, 30),
    Case(1800, 30, counts_at_reply=True),
    Case(1800, 30, stall_s=0.4),
    Case(1800, 30, stall_s=0.4, counts_at_reply=True),
    Case(1800, 30, slowest_s=15.0),
    Case(1800, 30, slowest_s=15.0, counts_at_reply=True),
    Case(60, 3, rows=100),
    Case(1800, 5, slowest_s=2.0),
    Case(6000, 100, tokens=(200_000, 4_000)),
    Case(6000, 100, tokens=(200_000, 4_000), rounds=True, counts_at_reply=True),
    Case(6000, 100, tokens=(600_000, 20_000), rounds=True, slowest_s=5.0),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_limit_is_used_whole_and_never_hit(case: Case) -> None:
    result, pace = ran(case)
    assert result.refused == 0
    assert pace >= 0.97


def test_a_minutes_worth_in_the_bucket_is_used_as_well() -> None:
    result, _ = ran(Case(1000, 1000, rows=3000, slowest_s=3.0))
    assert result.refused == 0
    assert result.seconds < (3000 - 800) / (1000 / 60)


def test_a_bucket_of_one_is_hit_a_few_times_until_its_limit_is_known() -> None:
    result, _ = ran(Case(60, 1, rows=120))
    assert result.refused <= 4
    assert result.seconds <= 120 * 1.07


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        Case,
        limit=st.integers(120, 6000),
        burst=st.integers(8, 120),
        rows=st.just(500),
        slowest_s=st.floats(0.05, 20),
        counts_at_reply=st.booleans(),
        seed=st.integers(0, 2**16),
    )
)
def test_never_more_leaves_than_the_rate_and_the_burst_and_hardly_less(case: Case) -> None:
    result, pace = ran(case)
    sent, rate = result.sent_at, case.limit / 60
    for first in range(0, len(sent), 50):
        for number in range(first, len(sent), 25):
            assert number - first + 1 <= rate * (sent[number] - sent[first]) * 1.001 + case.burst + 1
    assert result.refused <= 0.005 * result.requests
    if sent[-1] - sent[1] > 10:
        assert pace >= 0.97


def test_a_ceiling_of_ours_is_kept_in_any_ten_seconds_also_after_a_standstill() -> None:
    limiter, now, left = Limiter(requests_per_minute=30_000), 0.0, list[float]()
    for number in range(15_000):
        now += 3.0 if number == 6_000 else limiter.wait_s(now, 10)
        limiter.take(now, 10)
        left.append(now)
    busiest = max(bisect_left(left, start + 10.0) - number for number, start in enumerate(left))
    assert 5_000 <= busiest <= 5_051
