"""The file that tells a rehearsal how to go: read whole, or refused with every fault in it."""

from __future__ import annotations

import math
from random import Random

import pytest

from pipeline.errors import ConfigInvalid
from pipeline.local.faults import Rule
from pipeline.local.limits import Limit, Limits
from pipeline.local.script import Latency, Script, Size, parsed, seconds

WHOLE = """
seed: 7
latency: {median: 800ms, p99: 4s}
output: {tokens: 120, spread: 30%}
thinking: {tokens: 300, spread: 0.5}
limits: {rpm: 1800, burst: 30, itpm: 2000000, otpm: 400000, otpm_burst: 5000, batch_queue: 200000}
faults:
  - {fault: overloaded, rate: 10%}
  - {fault: unavailable, from: 60s, for: 1.5m}
  - {fault: own_spend_limit, from_request: 500}
  - {fault: internal, rate: 0.02, attempts: 2, until_request: 900, wait: 2s, billed: true}
  - {fault: rate_limit, rate: 1%, retry_after: 12s}
  - {fault: refusal, rate: 1%, category: bio}
  - {fault: hang, rate: 1%}
  - {fault: slow, rate: 1%, wait: 30s}
  - {fault: internal, rate: 100%, at: batches.retrieve}
batch_time: {median: 10s, p99: 1m}
"""


def test_everything_that_can_be_said() -> None:
    assert parsed(WHOLE, "faults.yaml") == Script(
        latency=Latency(0.8, 4.0),
        output=Size(120, 0.3),
        thinking=Size(300, 0.5),
        limits=Limits(Limit(1_800, 30), Limit(2_000_000), Limit(400_000, 5_000)),
        rules=(
            Rule("overloaded", 0.1),
            Rule("unavailable", from_s=60.0, for_s=90.0),
            Rule("own_spend_limit", from_request=500),
            Rule("internal", 0.02, until_request=900, attempts=2, wait_s=2.0, says_billed=True),
            Rule("rate_limit", 0.01, retry_after_s=12.0),
            Rule("refusal", 0.01, category="bio"),
            Rule("hang", 0.01),
            Rule("slow", 0.01, wait_s=30.0),
            Rule("internal", at="batches.retrieve"),
        ),
        seed=7,
        batch_time=Latency(10.0, 60.0),
        batch_queue=200_000,
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "faults: []\n"])
def test_a_file_that_says_nothing_changes_nothing(text: str) -> None:
    assert parsed(text, "faults.yaml") == Script()


def test_a_latency_alone_has_no_spread() -> None:
    assert parsed("latency: 800ms", "f").latency == Latency(0.8)


def test_every_fault_is_told_at_once_with_its_line_and_the_nearest_name() -> None:
    text = """\
latency: {median: fast, p99: 1s}
limitz: {rpm: 5}
limits: {rmp: 5, itpm: 0}
faults:
  - {fault: overloadd, rate: 10%}
  - {fault: internal, rate: 150%}
  - {rate: 1%}
  - {fault: hang, wait: 2s}
  - {fault: overloaded, category: bio, until: 5}
  - {fault: internal, retry_after: 5s}
"""
    with pytest.raises(ConfigInvalid) as caught:
        parsed(text, "faults.yaml")
    first, *faults = str(caught.value).splitlines()
    assert first == "faults.yaml has 10 faults"
    assert [fault.strip() for fault in faults] == [
        "faults.yaml:1: latency.median: 'fast' is no time; write 800ms, 2s or 1m",
        "faults.yaml:2: limitz: there is no such key; did you mean limits?",
        "faults.yaml:3: limits.itpm: input should be greater than or equal to 1",
        "faults.yaml:3: limits.rmp: there is no such key; did you mean rpm?",
        "faults.yaml:5: faults[0].fault: there is no fault 'overloadd'; did you mean overloaded?",
        "faults.yaml:6: faults[1].rate: input should be less than or equal to 1",
        "faults.yaml:7: faults[2].fault: is missing",
        "faults.yaml:8: faults[3]: a hang has no end; to answer late, use slow",
        "faults.yaml:9: faults[4].until: there is no such key; did you mean until_request?",
        "faults.yaml:10: faults[5]: internal carries no retry-after",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("faults: [{fault: overloaded, rate: 60%}, {fault: internal, rate: 60%}]", "add up to 120%, more than all requests"),
        ("faults: [{fault: cut, at: batches.result}]", "did you mean batches.results?"),
        (
            "faults: [{fault: refusal, at: batches.list}]",
            "refusal cannot be met at batches.list, only at messages, batches.item",
        ),
        ("limits: {burst: 5}", "burst says nothing without rpm"),
        ("latency: {median: 2s, p99: 1s}", "p99 lies below the median"),
        ("latency: 800", "write a time with its unit"),
        ("faults: [{fault: overloaded, rate: often}]", "'often' is no share"),
        ("faults: [{fault: slow}]", "slow needs wait"),
        ("faults: [{fault: overloaded, category: bio}]", "only a refusal has a category"),
        ("faults: [{fault: overloaded, from_request: 5, until_request: 4}]", "until_request 4 lies before from_request 5"),
        ("faults: [{fault: refusal, category: rude}]", "cyber"),
        ("faults: {overloaded: 10%}", "faults"),
        ("faults: [{fault: overloaded}", "cannot be read as YAML"),
        ("seed: 1\nseed: 2", "seed"),
        ("- a", "the file"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        parsed(text, "faults.yaml")


def test_windows_may_overlap_beyond_all_requests() -> None:
    assert len(parsed("faults: [{fault: unavailable, until_request: 5}, {fault: overloaded, rate: 60%}]", "f").rules) == 2


@pytest.mark.parametrize(("text", "expected"), [("800ms", 0.8), ("2s", 2), ("1.5m", 90), ("1h", 3600), (" 0s ", 0)])
def test_times(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 d", "1e3s", "nans"])
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        seconds(text)


def test_a_latency_has_the_median_and_the_99th_percentile_it_was_given() -> None:
    chance = Random(1)  # noqa: S311 nothing is kept secret with it
    drawn = sorted(Latency(0.8, 4.0).drawn(chance) for _ in range(20_000))
    assert drawn[10_000] == pytest.approx(0.8, rel=0.05)
    assert drawn[19_800] == pytest.approx(4.0, rel=0.15)
    assert Latency(0.8).drawn(chance) == 0.8


def test_a_size_has_the_mean_and_the_spread_it_was_given() -> None:
    chance = Random(1)  # noqa: S311 nothing is kept secret with it
    drawn = [Size(200, 0.5).drawn(chance) for _ in range(20_000)]
    mean = sum(drawn) / len(drawn)
    assert mean == pytest.approx(200, rel=0.02)
    assert math.sqrt(sum((each - mean) ** 2 for each in drawn) / len(drawn)) == pytest.approx(100, rel=0.05)
    assert {Size(200).drawn(chance), Size(0, 0.5).drawn(chance)} == {200, 0}
