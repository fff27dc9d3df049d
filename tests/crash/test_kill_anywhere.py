"""SIGKILL at random moments of a run: while it starts, asks, and publishes."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.crash.campaign import KILLED, Campaign
from tests.crash.conftest import Size
from tests.crash.ledger import CUT, FENCED, OVERLOADED, WRONG, serving
from tests.crash.program import Forks, executed

AT_ONCE = 64
START_S = 0.3
"""About what a forked run takes to begin and to end."""
ODDITIES = {97: OVERLOADED, 101: WRONG, 103: FENCED, 997: CUT}
"""Every so many rows, a row that does not go smoothly."""
COPY = 23
"""Every so many rows, a copy of one a little before it."""


def texts(rows: int) -> list[str]:
    def text(number: int) -> str:
        if number % COPY == COPY - 1:
            return text(number - COPY // 2)
        odd = [mark for every, mark in ODDITIES.items() if number % every == every - 1]
        return " ".join([f"{'good' if number % 3 else 'bad'} thing {number}", *odd[:1]])

    return [text(number) for number in range(rows)]


def killed_at_random(campaign: Campaign, kills: int, chance: random.Random) -> None:
    """So many SIGKILLs, spread over the whole of the job: mostly while requests are out, some at any other moment."""
    runs = 0
    while campaign.kills < kills:
        left = len(set(campaign.texts)) - len({text for text, _ in campaign.ledger.charged()})
        if left == 0:
            campaign.output.unlink(missing_ok=True)  # so that there is something to do: publishing
        running = campaign.start()
        if left > 0 and chance.random() < 0.85:
            requests = min(left, 2 * left // (kills - campaign.kills) + AT_ONCE)
            campaign.ledger.alarm(chance.randint(1, requests), chance.uniform(0, 0.01), partial(running.send, signal.SIGKILL))
        elif not running.over(chance.uniform(0, START_S)):
            running.send(signal.SIGKILL)
        ended = campaign.ended(running)
        assert ended.code in (KILLED, 0), ended.err
        runs += 1
        assert runs < 5 * kills + 20, "most runs end before they are killed"


def test_killed_at_random_moments_and_run_again_a_job_comes_out_whole(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    kills = size.of(12, 1000)
    with serving(latency_s=0.02, seed=size.seed) as ledger:
        campaign = Campaign(tmp_path / "job", texts(20 * kills), ledger, forked, call={"concurrency": AT_ONCE})
        killed_at_random(campaign, kills, size.random())
        figures = campaign.finish()
    tell(figures)
    assert figures.twice <= AT_ONCE * figures.kills + ledger.cut().total()


def test_started_from_nothing_it_keeps_the_same_promises(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """`python -m pipeline`, killed and resumed; the slow start is worth a few kills only."""
    kills = size.of(1, 50)
    with serving(latency_s=0.02, seed=size.seed) as ledger:
        campaign = Campaign(tmp_path / "job", texts(20 * kills + 80), ledger, executed, call={"concurrency": AT_ONCE})
        killed_at_random(campaign, kills, size.random())
        campaign.starter = forked
        tell(campaign.finish())
