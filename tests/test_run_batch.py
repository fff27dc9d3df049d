"""Batch mode as its users run it, against a batches API on loopback that keeps a ledger of what it was given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.show import progress
from pipeline.write.parcels import Parcels
from tests.api import Asked, Canned, message
from tests.batches import BatchApi, batching, hurry, texts
from tests.jobs import JobFolder, answer

ROWS = texts(40)


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
    return JobFolder(tmp_path / "job", ROWS, api.url, call={"mode": "batch"})


def answers_are_on_their_rows(job: JobFolder) -> None:
    for row in job.rows():
        assert {"label": row["label"], "length": row["length"]} == json.loads(answer(row["text"])), row


def test_a_batch_gives_the_same_answers_for_half_the_price(job: JobFolder, api: BatchApi, tmp_path: Path) -> None:
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    online = JobFolder(tmp_path / "online", ROWS, api.url)
    assert online.run().code == 0
    same = ("text", "label", "length", "_status", "_error", "_asks", "_model", "_input_tokens", "_output_tokens")
    assert job.table().select(same).equals(online.table().select(same))
    whole = online.rows()[1]["_cost_usd"]
    # The first request of a new form goes online.
    assert [row["_cost_usd"] for row in job.rows()] == pytest.approx([whole, *[whole / 2] * 39])
    assert ended.summary["cost_usd"] == pytest.approx(whole * (1 + 39 / 2))
    assert (ended.summary["requests"], ended.summary["ok"], ended.summary["possible_double_charges"]) == (40, 40, 0)
    assert Counter(api.in_batches()) == Counter(ROWS[1:])
    assert job.rows()[0]["_latency_s"] > 0
    assert {row["_latency_s"] for row in job.rows()[1:]} == {None}, "nobody tells how long a reply in a batch took"


def test_running_again_sends_nothing(job: JobFolder, api: BatchApi) -> None:
    assert job.run().code == 0
    asked, creates = len(api.asked), api.creates
    again = job.run()
    assert (again.code, again.summary["requests"]) == (0, 0)
    assert (len(api.asked), api.creates) == (asked, creates)


def test_what_no_answer_came_of_is_asked_again_in_the_next_batch(job: JobFolder, api: BatchApi) -> None:
    def script(asked: Asked) -> Canned:
        first = len(asked.body["messages"]) == 1
        said = asked.body["messages"][0]["content"][0]["text"]
        return message("no JSON" if first and said.endswith(("3", "7")) else answer(said))

    api.script = script
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    asks = {row["text"]: row["_asks"] for row in job.rows()}
    assert all(asks[text] == (2 if text.endswith(("3", "7")) else 1) for text in ROWS)
    assert [len(made.requests) for made in api.made] == [39, 8]
    assert (ended.summary["asks_again"], ended.summary["requests"]) == (8, 48)
    assert ended.summary["cost_usd"] == pytest.approx(sum(row["_cost_usd"] for row in job.rows()))


def test_what_expired_goes_into_the_next_batch(job: JobFolder, api: BatchApi) -> None:
    api.fate = lambda asked, before: "expired" if asked.text.endswith("5") and before == 1 else "succeeded"
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert [len(made.requests) for made in api.made] == [39, 4]


def test_what_expired_goes_online_if_so_set(job: JobFolder, api: BatchApi) -> None:
    job.configure(call={"after_expiry": "online"})
    api.fate = lambda asked, _: "expired" if asked.text.endswith("5") else "succeeded"
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert len(api.made) == 1
    assert sorted(api.texts()) == sorted([ROWS[0], *(text for text in ROWS if text.endswith("5"))])


def test_an_invalid_request_is_its_rows_failure_and_an_overload_is_tried_again(job: JobFolder, api: BatchApi) -> None:
    def fate(asked: Asked, before: int) -> str:
        if asked.text == ROWS[7]:
            return "errored"
        return "overloaded" if asked.text == ROWS[8] and before == 1 else "succeeded"

    api.fate = fate
    ended = job.run()
    assert ended.code == 1, ended.err
    statuses = {row["text"]: row["_status"] for row in job.rows()}
    assert statuses == {text: "request_error" if text == ROWS[7] else "ok" for text in ROWS}
    assert api.enclosed[ROWS[8]] == 2


def test_lines_that_are_missing_or_come_twice_are_found(job: JobFolder, api: BatchApi) -> None:
    def fate(asked: Asked, before: int) -> str:
        if asked.text == ROWS[9] and before == 1:
            return "missing"
        return "twice" if asked.text == ROWS[10] else "succeeded"

    api.fate = fate
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert ended.summary["possible_double_charges"] == 1
    log = (job.path / "runs" / "job" / "log.jsonl").read_text()
    assert "say nothing of 1 requests" in log
    assert "1 for a second time" in log


def test_results_that_are_cut_are_fetched_again(job: JobFolder, api: BatchApi) -> None:
    api.cut_results = lambda number: number == 1
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert (api.downloads, api.creates, ended.summary["possible_double_charges"]) == (2, 1, 0)


def test_a_batch_whose_create_was_lost_is_adopted(job: JobFolder, api: BatchApi) -> None:
    api.lose = lambda number: "reset" if number == 1 else ""
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert (api.creates, len(api.made), ended.summary["possible_double_charges"]) == (1, 1, 0)


def test_a_batch_that_never_came_is_sent_again(job: JobFolder, api: BatchApi) -> None:
    api.lose = lambda number: "never" if number == 1 else ""
    others = [{"role": "user", "content": "of somebody else"}]
    api.create([{"custom_id": str(number), "params": {"messages": others}} for number in range(39)])
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert (api.creates, len(api.made)) == (2, 2)


def test_identical_rows_cost_one(job: JobFolder, api: BatchApi) -> None:
    job.input([*ROWS, *ROWS])
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert Counter(api.in_batches()) == Counter(ROWS[1:])
    assert ended.summary["reused"] == 40


def test_detached_it_comes_back_and_collects(job: JobFolder, api: BatchApi) -> None:
    api.looks = 2
    first = job.run("--detach")
    assert (first.code, first.summary["exit_code"]) == (75, 75)
    assert "39 requests are with the service" in first.err
    assert "run the same command again later" in first.err
    status = job.do("status")
    assert "batches  msgbatch_0000: 39 requests, sent " in status.out
    second = job.run("--detach")
    assert second.code == 75
    third = job.run("--detach")
    assert third.code == 0, third.err
    answers_are_on_their_rows(job)
    assert (api.creates, third.summary["possible_double_charges"]) == (1, 0)


def test_while_batches_are_out_progress_says_so_and_promises_no_end(
    job: JobFolder, api: BatchApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    api.looks = 2
    lines = job.run("--detach").err.splitlines()
    last = next(line for line in reversed(lines) if line.startswith("1/40 rows"))
    assert "39 requests in 1 batch at the service, the oldest sent " in last
    assert " left" not in last


def test_batches_are_of_the_size_that_is_set(job: JobFolder, api: BatchApi) -> None:
    job.configure(call={"batch_size": 16})
    assert job.run().code == 0
    answers_are_on_their_rows(job)
    assert [len(made.requests) for made in api.made] == [16, 16, 7]


def test_a_full_queue_is_waited_for(job: JobFolder, api: BatchApi) -> None:
    job.configure(call={"batch_size": 16})
    api.lose = lambda number: "429" if number in (2, 4) else ""
    assert job.run().code == 0
    answers_are_on_their_rows(job)
    assert not api.asked_twice()


def test_a_refused_account_stops_the_run_and_marks_no_row(job: JobFolder, api: BatchApi) -> None:
    api.lose = lambda _: "401"
    ended = job.run()
    assert ended.code == 77
    assert ended.summary["ok"] + ended.summary["pending"] == 40
    api.lose = lambda _: ""
    assert job.run().code == 0
    assert not api.asked_twice()


def test_the_budget_holds_the_whole_batch(job: JobFolder, api: BatchApi) -> None:
    """A request's worst case is about $0.0008; ten times as much never lets more than some twenty out at once."""
    job.configure(run={"budget_usd": 0.006})
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert len(api.made) > 1
    assert not api.asked_twice()


