"""SIGTERM at any moment: what is in flight is awaited and kept, and whoever stopped the run reads how to go on."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.crash.campaign import Campaign, Figures
from tests.crash.conftest import Size
from tests.crash.deaths import Circumstances, Death, Kind
from tests.crash.ledger import OVERLOADED, WRONG, serving
from tests.crash.program import Forks
from tests.jobs import Ended

AT_ONCE = 16
START_S = 0.4
TEXTS = ["good one", f"bad two {WRONG}", f"good three {OVERLOADED}", "good one", f"bad four {OVERLOADED}"]


def nothing_bought_again(figures: Figures) -> None:
    assert (figures.twice, figures.logged, figures.summed) == (0, 0, 0)


def told(ended: Ended) -> bool:
    """Whether the signal ended the run; it then says so and what to do, and never shows a traceback."""
    assert ended.code in (143, 0), ended.err
    if ended.code == 143:
        assert "interrupted" in ended.err.splitlines()[-2], ended.err
        assert ended.err.splitlines()[-1].startswith("what to do: run the same command again"), ended.err
    return ended.code == 143


def test_terminated_at_random_moments_a_run_leaves_nothing_in_doubt_and_pays_nothing_twice(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """Mostly while requests are out, some at any other moment; without a table there is always something to do: publishing."""
    rounds = size.of(8, 200)
    chance = size.random()
    texts = [f"good {number} {['', OVERLOADED, WRONG][number % 3]}" for number in range(20 * rounds)]
    terminated = early = 0
    with serving(latency_s=0.05, seed=size.seed) as ledger:
        campaign = Campaign(tmp_path / "job", texts, ledger, forked, call={"concurrency": AT_ONCE})
        for _ in range(2 * rounds):
            campaign.output.unlink(missing_ok=True)
            running = campaign.start()
            if len(ledger.charged()) < 18 * rounds and chance.random() < 0.8:
                ledger.alarm(chance.randint(1, 40), chance.uniform(0, 0.05), partial(running.send, signal.SIGTERM))
            elif not running.over(chance.uniform(0, 2 * START_S)):
                running.send(signal.SIGTERM)
            ended = running.wait()
            # Before the program has taken the signal into its hands the kernel ends it; nothing was sent then. And after it has
            # let go of it, when all is told.
            if ended.code == -signal.SIGTERM:
                early += 1
            else:
                terminated += told(ended)
            assert campaign.look() == set(), "in doubt after SIGTERM"
            if terminated + early == rounds:
                break
        figures = campaign.finish()
    assert terminated > 0
    nothing_bought_again(figures)
    tell(
        f"{terminated} SIGTERMs and {early} before or after the program heard, {figures.rows} rows, {figures.charges} charges, "
        "0 in doubt, 0 paid twice"
    )


@pytest.mark.parametrize("kind", ["commit", "file"])
def test_terminated_at_any_write_a_run_leaves_nothing_in_doubt(
    kind: Kind, tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """At each commit of the journal and each call that changes a file, before it and after it: from the lock to the last
    line of history.jsonl. In a short run at every third."""
    terminated = 0
    for number in count(1, 1 if size.kills else 3):
        ends = []
        for after in (False, True) if size.kills else (number % 2 == 0,):
            with serving(seed=size.seed) as ledger:
                death = Death(kind, number, after, by=signal.SIGTERM)
                campaign = Campaign(tmp_path / f"{death}", TEXTS, ledger, forked, call={"concurrency": 2})
                ended = campaign.start(circumstances=Circumstances(death)).wait()
                assert campaign.look() == set(), f"in doubt after SIGTERM {death}"
                ends.append(told(ended))
                nothing_bought_again(campaign.finish(again=False))
        terminated += sum(ends)
        if not any(ends):
            break
    assert terminated > 4, "nothing was struck: the seam is gone"
    tell(f"{terminated} SIGTERMs: 0 rows lost, 0 in doubt, 0 paid twice")


def test_terminated_at_any_call_the_program_ends_as_it_should(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """From the first line of the console script on: also where no command has been made yet, and where all is done already.
    The moments stand as close as the program is young."""
    terminated = 0
    with serving(seed=size.seed) as ledger:
        campaign = Campaign(tmp_path / "job", TEXTS, ledger, forked, call={"concurrency": 2})
        for moment in growing(by=1 / size.of(1, 100)):
            shutil.rmtree(campaign.folder / "runs", ignore_errors=True)
            campaign.output.unlink(missing_ok=True)
            ended = campaign.start(circumstances=Circumstances(Death("call", moment, after=False, by=signal.SIGTERM))).wait()
            assert not list(campaign.output.parent.glob(".*")), "locks and halves of tables are gone"
            if (campaign.folder / "runs").exists():
                assert campaign.look() == set(), f"in doubt after SIGTERM at call {moment}"
            if ended.code == -signal.SIGTERM:
                assert ledger.requests == 0, "killed after the program began to listen"
                continue
            if not told(ended):
                break
            terminated += 1
    assert terminated > 4, "nothing was struck: the seam is gone"
    tell(f"{terminated} SIGTERMs: 0 in doubt")


def growing(by: float) -> Iterator[int]:
    """1, 2, 3 … and, once that is more than one, each by this share larger than the one before."""
    number = 1
    while True:
        yield number
        number += max(1, int(number * by))


def test_a_second_signal_ends_the_waiting_and_each_doubt_is_told(tmp_path: Path, forked: Forks, size: Size) -> None:
    with serving(latency_s=0.5, seed=size.seed) as ledger:
        campaign = Campaign(tmp_path / "job", [f"good {number}" for number in range(60)], ledger, forked)
        ledger.alarm(2, 0, ledger.hold)  # the canary is answered, nothing after it
        running = campaign.start()
        while ledger.requests < 4 and not running.over(0.02):
            pass
        running.send(signal.SIGTERM)
        while "waiting up to" not in running.said() and not running.over(0.02):
            pass
        assert not running.over(0.2), "replies in flight are awaited"
        running.send(signal.SIGTERM)
        assert told(running.wait())
        doubts = campaign.look()
        assert 1 <= len(doubts) <= campaign.job.config["call"]["concurrency"]
        ledger.release()
        figures = campaign.finish()
    assert figures.twice <= figures.doubts == figures.summed == len(doubts)
