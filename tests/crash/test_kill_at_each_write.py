"""SIGKILL at each place on the way to the disk in turn, until a run gets through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.crash.campaign import KILLED, Campaign
from tests.crash.conftest import Size
from tests.crash.deaths import Circumstances, Death, Kind
from tests.crash.ledger import FENCED, OVERLOADED, WRONG, serving
from tests.crash.program import Forks

TEXTS = ["good one", f"bad two {WRONG}", f"good three {FENCED} {OVERLOADED}", "good one"]
AT_ONCE = {"concurrency": 2}


def deaths(kind: Kind, size: Size) -> Iterator[tuple[Death, ...]]:
    """The n-th call, for n from 1: before and after it; in a short run of every other one, by turns."""
    for number in count(1, 1 if size.kills else 2):
        before, after = Death(kind, number, after=False), Death(kind, number, after=True)
        yield (before, after) if size.kills else (after,) if number % 4 == 1 else (before,)


@pytest.mark.parametrize("kind", ["commit", "statement"])
def test_killed_at_any_journal_write_a_run_is_resumed_whole(
    kind: Kind, tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    if kind == "statement" and not size.kills:
        pytest.skip("each statement is killed in `make soak`")
    kills = twice = doubts = 0
    for both in deaths(kind, size):
        for death in both:
            with serving(seed=size.seed) as ledger:
                campaign = Campaign(tmp_path / f"{death}", TEXTS, ledger, forked, call=AT_ONCE)
                ended = campaign.run(Circumstances(death))
                figures = campaign.finish(again=bool(size.kills) or death.number % 5 == 0)
            assert ended.code in (KILLED, 0), ended.err
            kills, twice, doubts = kills + figures.kills, twice + figures.twice, doubts + figures.doubts
            assert figures.twice <= figures.doubts <= AT_ONCE["concurrency"], death
        if ended.code == 0:
            break
    assert kills > 10, "nothing was killed: the seam is gone"
    tell(f"{kills} kills, 0 rows lost, 0 doubled, {twice} paid twice, {doubts} in doubt")


def test_killed_twice_at_journal_writes_a_run_is_resumed_whole(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """What the first kill leaves is itself work for a run that is killed."""
    chance = size.random()
    for number in range(size.of(3, 200)):
        with serving(seed=size.seed) as ledger:
            campaign = Campaign(tmp_path / f"{number}", TEXTS, ledger, forked, call=AT_ONCE)
            for _ in range(chance.randint(2, 5)):
                campaign.run(Circumstances(Death("statement", chance.randint(1, 80), chance.random() < 0.5)))
            figures = campaign.finish()
        assert figures.twice <= figures.doubts
    tell(f"{number + 1} jobs, each killed 2 to 5 times")
