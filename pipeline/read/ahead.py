"""Rows made ready by threads a little ahead of their use, in order.

Whoever takes the rows does other work between two of them and must not be kept waiting: where the next is not ready yet there
is a None in its place, after a moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet

from pipeline.records import Row

MOMENT_S = 0.005
AHEAD_PER_THREAD = 2


def ahead(rows: Iterator[Row | None], ready: Callable[[Row], Row], threads: int) -> Iterator[Row | None]:
    """Each row as `ready` gives it. At most `AHEAD_PER_THREAD` rows a thread are held; close it, or exhaust it, to end the
    threads."""
    waiting: deque[Future[Row] | None] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="media") as pool:
        try:
            more = True
            while more or waiting:
                while more and len(waiting) < AHEAD_PER_THREAD * threads:
                    row = next(rows, _END)
                    if row is _END:
                        more = False
                    else:
                        waiting.append(None if row is None else pool.submit(ready, row))
                if not waiting:
                    break
                first = waiting[0]
                if first is None:
                    waiting.popleft()
                    yield None
                    continue
                try:
                    made = first.result(timeout=MOMENT_S)
                except NotYet:
                    yield None
                    continue
                waiting.popleft()
                yield made
        finally:
            for future in waiting:
                if future is not None:
                    future.cancel()


_END = Row(-1, "", {})