def test_canceled_requests_are_sent_again(job: JobFolder, api: BatchApi) -> None:
    api.looks = 1
    assert job.run("--detach").code == 75
    canceled = job.do("cancel")
    assert canceled.code == 0, canceled.err
    assert "39 requests" in canceled.out
    assert job.run().code == 0
    answers_are_on_their_rows(job)
    assert [len(made.requests) for made in api.made] == [39, 39]


def test_requests_in_a_batch_are_in_no_other_when_rows_move(job: JobFolder, api: BatchApi) -> None:
    api.looks = 1
    assert job.run("--detach").code == 75
    job.input(["good new row", *ROWS])
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert not api.asked_twice()


@pytest.mark.parametrize(("deadline", "batches", "why"), [(None, 1, "cost half"), ("2d", 1, "2d"), ("2h", 0, "may take a day")])
def test_auto_takes_batches_unless_the_deadline_is_too_short(
    job: JobFolder, api: BatchApi, deadline: str | None, batches: int, why: str
) -> None:
    job.configure(call={"mode": "auto", "deadline": deadline})
    assert job.run().code == 0
    assert len(api.made) == batches
    assert why in (job.path / "runs" / "job" / "log.jsonl").read_text()


def test_going_back_online_collects_what_is_out(job: JobFolder, api: BatchApi) -> None:
    assert job.run("--detach").code == 75
    job.configure(call={"mode": "online"})
    assert job.run().code == 0
    answers_are_on_their_rows(job)
    assert (len(api.made), len(api.asked)) == (1, 1)


