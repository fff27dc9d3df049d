"""Rows made ready by threads: in order, few at a time, without keeping anybody waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.read.ahead import AHEAD_PER_THREAD, ahead
from pipeline.records import Row


def numbered(count: int) -> Iterator[Row | None]:
    for position in range(count):
        yield Row(position, str(position), {})


def test_rows_come_in_order_and_nones_stay_between_them() -> None:
    given = [Row(0, "0", {}), None, Row(1, "1", {}), None, None]
    made = list(ahead(iter(given), lambda row: replace(row, fault="seen"), threads=3))
    assert [row for row in made if row is not None] == [Row(0, "0", {}, "seen"), Row(1, "1", {}, "seen")]
    assert made.count(None) >= 3


def test_a_slow_row_lets_others_run_and_keeps_its_place() -> None:
    go = threading.Event()

    def ready(row: Row) -> Row:
        if row.position == 0:
            go.wait()
        return row

    rows = ahead(numbered(3), ready, threads=2)
    assert [next(rows), next(rows)] == [None, None]
    go.set()
    assert [row.position for row in rows if row is not None] == [0, 1, 2]


def test_few_rows_are_taken_ahead() -> None:
    taken: list[int] = []

    def counted() -> Iterator[Row | None]:
        for row in numbered(100):
            taken.append(row.position if row is not None else -1)
            yield row

    rows = ahead(counted(), lambda row: row, threads=2)
    while next(rows) is None:
        pass
    assert len(taken) <= 2 * AHEAD_PER_THREAD
    rows.close()  # type: ignore[attr-defined]


def test_threads_end_with_the_rows_and_a_fault_of_ours_is_raised() -> None:
    def broken(row: Row) -> Row:
        raise RuntimeError(f"row {row.position}")

    with pytest.raises(RuntimeError, match="row 0"):
        list(ahead(numbered(50), broken, threads=2))
    rows = ahead(numbered(50), lambda row: row, threads=2)
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("media")]
