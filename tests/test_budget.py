"""`run.budget_usd` in whole jobs: what is refused, what is counted, what a person is told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from tests.api import Api, Canned, message, serving
from tests.jobs import JobFolder, answer

USAGE = {"input_tokens": 1000, "output_tokens": 500}
REPLY_USD = 0.000_35
"""At the price of claude-haiku-5-5. A request of these jobs can cost $0.0009 at most."""
TEXTS = [f"{'good' if number % 3 else 'bad'} {number}" for number in range(40)]


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(lambda asked: message(answer(asked.text), usage=USAGE)) as made:
        yield made


def test_the_table_the_summary_and_the_account_tell_the_same_sum(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", TEXTS, api.url, run={"budget_usd": 1})
    ended = job.run()
    told = json.loads(job.do("status", "--json").out)
    assert (ended.code, told["budget"]) == (0, {"gone_usd": 0.0, "in_batches_usd": 0.0, "budget_usd": 1.0}), (
        "a finished run starts it afresh"
    )
    assert sum(row["_cost_usd"] for row in job.rows()) == pytest.approx(40 * REPLY_USD, rel=1e-9)
    assert ended.summary["cost_usd"] == pytest.approx(40 * REPLY_USD, rel=1e-9)
    with closing(sqlite3.connect(job.path / "runs/job/journal.db")) as journal:
        ((counted_usd, unpriced),) = journal.execute("SELECT sum(usd), sum(1 - priced) FROM paid")
    assert (counted_usd, unpriced) == (pytest.approx(40 * REPLY_USD, rel=1e-9), 0)


def test_a_used_up_budget_ends_the_run_with_what_the_rest_would_take(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", TEXTS, api.url, run={"budget_usd": 0.005})
    ended = job.run()
    requests = len(api.asked)
    assert 0.005 - 0.001 < requests * REPLY_USD <= 0.005, "all but less than one request's worst case"
    assert (ended.code, ended.summary["pending"], ended.summary["ok"]) == (75, 40 - requests, requests)
    spent = f"${requests * REPLY_USD:.4f} spent"
    assert spent in ended.summary["reason"]
    left = 40 - requests
    assert f"; {left} rows remain, about ${left * REPLY_USD:.4f} at the mean of the {requests} that ended" in ended.err
    assert "what to do: raise run.budget_usd (to $" in ended.err
    status = job.do("status").out
    assert "budget   $" in status
    assert "gone since the last run that finished" in status
    again = job.run()
    assert (again.code, again.summary["requests"], len(api.asked)) == (75, 0, requests)
    job.configure(run={"budget_usd": 1})
    assert job.run().code == 0
    assert len(api.asked) == 40


def test_a_budget_that_no_request_fits_into_sends_nothing_and_says_why(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", TEXTS, api.url, run={"budget_usd": 0.0001})
    ended = job.run()
    assert (ended.code, api.asked) == (75, [])
    assert "one request may cost $0.0" in ended.err
    assert "more than all of run.budget_usd ($0.0001)" in ended.err
    assert "what to do: raise run.budget_usd or lower model.max_tokens" in ended.err


def test_a_model_without_a_price_takes_no_budget_and_is_named_once_without_one(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", TEXTS[:3], api.url, model={"name": "claude-next"}, run={"budget_usd": 1})
    refused = job.run()
    assert (refused.code, api.asked) == (78, [])
    assert "run.budget_usd: claude-next has no price in " in refused.err
    assert "prices.yaml" in refused.err.splitlines()[-1]
    assert job.do("check").code == 78
    job.configure(model={"name": "claude-haiku-5-5"})
    assert "budget     $1.00 until a run finishes" in job.do("check").out
    job.configure(model={"name": "claude-next"})
    job.configure(run={"budget_usd": None})
    ended = job.run()
    assert (ended.code, ended.summary["cost_usd"]) == (0, None)
    assert ended.err.count("claude-next has no price in ") == 1
    assert [row["_cost_usd"] for row in job.rows()] == [None] * 3


def test_what_was_bought_before_there_was_a_budget_counts_in_it(tmp_path: Path) -> None:
    """The account went away after the fifth reply; then a person set a budget."""
    served = count(1)
    with serving(lambda asked: message(answer(asked.text), usage=USAGE) if next(served) <= 5 else Canned(401)) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url, call={"concurrency": 1})
        assert job.run().code == 77
        job.configure(run={"budget_usd": 7 * REPLY_USD})
        ended = job.run()
    assert ended.code == 75
    assert "$0.0018 spent, $0.0007 left" in ended.err
    assert len(api.asked) == 6


def test_the_progress_line_tells_how_much_of_the_budget_is_gone(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", TEXTS, api.url, run={"budget_usd": 1})
    assert ", spend $0.01 of $1.00, " in job.do("run").err


def test_what_a_killed_run_had_no_time_to_price_is_priced_by_the_next(tmp_path: Path, api: Api) -> None:
    """As a kill between the commit of a reply and that of its price leaves it: counted at its worst."""
    job = JobFolder(tmp_path / "job", TEXTS, api.url, run={"budget_usd": 0.005})
    job.run()
    before = json.loads(job.do("status", "--json").out)["budget"]["gone_usd"]
    with closing(sqlite3.connect(job.path / "runs/job/journal.db")) as journal, journal:
        journal.execute("UPDATE paid SET priced = 0, usd = 0.0009 WHERE reply = 3")
    assert json.loads(job.do("status", "--json").out)["budget"]["gone_usd"] == pytest.approx(before + 0.000_55)
    assert job.run().code == 75
    assert json.loads(job.do("status", "--json").out)["budget"]["gone_usd"] == pytest.approx(before)
