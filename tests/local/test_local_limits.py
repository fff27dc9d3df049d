"""Token buckets by themselves: time is a number that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipeline.local.limits import Bucket, Exceeded, Limit, Limits, Meter

NOON = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)


def meter(**given: Limit) -> Meter:
    return Meter(Limits(**given), 0.0)


def admitted(made: Meter, times: list[float], tokens: int = 10) -> list[bool]:
    return [made.admit(tokens, now) is None for now in times]


def test_1800_a_minute_with_burst_30_lets_30_pass_at_once_and_30_a_second_after() -> None:
    made = meter(requests=Limit(1_800, 30))
    assert admitted(made, [0.0] * 31) == [True] * 30 + [False]
    assert admitted(made, [1.0] * 31) == [True] * 30 + [False]


def test_a_bucket_fills_without_pause_and_not_beyond_its_capacity() -> None:
    made = meter(requests=Limit(60, 2))
    assert admitted(made, [0, 0, 0.5, 1.0, 1.5, 100, 100, 100]) == [True, True, False, True, False, True, True, False]


def test_without_a_burst_a_minute_s_worth_passes_at_once() -> None:
    made = meter(requests=Limit(5))
    assert admitted(made, [0.0] * 6) == [True] * 5 + [False]


def test_a_refusal_names_its_limit_and_the_wait_in_whole_seconds() -> None:
    made = meter(requests=Limit(1_000_000), input_tokens=Limit(3_000, 100))
    assert made.admit(100, 0.0) is None
    refused = made.admit(60, 1.0)  # 50 are there again; the other 10 take 0.2 s
    assert refused == Exceeded("input-tokens", 3_000, 1)
    assert refused.message == "This request would exceed your organization's rate limit of 3,000 input tokens per minute."
    assert made.admit(60, 1.25) is None
    assert made.admit(1_000, 1.25) == Exceeded("input-tokens", 3_000, 2), "what fills the bucket waits for a full one"


def test_a_refused_request_takes_nothing() -> None:
    made = meter(requests=Limit(60, 1), input_tokens=Limit(60, 100))
    assert made.admit(100, 0.0) is None
    assert made.admit(1, 0.0) is not None
    assert made.figures(0.0)["input_tokens"]["used"] == 100


def test_more_than_the_bucket_holds_passes_when_it_is_full_and_is_paid_off() -> None:
    made = meter(input_tokens=Limit(60, 10))
    assert made.admit(30, 0.0) is None
    assert made.admit(1, 10.0) is not None
    assert made.admit(1, 21.0) is None


def test_the_estimate_gives_way_to_usage() -> None:
    made = meter(input_tokens=Limit(600, 100))
    assert made.admit(100, 0.0) is None
    made.settle(100, 40, 0, 0.0)
    assert made.admit(60, 0.0) is None
    assert made.admit(1, 0.0) is not None


def test_output_counts_when_it_is_there_and_stops_requests_until_it_is_paid_off() -> None:
    made = meter(output_tokens=Limit(60, 10))
    assert made.admit(5, 0.0) is None
    made.settle(5, 5, 15, 0.0)
    refused = made.admit(5, 0.0)
    assert refused is not None
    assert (refused.bucket, refused.retry_after_s) == ("output-tokens", 6)
    assert made.admit(5, 6.0) is None


def test_headers_tell_limit_remaining_and_when_all_is_back() -> None:
    made = meter(requests=Limit(1_800, 30), input_tokens=Limit(2_000_000), output_tokens=Limit(400_000))
    for _ in range(15):
        made.admit(100, 0.0)
    made.settle(1_500, 1_500, 700, 0.0)
    prefix = "anthropic-ratelimit-"
    assert {name.removeprefix(prefix): value for name, value in made.headers(0.0, NOON).items()} == {
        "requests-limit": "1800",
        "requests-remaining": "15",
        "requests-reset": "2026-11-23T12:00:06Z",  # half a second, told in whole ones
        "input-tokens-limit": "2000000",
        "input-tokens-remaining": "1998000",  # 1,998,500, to the nearest even thousand
        "input-tokens-reset": "2026-11-23T12:00:06Z",
        "output-tokens-limit": "400000",
        "output-tokens-remaining": "399000",
        "output-tokens-reset": "2026-11-23T12:00:06Z",
        "tokens-limit": "2400000",
        "tokens-remaining": "2397000",
        "tokens-reset": "2026-11-23T12:00:06Z",
    }


def test_limits_that_are_not_set_are_told_as_never_reached() -> None:
    made = meter()
    headers = made.headers(0.0, NOON)
    assert len(headers) == 12
    assert made.headers(0.4, NOON.replace(microsecond=400_000)) == headers
    assert made.headers(1.0, NOON.replace(second=6))["anthropic-ratelimit-tokens-reset"] == "2026-11-23T12:00:06Z"
    assert headers["anthropic-ratelimit-input-tokens-reset"] == "2026-11-23T12:00:05Z"
    assert headers["anthropic-ratelimit-requests-limit"] == headers["anthropic-ratelimit-requests-remaining"] == "1000000"


def test_utilisation_is_the_share_of_what_could_have_passed() -> None:
    made = meter(requests=Limit(60, 10))
    admitted(made, [5.0] * 10)
    assert made.figures(15.0)["requests"] == {
        "per_minute": 60,
        "burst": 10,
        "level": 10.0,
        "used": 10,
        "refused": 0,
        "utilisation": 0.5,
    }


@given(
    st.integers(1, 100),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 80)), max_size=60),
)
def test_never_more_passes_than_a_full_bucket_and_the_refill(
    per_second: int, burst: int, asks: list[tuple[float, int]]
) -> None:
    bucket, now, passed, largest = Bucket(Limit(per_second * 60, burst), 0.0), 0.0, 0, 0
    for pause, amount in asks:
        now += pause
        if not bucket.wait_s(amount, now):
            bucket.take(amount, now)
            passed, largest = passed + amount, max(largest, amount)
    assert passed <= burst + now * per_second + max(0, largest - burst) + 1e-6


@given(st.integers(1, 100), st.integers(1, 50), st.integers(1, 200))
def test_after_the_wait_it_passes(per_second: int, burst: int, amount: int) -> None:
    bucket = Bucket(Limit(per_second * 60, burst), 0.0)
    bucket.take(burst, 0.0)
    wait = bucket.wait_s(amount, 0.0)
    assert wait > 0
    assert bucket.wait_s(amount, wait * (1 + 1e-9)) < 1e-6
