"""Many processes started at once on one job."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.crash.campaign import Campaign
from tests.crash.conftest import Size
from tests.crash.ledger import serving
from tests.crash.program import Forks, Running

LOCKED = 75
LATEST_S = 60.0
"""By then all but one have been turned away."""


def the_one_of(number: int, campaign: Campaign, gate: Path) -> Running:
    """Starts so many runs in the same instant; the one that works, once all others were turned away in its name."""
    os.mkfifo(gate)
    running = [campaign.start(gate=gate) for _ in range(number)]
    opened = os.open(gate, os.O_WRONLY)
    try:
        return the_one(running)
    finally:
        os.close(opened)


def the_one(running: list[Running]) -> Running:
    open_still = list(running)
    turned_away = []
    until = time.monotonic() + LATEST_S
    while len(open_still) > 1 and time.monotonic() < until:
        for each in [each for each in open_still if each.over(0.01)]:
            open_still.remove(each)
            turned_away.append(each.wait())
    assert len(open_still) == 1, f"{len(open_still)} work at once; {[ended.err for ended in turned_away]}"
    holder = open_still[0]
    for ended in turned_away:
        assert ended.code == LOCKED, ended.err
        assert f"pid {holder.pid}" in ended.err
        assert len(ended.err.splitlines()) <= 3, ended.err
        assert ended.summary["requests"] == 0
    return holder


def test_of_many_started_at_once_exactly_one_works(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """And when that one is killed, exactly one of the next many."""
    number = size.of(8, 50)
    texts = [f"good {number}" for number in range(60)]
    with serving(seed=size.seed) as ledger:
        campaign = Campaign(tmp_path / "job", texts, ledger, forked)
        ledger.hold()
        killed = the_one_of(number, campaign, tmp_path / "first")
        killed.send(signal.SIGKILL)
        campaign.ended(killed)
        worker = the_one_of(number, campaign, tmp_path / "second")
        ledger.release()
        ended = campaign.ended(worker)
        assert ended.code == 0, ended.err
        figures = campaign.finish()
    tell(f"2 × {number} started at once: 1 worked, {number - 1} turned away; {figures}")
