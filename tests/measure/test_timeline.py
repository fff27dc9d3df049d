"""Replies over time, however long they take."""

from __future__ import annotations

from pipeline.measure.timeline import BINS, GAP_S, Clock


def test_bins_grow_with_time_and_no_reply_is_lost() -> None:
    clock = Clock()
    for second in range(100_000):
        clock.add(1e9 + second, 2.0)
    line = clock.timeline()
    assert line is not None
    assert (line.start, line.sittings) == (1e9, 1)
    assert len(line.replies) <= BINS
    assert sum(line.replies) == 100_000
    assert {mean for mean in line.latency_s if mean is not None} == {2.0}
    assert line.width_s * len(line.replies) >= 100_000
    assert set(line.replies[:-1]) == {line.width_s}


def test_only_the_last_sitting_is_drawn() -> None:
    clock = Clock()
    for at in (0.0, 1.0, 1.0 + GAP_S + 1, 3.0 + GAP_S + 1):
        clock.add(at, 1.0)
    line = clock.timeline()
    assert line is not None
    assert (line.sittings, line.replies, line.latency_s) == (2, (1, 0, 1), (1.0, None, 1.0))


def test_a_reply_that_was_overtaken_counts_too() -> None:
    clock = Clock()
    for at in (10.0, 9.0, 11.5):
        clock.add(at, 1.0)
    line = clock.timeline()
    assert line is not None
    assert line.replies == (2, 1)


def test_replies_of_batches_are_counted_and_have_no_latency() -> None:
    clock = Clock()
    for at, latency_s in ((0.0, 3.0), (0.5, None), (1.0, None)):
        clock.add(at, latency_s)
    line = clock.timeline()
    assert line is not None
    assert (line.replies, line.latency_s) == ((2, 1), (3.0, None))


def test_no_reply_no_line() -> None:
    assert Clock().timeline() is None
