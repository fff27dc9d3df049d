"""Workers, nodes and runs of a Ray cluster are killed: what a death may cost is what was out, and all of it is told.

`--kills 1000` makes it a campaign of 20,000 rows under a limit of 500 requests a second.
"""

from __future__ import annotations

import signal
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.crash.campaign import KILLED
from tests.crash.conftest import Size
from tests.crash.crewed import Crewed
from tests.crash.ledger import serving
from tests.crash.program import Running, executed
from tests.engine.cluster import Nodes

if find_spec("ray") is None:
    pytest.skip("the extra [ray] is not installed", allow_module_level=True)

AT_ONCE = 48
LATEST_S = 120.0


def strike(campaign: Crewed, running: Running, requests: int, act: Callable[[], None]) -> None:
    """Acts when so many more requests have come, while the run is at work."""
    wanted = campaign.ledger.requests + requests
    until = time.monotonic() + LATEST_S
    while campaign.ledger.requests < wanted:
        assert not running.over(0.01), running.said()
        assert time.monotonic() < until, running.said()
    act()


def fastest(times: Sequence[float], window_s: float) -> float:
    """Requests a second within the busiest window of this length."""
    return max(bisect_left(times, start + window_s) - number for number, start in enumerate(times)) / window_s


def test_workers_nodes_and_runs_die_and_nothing_is_lost(
    cluster: Nodes, tmp_path: Path, size: Size, tell: Callable[[object], None]
) -> None:
    rows = size.of(600, 20_000)
    call = {"concurrency": 256, "requests_per_minute": 30_000} if size.kills else {"concurrency": AT_ONCE}
    run = {"engine": "ray", "ray": cluster.address, "workers": 2, "drain_s": 60}
    with serving(latency_s=0.2, seed=size.seed) as ledger:
        texts = [f"{'good' if number % 3 else 'bad'} thing {number}" for number in range(rows)]
        campaign = Crewed(tmp_path / "job", texts, ledger, executed, call=call, run=run)
        running = campaign.start()
        strike(campaign, running, rows // 6, cluster.kill_workers)
        strike(campaign, running, rows // 6, cluster.kill_node)
        strike(campaign, running, rows // 6, lambda: running.send(signal.SIGKILL))
        there = cluster.workers()
        assert campaign.ended(running).code == KILLED
        cluster.add_node()
        running = campaign.start()
        strike(campaign, running, rows // 6, lambda: running.send(signal.SIGTERM))
        ended = campaign.ended(running)
        assert ended.code == 143, ended.err
        assert len(ended.out.splitlines()) == 1, "nothing but the summary"
        figures = campaign.finish()
        assert not set(there) & set(cluster.workers()), "workers end with their run"
    had = campaign.had()
    assert sum(had) > 0, "no worker had anything when it was killed"
    assert figures.twice <= figures.logged <= sum(had) + figures.doubts
    tell(f"all workers, then a node, then the run killed, {had} requests lost with workers; {figures}")
    if size.kills:
        tell(f"500 requests a second allowed: {fastest(ledger.times, 10.0):.1f} in the busiest ten seconds")
