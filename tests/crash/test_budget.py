"""`run.budget_usd` through SIGKILLs, by the server's own ledger."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from pipeline.write.glance import glance
from tests.crash.campaign import KILLED, Campaign
from tests.crash.conftest import Size
from tests.crash.deaths import Circumstances, Death
from tests.crash.ledger import CUT, WRONG, Ledger, serving
from tests.crash.program import Forks
from tests.jobs import Ended

USAGE = (1500, 500)
REPLY_USD = (1500 * 0.10 + 500 * 0.50) / 1e6
"""claude-haiku-5-5, up to 100,000 tokens of prompt."""
AT_ONCE = 16
SPENT = 75


def texts(rows: int) -> list[str]:
    """Long enough for their tokens; some are cut by the server or asked again."""
    marks = ["", "", "", WRONG, "", "", "", "", CUT, ""]
    return [f"good {number} {marks[number % 10] if number % 50 < 10 else ''}".ljust(1600, "x") for number in range(rows)]


def charged_usd(ledger: Ledger) -> float:
    return REPLY_USD * len(ledger.charges)


def campaign_with(path: Path, ledger: Ledger, forked: Forks, rows: int, budget_usd: float) -> Campaign:
    changes = {"call": {"concurrency": AT_ONCE}, "model": {"max_tokens": 600}, "run": {"budget_usd": budget_usd}}
    return Campaign(path / "job", texts(rows), ledger, forked, **changes)


def killed(campaign: Campaign, after_requests: int) -> Ended:
    running = campaign.start()
    campaign.ledger.alarm(after_requests, 0.001, partial(running.send, signal.SIGKILL))
    return campaign.ended(running)


def test_a_budget_is_kept_by_the_servers_ledger_also_through_two_kills(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    rows = size.of(200, 5000)
    wanted_usd = rows * REPLY_USD
    budget_usd = round(wanted_usd / 4, 4)
    with serving(latency_s=0.02, seed=size.seed, usage=USAGE) as ledger:
        campaign = campaign_with(tmp_path, ledger, forked, rows, budget_usd)
        for _ in range(2):
            assert killed(campaign, rows // 15).code == KILLED
        ended = campaign.run()
        spent_usd = charged_usd(ledger)
        assert (ended.code, ended.summary["exit_code"]) == (SPENT, SPENT), ended.err
        assert "run.budget_usd" in ended.summary["reason"]
        assert "rows remain, about $" in ended.err
        assert "what to do: raise run.budget_usd" in ended.err
        assert spent_usd <= budget_usd
        # What is not used: less than a request's worst case, and the worst cases of requests whose reply was lost.
        lost = json.loads(campaign.job.do("status", "--json").out)["budget"]["gone_usd"] - spent_usd
        assert lost >= 0
        assert not campaign.output.exists()
        requests = ledger.requests
        again = campaign.run()
        assert (again.code, ledger.requests) == (SPENT, requests), "used up, it sends nothing"
        campaign.job.configure(run={"budget_usd": 2 * wanted_usd})
        figures = campaign.finish()
    tell(
        f"budget ${budget_usd:.4f} of ${wanted_usd:.4f} wanted, {figures.kills} kills: ${spent_usd:.4f} charged by the ledger, "
        f"${lost:.4f} counted for lost replies beyond what they cost"
    )


def counted_usd(campaign: Campaign) -> float:
    """What the next run will find gone, read from a copy: looking must not recover what the program has to recover itself."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "run"
        shutil.copytree(campaign.folder / "runs/job", copy, ignore=shutil.ignore_patterns("*-shm"))
        seen = glance(copy / "journal.db")
    return 0.0 if seen is None or seen.spent is None else seen.spent.paid_usd + seen.spent.doubtful_usd


def test_killed_at_any_commit_what_is_counted_is_never_less_than_what_was_charged(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    kills, most_usd = 0, 0.0
    for number in count(5, 1 if size.kills else 3):
        with serving(seed=size.seed, usage=USAGE) as ledger:
            campaign = campaign_with(tmp_path / str(number), ledger, forked, 10, 1.0)
            ended = campaign.run(Circumstances(Death("commit", number, after=number % 2 == 0)))
            if ended.code == 0:
                break
            kills += 1
            charged, counted = charged_usd(ledger), counted_usd(campaign)
            if campaign.output.exists() and not counted:
                continue  # killed after it had finished: from there on it counts anew
            assert counted >= charged - 1e-12, f"killed at commit {number}"
            assert killed_again(campaign)
            most_usd = max(most_usd, counted - charged)
    assert kills > 3, "nothing was killed: the seam is gone"
    tell(f"{kills} kills at commits: counted at most ${most_usd:.4f} more than charged, and never less")


def killed_again(campaign: Campaign) -> bool:
    """Whether that still holds after a second kill, at the next run's first request."""
    running = campaign.start()
    campaign.ledger.alarm(1, 0.0, partial(running.send, signal.SIGKILL))
    ended = campaign.ended(running)
    return ended.code == 0 or counted_usd(campaign) >= charged_usd(campaign.ledger) - 1e-12


def test_a_finished_run_starts_the_next_budget_afresh(tmp_path: Path, forked: Forks) -> None:
    with serving(usage=USAGE) as ledger:
        campaign = campaign_with(tmp_path, ledger, forked, 20, 30 * REPLY_USD)
        assert campaign.run().code == 0
        before = charged_usd(ledger)
        campaign.texts = texts(40)
        campaign.job.input(campaign.texts)
        assert campaign.run().code == 0
        assert before > 20 * REPLY_USD
        assert charged_usd(ledger) > 40 * REPLY_USD, "more than one budget, and no more than two"