def test_results_past_their_29_days_are_told_of(job: JobFolder, api: BatchApi) -> None:
    assert job.run("--detach").code == 75
    api.made[0].created_at -= 30 * 86_400
    ended = job.run()
    assert ended.code == 0, ended.err
    assert (
        "were kept for 29 days and are gone; 39 requests may have been paid"
        in (job.path / "runs" / "job" / "log.jsonl").read_text()
    )
    assert ended.summary["possible_double_charges"] == 39


def test_a_row_in_doubt_is_asked_again_by_the_next_run(job: JobFolder, api: BatchApi) -> None:
    """Also where the run went on with the others after it had ended."""

    def script(asked: Asked) -> Canned:
        said = asked.body["messages"][0]["content"][0]["text"]
        return message("no JSON" if len(asked.body["messages"]) == 1 and said == ROWS[30] else answer(said))

    api.script = script
    api.fate = lambda asked, before: "missing" if asked.text == ROWS[9] and before == 1 else "succeeded"
    job.configure(run={"in_doubt": "hold"})
    first = job.run()
    assert (first.code, first.summary["in_doubt"], len(api.made)) == (1, 1, 2)
    job.configure(run={"in_doubt": "resend"})
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert (api.enclosed[ROWS[9]], ended.summary["possible_double_charges"]) == (2, 1)


def test_a_row_that_is_held_in_doubt_is_sent_again_only_when_a_person_says_so(job: JobFolder, api: BatchApi) -> None:
    api.fate = lambda asked, before: "missing" if asked.text == ROWS[9] and before == 1 else "succeeded"
    job.configure(run={"in_doubt": "hold"})
    for _ in range(3):
        ended = job.run()
        assert (ended.code, ended.summary["in_doubt"], api.enclosed[ROWS[9]]) == (1, 1, 1)
    ended = job.run("--retry", "in_doubt")
    assert (ended.code, api.enclosed[ROWS[9]]) == (0, 2)
    assert ended.summary["possible_double_charges"] == 1


