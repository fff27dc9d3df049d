"""How long the rest takes: what is said must hold."""

from __future__ import annotations

import heapq
import random
from bisect import bisect

import pytest

from pipeline.show.pace import MARKS, Left, Pace, left_text


def steady(seconds: int, a_second: int) -> Pace:
    pace = Pace()
    for second in range(seconds + 1):
        pace.hear(float(second), a_second * second)
    return pace


def test_the_rates_are_those_of_the_last_minute_and_of_the_whole_run() -> None:
    pace = steady(100, 10)
    for second in range(101, 201):
        pace.hear(float(second), 1_000 + 2 * (second - 100))
    assert (pace.now(200.0, 1_200), pace.mean(200.0, 1_200)) == (2.0, 6.0)


def test_nothing_is_said_too_early_and_nothing_of_no_rows() -> None:
    assert Pace().left(0.0, 0, 100) is None
    assert steady(4, 10).left(4.0, 40, 100) is None
    assert steady(100, 10).left(100.0, 1_000, 0) is None


def test_a_steady_run_has_its_end_between_and_close() -> None:
    left = steady(120, 10).left(120.0, 1_200, 3_000, longest_s=2.0)
    assert left is not None
    assert left.high is not None
    assert 240 < left.low < 300 < left.high < 360


def test_where_it_has_nearly_stopped_no_end_is_told() -> None:
    pace = steady(200, 10)
    for second in range(201, 270):
        pace.hear(float(second), 2_000)
    left = pace.left(270.0, 2_000, 3_000)
    assert left is not None
    assert left.high is None
    assert left.low <= 300


def test_memory_does_not_grow_with_time() -> None:
    pace = steady(100_000, 1)
    assert len(pace._marks) <= MARKS
    assert len(pace._minute) <= 62


def replies(chance: random.Random, rows: int, at_once: int, tail: float) -> tuple[list[float], list[float]]:
    """When rows end whose replies take log-normal times, some a minute longer; and how long each took."""
    times, took, out, sent = list[float](), list[float](), list[tuple[float, float]](), 0
    now = 0.0
    while len(times) < rows:
        while len(out) < at_once and sent < rows:
            latency_s = chance.lognormvariate(0.7, 0.6) + 60 * (chance.random() < tail)
            heapq.heappush(out, (now + latency_s, latency_s))
            sent += 1
        now, latency_s = heapq.heappop(out)
        times.append(now)
        took.append(latency_s)
    return times, took


@pytest.mark.parametrize(("rows", "at_once", "tail"), [(300, 4, 0.0), (3_000, 32, 0.0), (3_000, 32, 0.01)])
def test_the_interval_holds_the_end_nearly_always(rows: int, at_once: int, tail: float) -> None:
    """By simulation, 20 runs, looked at ten times each: the end lies in it in nine of ten at least."""
    chance = random.Random(20_261_126)  # noqa: S311 a simulation
    held = said = 0
    for _ in range(20):
        times, took = replies(chance, rows, at_once, tail)
        pace = Pace()
        for second in range(int(times[-1])):
            ended = bisect(times, second)
            pace.hear(float(second), ended)
            if second % max(1, int(times[-1] / 10)) == 0:
                left = pace.left(float(second), ended, rows - ended, max(took[:ended], default=0.0))
                if left is not None:
                    said += 1
                    held += left.low <= times[-1] - second and (left.high is None or times[-1] - second <= left.high)
    assert said > 100
    assert held >= 0.9 * said


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (3.0, 4.0, "about 5 s left"),
        (33.0, 48.0, "30 to 50 s left"),
        (118.0, 124.0, "about 2 min left"),
        (118.0, 300.0, "1 to 5 min left"),
        (4_000.0, None, "at least 66 min left"),
        (9_000.0, 13_000.0, "2.5 to 4 h left"),
        (200_000.0, 260_000.0, "2 to 3.5 d left"),
    ],
)
def test_it_is_told_in_whole_units_rounded_outwards(low: float, high: float | None, told: str) -> None:
    assert left_text(Left(low, high)) == told
