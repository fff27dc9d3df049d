"""Batches that bring nothing any more, and the ways out of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api import Asked, Canned, message
from tests.batches import BatchApi, batching, hurry, texts
from tests.jobs import JobFolder, answer

ROWS = texts(30)
DAY_S = 86_400


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def api() -> Iterator[BatchApi]:
    with batching(right) as made:
        yield made


@pytest.fixture
def job(tmp_path: Path, api: BatchApi) -> JobFolder:
    return JobFolder(tmp_path / "job", ROWS, api.url, call={"mode": "batch", "batch_size": 20}, run={"budget_usd": 1.0})


def test_a_deleted_batch_stops_the_run_once_the_others_are_collected_and_can_be_forgotten(
    job: JobFolder, api: BatchApi
) -> None:
    assert job.run("--detach").code == 75
    api.deleted.add(api.made[0].id)
    ended = job.run()
    assert (ended.code, ended.summary["ok"], ended.summary["pending"]) == (77, 10, 20), ended.err
    assert ended.err.splitlines()[-1] == (
        "what to do: use the key that sent it, of the same workspace; if it was deleted, `pipeline cancel CONFIG --forget "
        "msgbatch_0000` lets its 20 requests be sent again, though they may have been paid"
    )
    assert "msgbatch_0000: 20 requests" in job.do("status").out

    refused = job.do("cancel")
    assert (refused.code, refused.err.splitlines()[-1].endswith("--forget msgbatch_0000")) == (77, True), refused.err
    held_usd = json.loads(job.do("status", "--json").out)["budget"]["in_batches_usd"]
    assert held_usd > 0
    forgotten = job.do("cancel", "--forget", "msgbatch_0000")
    assert forgotten.code == 0, forgotten.err
    assert "Its 20 requests may have been paid" in forgotten.out
    budget = json.loads(job.do("status", "--json").out)["budget"]
    assert (budget["in_batches_usd"], budget["gone_usd"] > held_usd) == (0.0, True)

    ended = job.run()
    assert (ended.code, ended.summary["possible_double_charges"], ended.summary["ok"]) == (0, 20, 30), ended.err
    assert [len(made.requests) for made in api.made] == [20, 9, 20]


def test_what_was_forgotten_is_counted_once_however_long_it_waits_for_room(job: JobFolder, api: BatchApi) -> None:
    job.configure(call={"batch_size": 100})
    assert job.run("--detach").code == 75
    api.deleted.add(api.made[0].id)
    assert job.do("cancel", "--forget", "msgbatch_0000").code == 0
    job.configure(call={"batch_queue": 8})
    ended = job.run()
    assert (ended.code, ended.summary["possible_double_charges"]) == (0, 29), ended.err
    assert [len(made.requests) for made in api.made] == [29, 8, 8, 8, 5]


def test_a_batch_that_the_service_knows_is_not_forgotten(job: JobFolder, api: BatchApi) -> None:
    assert job.run("--detach").code == 75
    refused = job.do("cancel", "--forget", "msgbatch_0001")
    assert (refused.code, "nothing is lost" in refused.err) == (64, True)
    unknown = job.do("cancel", "--forget", "msgbatch_9")
    assert (unknown.code, "msgbatch_0000, msgbatch_0001" in unknown.err) == (64, True)
    assert job.run().code == 0
    assert not api.asked_twice()


def test_where_nobody_can_tell_any_more_whose_batch_it_is_a_person_decides(job: JobFolder, api: BatchApi) -> None:
    """It was taken, nobody heard so, and then nobody came for 29 days."""
    job.configure(call={"batch_size": 100})
    api.lose = lambda _: "reset"
    api.looks = 1_000_000
    assert job.run("--detach").code == 75
    nonce = api.made[0].requests[0]["custom_id"].rpartition("-")[2]
    assert nonce in job.do("status").out
    waiting = job.do("cancel", "--forget", nonce)
    assert (waiting.code, "may be it" in waiting.err) == (64, True)

    api.lose, api.looks = (lambda _: ""), 0
    api.made[0].created_at -= 30 * DAY_S
    age(job, 30)
    ended = job.run()
    assert (ended.code, len(api.made)) == (77, 1), ended.err
    assert f"`pipeline cancel CONFIG --forget {nonce}` lets its 29 requests be sent again" in ended.err.splitlines()[-1]
    assert f"--forget {nonce}" in job.do("status").out
    assert job.do("cancel", "--forget", nonce).code == 0
    ended = job.run()
    assert (ended.code, ended.summary["possible_double_charges"], len(api.made)) == (0, 29, 2), ended.err


def test_purge_does_not_forget_what_is_out_unless_told(job: JobFolder) -> None:
    assert job.run("--detach").code == 75
    refused = job.do("purge", "--yes")
    assert refused.code == 75
    assert "2 batches with 29 requests" in refused.err
    assert "--abandon-batches" in refused.err.splitlines()[-1]
    purged = job.do("purge", "--yes", "--abandon-batches")
    assert (purged.code, "2 batches with 29 requests" in purged.out) == (0, True), purged.err


def test_purge_asks_nothing_more_once_all_is_collected(job: JobFolder) -> None:
    assert job.run().code == 0
    assert job.do("purge", "--yes").code == 0


def age(job: JobFolder, days: int) -> None:
    """As if the journal had lain there for so long."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(job.path / "runs" / "job" / "journal.db")) as connection:
        connection.execute("UPDATE parcel SET after = after - ?", (days * DAY_S,))
        connection.commit()