def test_a_batch_that_fails_alike_stops_the_run_before_the_next_is_bought(job: JobFolder, api: BatchApi) -> None:
    def script(asked: Asked) -> Canned:  # the replies of the first batch want asking again
        return message(answer(asked.text) if asked.text in (*ROWS[:1], *ROWS[20:]) else "no JSON")

    api.script = script
    api.fate = lambda asked, _: "errored" if asked.text in ROWS[20:] else "succeeded"
    job.configure(call={"batch_size": 19}, check={"asks": 2})
    for _ in range(2):
        ended = job.run()
        assert ended.code == 78, ended.err
        assert ended.err.splitlines()[-1].startswith("what to do: mend the config")
        assert "the last 20 rows were refused alike, so it is not the rows, and none of them is marked" in ended.err
        assert (ended.summary["ok"], ended.summary["pending"], ended.summary["request_error"]) == (1, 39, 0)
        assert [len(made.requests) for made in api.made] == [19, 19, 1]
    job.configure(run={"max_alike": None})
    api.script = right
    ended = job.run()
    assert (ended.code, ended.summary["request_error"], ended.summary["ok"]) == (1, 20, 20)


def test_rows_that_are_tried_again_fail_each_for_itself(job: JobFolder, api: BatchApi) -> None:
    api.fate = lambda asked, _: "errored" if asked.text in ROWS[5:] else "succeeded"
    job.configure(run={"max_alike": None})
    assert job.run().summary["request_error"] == 35
    job.configure(run={"max_alike": 20})
    ended = job.run("--retry", "request_error")
    assert (ended.code, ended.summary["request_error"]) == (1, 35)
    assert [len(made.requests) for made in api.made] == [39, 35]


def test_what_is_too_large_for_a_batch_is_divided(job: JobFolder, api: BatchApi) -> None:
    job.input([*ROWS[:20], "good " + "x" * 50_000, *ROWS[20:]])
    api.most_bytes = 20_000
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert not api.asked_twice()
    assert Counter(api.in_batches()) == Counter(ROWS[1:])
    assert len(api.asked) == 2, "the first of its form and the one that is too large alone are asked online"
    assert max(len(made.requests) for made in api.made) >= 5


def test_no_more_is_out_than_the_queue_takes(job: JobFolder, api: BatchApi) -> None:
    job.configure(call={"batch_size": 10, "batch_queue": 15})
    api.queue = 15
    ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert not api.asked_twice()
    assert api.creates == len(api.made), "no create was refused"
    assert [len(made.requests) for made in api.made[:2]] == [10, 5]
    assert api.most_queued == 15


def test_a_pass_ends_where_nothing_more_can_be_sent(job: JobFolder, api: BatchApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not look at all the rows behind it for nothing."""
    looked = 0
    find = Parcels.find

    def counted(*arguments: Any) -> Any:
        nonlocal looked
        looked += 1
        return find(*arguments)

    monkeypatch.setattr(Parcels, "find", counted)
    job.configure(call={"batch_size": 10, "batch_queue": 10})
    job.input(texts(100))
    assert job.run("--detach").code == 75
    assert looked < 20
    assert job.run().code == 0
    answers_are_on_their_rows(job)
    assert not api.asked_twice()


def test_rows_that_changed_are_asked_anew_though_the_queue_takes_few_at_a_time(job: JobFolder, api: BatchApi) -> None:
    """Each pass ends where the queue is full: rows behind that have outcomes which do not stand."""
    assert job.run().code == 0
    job.configure(model={"max_tokens": 2000}, call={"batch_queue": 15})
    ended = job.run("--accept-change")
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert Counter(api.enclosed.values()) == Counter({2: 39})
    assert (ended.summary["requests"], ended.summary["reused"]) == (40, 0)


def test_a_re_ask_that_was_refused_and_sent_again_is_counted_once(job: JobFolder, api: BatchApi) -> None:
    def script(asked: Asked) -> Canned:
        said = asked.body["messages"][0]["content"][0]["text"]
        return message("no JSON" if len(asked.body["messages"]) == 1 and said.endswith("3") else answer(said))

    api.script = script
    api.lose = lambda number: "413" if number == 2 else ""
    ended = job.run()
    assert ended.code == 0, ended.err
    assert ended.summary["asks_again"] == 4
