"""The product as its users run it: the console script against an API on loopback that keeps a ledger."""

from __future__ import annotations

import json
import signal
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import Terminated
from pipeline.job import change, published
from pipeline.show.text import dollars
from pipeline.write.journal import Journal
from tests.api import Api, Asked, Canned, error, message, serving
from tests.jobs import JobFolder, answer

TEXTS = [f"{'good' if number % 3 else 'bad'} thing {number}" for number in range(40)]


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(right) as made:
        yield made


@pytest.fixture
def job(tmp_path: Path, api: Api) -> JobFolder:
    return JobFolder(tmp_path / "job", TEXTS, api.url)


def answers_are_on_their_rows(job: JobFolder) -> None:
    for row in job.rows():
        assert {"label": row["label"], "length": row["length"]} == json.loads(answer(row["text"])), row


def test_the_console_script_does_the_same_in_a_process_of_its_own(job: JobFolder) -> None:
    process = job.start("run", "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["ok"] == 40
    assert "40 rows" in err


def test_every_row_comes_back_in_order_typed_and_priced(job: JobFolder, api: Api) -> None:
    ended = job.run()
    assert ended.code == 0, ended.err
    table = job.table()
    assert table.column_names == [
        *("id", "text", "label", "length", "_status", "_error", "_repairs", "_asks", "_attempts", "_reused", "_model"),
        *("_stop_reason", "_message_id", "_request_id", "_input_tokens", "_output_tokens", "_cache_read_tokens"),
        *("_cache_write_tokens", "_thinking_tokens", "_cost_usd", "_latency_s", "_answered_at", "_raw"),
    ]
    assert table.schema.field("length").type == pa.int64()
    assert table.schema.field("_answered_at").type == pa.timestamp("us", tz="UTC")
    assert table.column("text").to_pylist() == TEXTS
    assert set(table.column("_status").to_pylist()) == {"ok"}
    answers_are_on_their_rows(job)
    assert Counter(api.texts()) == Counter(TEXTS)
    # 10 input tokens at $0.10 and 5 output tokens at $0.50 per million (claude-haiku-5-5 up to 100,000 tokens).
    assert table.column("_cost_usd").to_pylist() == pytest.approx([3.5e-6] * 40)
    summary = ended.summary
    assert (summary["rows"], summary["ok"], summary["requests"], summary["exit_code"]) == (40, 40, 40, 0)
    assert summary["cost_usd"] == pytest.approx(40 * 3.5e-6)


def test_the_run_folder_and_the_footer_tell_the_same(job: JobFolder) -> None:
    ended = job.run()
    folder = job.path / "runs" / "job"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary == ended.summary
    assert json.loads((folder / "history.jsonl").read_text()) == summary
    footer = pq.read_metadata(job.path / "out" / "out.parquet").metadata
    assert json.loads(footer[b"pipeline"]) == summary
    described = json.loads((folder / "job.json").read_text())
    assert described["config"]["model"]["name"] == "claude-haiku-5-5"
    for line in (folder / "log.jsonl").read_text().splitlines():
        assert json.loads(line)["event"]


def test_a_second_run_sends_nothing_and_leaves_the_same_table(job: JobFolder, api: Api) -> None:
    assert job.run().code == 0
    first = job.table()
    again = job.run()
    assert (again.code, again.summary["requests"], again.summary["ok"]) == (0, 0, 40)
    assert len(api.asked) == 40
    assert job.table().equals(first)


def test_new_rows_are_all_that_a_grown_input_costs(job: JobFolder, api: Api) -> None:
    job.run()
    job.input([*TEXTS, "one good more"])
    ended = job.run()
    assert (ended.summary["rows"], ended.summary["requests"]) == (41, 1)
    answers_are_on_their_rows(job)


def test_an_edited_row_costs_itself_and_a_deleted_one_leaves(job: JobFolder, api: Api) -> None:
    job.run()
    job.input([*TEXTS[:5], "good edit", *TEXTS[6:39]])
    ended = job.run()
    assert (ended.summary["rows"], ended.summary["requests"]) == (39, 1)
    answers_are_on_their_rows(job)


def test_identical_rows_are_paid_once(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", [f"good {number % 10}" for number in range(60)], api.url)
    ended = job.run()
    assert (ended.code, ended.summary["requests"], ended.summary["reused"]) == (0, 10, 50)
    assert len(api.asked) == 10
    answers_are_on_their_rows(job)
    rows = job.rows()
    paid = [row for row in rows if not row["_reused"]]
    assert sum(row["_cost_usd"] for row in rows) == pytest.approx(10 * 3.5e-6) == pytest.approx(ended.summary["cost_usd"])
    assert {(row["_attempts"], row["_input_tokens"], row["_cost_usd"]) for row in rows if row["_reused"]} == {(0, 0, 0.0)}
    assert [row["_attempts"] for row in paid] == [1] * 10


def test_reordered_rows_cost_nothing(job: JobFolder, api: Api) -> None:
    job.run()
    job.input(list(reversed(TEXTS)))
    ended = job.run()
    assert (ended.summary["requests"], ended.summary["cost_usd"]) == (0, 0)
    answers_are_on_their_rows(job)


def test_a_row_inserted_at_the_top_costs_itself(job: JobFolder, api: Api) -> None:
    job.run()
    job.input(["a good start", *TEXTS])
    assert job.run().summary["requests"] == 1
    answers_are_on_their_rows(job)


def test_a_row_that_left_and_comes_back_costs_nothing(job: JobFolder) -> None:
    job.run()
    job.input(TEXTS[:10])
    assert job.run().summary["requests"] == 0
    job.input(TEXTS)
    assert job.run().summary["requests"] == 0
    answers_are_on_their_rows(job)


def test_a_change_taken_back_costs_nothing(job: JobFolder) -> None:
    job.run()
    job.configure(prompt={"user": "Say: {{ text }}"})
    assert job.run("--accept-change").summary["requests"] == 40
    job.configure(prompt={"user": "{{ text }}"})
    ended = job.run()
    assert (ended.code, ended.summary["requests"]) == (0, 0), "nothing would be bought again: nothing to refuse"
    answers_are_on_their_rows(job)


def test_what_only_the_check_has_changed_is_judged_again_for_nothing(tmp_path: Path) -> None:
    with serving(lambda asked: message(f"```json\n{answer('good')}\n```" if "good" in asked.text else "no")) as api:
        job = JobFolder(tmp_path / "job", ["good", "bad"], api.url, check={"repair": "off", "asks": 1})
        first = job.run()
        assert (first.summary["invalid_output"], first.summary["requests"]) == (2, 2)
        job.configure(check={"repair": "wrappers"})
        second = job.run()
        assert (second.summary["ok_repaired"], second.summary["invalid_output"]) == (1, 1)
        assert (second.summary["requests"], second.summary["cost_usd"]) == (0, 0)
        assert [row["_cost_usd"] for row in job.rows()] == pytest.approx([3.5e-6] * 2), "the table still tells what it cost"
        job.configure(check={"repair": "off", "asks": 2})
        third = job.run()
        assert (third.summary["invalid_output"], third.summary["requests"]) == (2, 0)


def test_a_doubt_can_be_held_for_a_person_to_decide(tmp_path: Path) -> None:
    with serving(lambda _: Canned(cut=0)) as api:
        job = JobFolder(tmp_path / "job", ["good"], api.url, run={"in_doubt": "hold"})
        first = job.run()
        assert (first.code, first.summary["in_doubt"], first.summary["requests"]) == (1, 1, 1)
        assert job.run().summary["requests"] == 0
        assert job.rows()[0]["_status"] == "in_doubt"
        assert "--retry in_doubt" in job.rows()[0]["_error"]
        api.script = right
        decided = job.run("--retry", "in_doubt")
        assert (decided.code, decided.summary["ok"], decided.summary["possible_double_charges"]) == (0, 1, 1)


def test_an_edit_seen_only_in_part_is_still_an_edit(job: JobFolder, api: Api) -> None:
    """`--limit` sees five of forty edited rows; the other answers must not stand for the new texts."""
    job.run()
    job.input([f"good edit {number}" for number in range(40)])
    assert job.run("--limit", "5").summary["requests"] == 5
    assert job.run().summary["requests"] == 35
    answers_are_on_their_rows(job)


def test_a_run_over_another_input_that_was_stopped_leaves_no_wrong_answers(job: JobFolder, api: Api) -> None:
    job.run()
    (job.path / "other.csv").write_text("id,text\n" + "".join(f"o{number},good other {number}\n" for number in range(40)))
    count = 0

    def half(asked: Asked) -> Canned:
        nonlocal count
        count += 1
        return right(asked) if count <= 20 else error(401, "authentication_error")

    api.script = half
    stopped = job.run("--input", "other.csv")
    assert stopped.code == 77
    assert stopped.summary["pending"] > 0
    api.script = right
    assert job.run().code == 0
    answers_are_on_their_rows(job)


def test_an_input_that_changes_during_the_run_is_told_and_nothing_wrong_is_published(tmp_path: Path) -> None:
    jobs: list[JobFolder] = []

    def script(asked: Asked) -> Canned:
        jobs[0].input([f"good edit {number}" for number in range(40)])
        return right(asked)

    with serving(script) as api:
        jobs.append(JobFolder(tmp_path / "job", TEXTS, api.url))
        job = jobs[0]
        ended = job.run()
        assert ended.code == 65
        assert "in.csv" in ended.err
        assert not (job.path / "out" / "out.parquet").exists()
        api.script = right
        assert job.run().code == 0
        answers_are_on_their_rows(job)


def test_a_rehearsal_never_stands_for_the_real_thing(job: JobFolder) -> None:
    """The same model name, first answered by the embedded rehearsal, then by another server."""
    real = job.config["call"]["base_url"]
    job.configure(call={"base_url": "local"})
    assert job.run().code == 0
    job.configure(call={"base_url": real})
    refused = job.run()
    assert refused.code == 78
    assert "call.base_url" in refused.err
    assert job.run("--accept-change").summary["requests"] == 40
    answers_are_on_their_rows(job)


def test_a_row_in_doubt_is_asked_again_and_each_repeat_is_counted(tmp_path: Path) -> None:
    with serving(lambda _: Canned(200, b"<html>")) as api:
        job = JobFolder(tmp_path / "job", ["good"], api.url, call={"attempts": 2})
        first, second = job.run(), job.run()
        assert (first.code, first.summary["in_doubt"], first.summary["possible_double_charges"]) == (1, 1, 1)
        assert second.summary["possible_double_charges"] == 2
        assert len(api.asked) == 4
        api.script = right
        assert job.run().code == 0
        assert job.run().summary["requests"] == 0


def test_doubts_of_a_run_that_was_killed_too_are_told_by_the_next(job: JobFolder, api: Api) -> None:
    """It sent again what had been in doubt, and was killed before it could write a summary."""
    job.run()
    with Journal(job.path / "runs" / "job" / "journal.db") as journal:
        journal.doubted()
        journal.doubted()
    assert job.run().summary["possible_double_charges"] == 2
    assert job.run().summary["possible_double_charges"] == 0


def test_no_password_in_a_url_is_shown(job: JobFolder) -> None:
    del job.config["call"]["base_url"]
    job.configure()
    ended = job.run(environment={"ANTHROPIC_BASE_URL": "http://user:hunter2@127.0.0.1:1"})
    assert ended.code == 78
    assert "hunter2" not in ended.out + ended.err


def test_a_key_that_is_echoed_in_errors_is_in_no_file(tmp_path: Path) -> None:
    def script(asked: Asked) -> Canned:
        status = 400 if "poison" in asked.text else 401
        return error(status, "invalid_request_error", f"what is {asked.headers['authorization']}?")

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", ["poison", "more"], api.url)
        ended = job.run()
    assert ended.code == 77
    assert "CANARY" not in ended.out + ended.err
    for path in job.path.rglob("*"):
        assert not path.is_file() or b"CANARY" not in path.read_bytes(), path


def test_killed_in_the_middle_and_run_again_nothing_is_lost_or_paid_twice_but_what_was_in_flight(tmp_path: Path) -> None:
    seen = threading.Event()
    count = 0
    lock = threading.Lock()

    def script(asked: Asked) -> Canned:
        nonlocal count
        with lock:
            count += 1
            if count == 60:
                seen.set()
        canned = right(asked)
        return Canned(canned.status, canned.body, canned.headers, wait_s=0.02)

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", [f"text {number}" for number in range(200)], api.url)
        process = job.start("run")
        assert seen.wait(60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert "it was killed" in job.do("status").out
        assert not (job.path / "out").exists() or not list((job.path / "out").glob("*.parquet"))
        ended = job.run()
        assert ended.code == 0, ended.err
        answers_are_on_their_rows(job)
        asked = Counter(api.texts())
    assert len(asked) == 200
    twice = sum(times - 1 for times in asked.values())
    assert twice <= 8
    assert twice <= ended.summary["possible_double_charges"] <= 8
    assert job.run().summary["requests"] == 0


def test_an_interrupted_run_keeps_what_was_in_flight_and_publishes_nothing(tmp_path: Path) -> None:
    asked_one = threading.Event()

    def script(asked: Asked) -> Canned:
        asked_one.set()
        canned = right(asked)
        return Canned(canned.status, canned.body, canned.headers, wait_s=0.3)

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", [f"text {number}" for number in range(60)], api.url)
        process = job.start("run", "--json")
        assert asked_one.wait(60)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 143
        assert err.strip().splitlines()[-1].startswith("what to do: ")
        summary = json.loads(out)
        assert summary["exit_code"] == 143
        assert summary["ok"] == len(api.asked) == summary["requests"]
        assert summary["pending"] == 60 - summary["ok"]
        assert not (job.path / "out" / "out.parquet").exists()
        asked_before = len(api.asked)
        ended = job.run()
        assert ended.summary["requests"] == 60 - asked_before
        assert ended.summary["possible_double_charges"] == 0


def test_a_wait_for_the_next_attempt_ends_at_once(tmp_path: Path) -> None:
    """With a sleep of ten minutes before it."""
    limited = threading.Event()

    def script(asked: Asked) -> Canned:
        limited.set()
        return error(429, "rate_limit_error", retry_after="600")

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", ["good"], api.url)
        process = job.start("run", "--json")
        assert limited.wait(60)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "SIGTERM: no new requests" in err
    assert (json.loads(out)["pending"], json.loads(out)["requests"]) == (1, 1)


def test_a_signal_while_the_table_is_written_is_told_as_any_other(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminated(*_: object, **__: object) -> None:
        raise Terminated(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(published, "publish", terminated)
        ended = job.run()
    assert ended.code == 143
    assert (ended.summary["exit_code"], ended.summary["ok"], ended.summary["pending"]) == (143, 40, 0)
    assert "interrupted by SIGTERM" in job.do("status").out
    assert not list((job.path / "out").iterdir())
    assert (job.run().summary["requests"], job.table().num_rows) == (0, 40)


def test_a_second_run_at_the_same_time_is_turned_away_with_the_holders_name(tmp_path: Path) -> None:
    release = threading.Event()
    asked_one = threading.Event()

    def script(asked: Asked) -> Canned:
        asked_one.set()
        release.wait(60)
        return right(asked)

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url)
        first = job.start("run", "--quiet")
        assert asked_one.wait(60)
        status = job.do("status")
        assert "running since" in status.out
        second = job.run()
        release.set()
        first.communicate(timeout=60)
        assert first.returncode == 0
    assert second.code == 75
    assert f"pid {first.pid}" in second.err


PER_ROW: dict[str, Any] = {
    "wrong json": (lambda _: message("no json at all"), "invalid_output", 2),
    "wrong value": (lambda _: message('{"label": "maybe", "length": 1}'), "invalid_output", 2),
    "truncated": (lambda _: message('{"label": "yes", "len', stop_reason="max_tokens"), "truncated", 2),
    "refused": (lambda _: message("", content=[], stop_reason="refusal"), "refused", 1),
    "bad request": (lambda _: error(400, "invalid_request_error", "prompt is too long"), "request_error", 1),
}


@pytest.mark.parametrize(("wrong", "status", "requests"), PER_ROW.values(), ids=PER_ROW.keys())
def test_trouble_with_one_row_stays_with_that_row(tmp_path: Path, wrong: Any, status: str, requests: int) -> None:
    with serving(lambda asked: wrong(asked) if "poison" in json.dumps(asked.body) else right(asked)) as api:
        job = JobFolder(tmp_path / "job", ["good", "poison", "bad"], api.url)
        ended = job.run()
        assert ended.code == 1, ended.err
        rows = job.rows()
        assert [row["_status"] for row in rows] == ["ok", status, "ok"]
        assert rows[1]["_error"]
        assert (rows[1]["label"], rows[1]["length"]) == (None, None)
        assert sum("poison" in json.dumps(asked.body) for asked in api.asked) == requests == rows[1]["_attempts"]
        assert job.run().summary["requests"] == 0, "a bad row is not asked again by itself"
        assert job.run("--retry", status).summary["requests"] == requests
        assert job.run("--retry", "all-bad").summary["requests"] == requests
        assert job.run("--set", "run.max_failed=1").code == 0


def test_a_wrong_answer_is_asked_again_with_what_was_wrong_and_paid_once_each(tmp_path: Path) -> None:
    def script(asked: Asked) -> Canned:
        return message("```json\n{}\n```") if len(asked.body["messages"]) == 1 else message('{"label": "yes", "length": 4}')

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", ["good"], api.url)
        assert job.run().code == 0
        (row,) = job.rows()
        again = api.asked[1].body["messages"]
    assert [turn["role"] for turn in again] == ["user", "assistant", "user"]
    assert again[1]["content"] == [{"type": "text", "text": "```json\n{}\n```"}]
    assert "label" in again[2]["content"][0]["text"]
    assert (row["_status"], row["_asks"], row["_attempts"], row["_input_tokens"]) == ("ok", 2, 2, 20)
    assert row["_cost_usd"] == pytest.approx(7e-6)


def test_a_mended_answer_says_so(tmp_path: Path) -> None:
    with serving(lambda asked: message(f"Sure!\n```json\n{answer(asked.text)}\n```")) as api:
        job = JobFolder(tmp_path / "job", ["good"], api.url)
        assert job.run().code == 0
    (row,) = job.rows()
    assert row["_status"] == "ok_repaired"
    assert row["_repairs"]


def test_a_row_without_a_prompt_costs_nothing_and_max_failed_decides(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", ["good", "", "bad"], api.url)
    assert job.run().code == 1
    assert [row["_status"] for row in job.rows()] == ["ok", "input_error", "ok"]
    assert len(api.asked) == 2
    assert job.run("--set", "run.max_failed=34%").code == 0


ACCOUNT = [
    (error(401, "authentication_error", "invalid x-api-key"), 77),
    (error(402, "billing_error"), 77),
    (error(403, "permission_error"), 77),
    (error(404, "not_found_error", "model: claude-haiku-5-5"), 78),
    (error(429, "rate_limit_error", retry_after="99999"), 75),
]


@pytest.mark.parametrize(("canned", "code"), ACCOUNT, ids=lambda value: str(getattr(value, "status", value)))
def test_trouble_with_the_account_costs_one_request_and_marks_no_row(tmp_path: Path, canned: Canned, code: int) -> None:
    with serving(lambda _: canned) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url)
        ended = job.run()
        assert ended.code == code == ended.summary["exit_code"]
        assert (ended.summary["pending"], ended.summary["requests"], ended.summary["cost_usd"]) == (40, 1, 0)
        assert len(api.asked) == 1
        assert ended.err.strip().splitlines()[-1].startswith("what to do: ")
        assert not (job.path / "out" / "out.parquet").exists()
        api.script = right
        assert job.run().summary["ok"] == 40


def test_trouble_that_passes_is_not_seen_in_the_table(tmp_path: Path) -> None:
    times: Counter[str] = Counter()
    lock = threading.Lock()
    faults = [
        error(529, "overloaded_error", retry_after="0"),
        error(500, "api_error", retry_after="0"),
        error(429, "rate_limit_error", retry_after="0"),
        Canned(cut=0),
    ]

    def script(asked: Asked) -> Canned:
        with lock:
            times[asked.text] += 1
            first = times[asked.text] == 1
        number = int(asked.text.rsplit(" ", 1)[1])
        return faults[number % 4] if first and number % 2 == 0 else right(asked)

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url)
        ended = job.run()
    assert ended.code == 0, ended.err
    answers_are_on_their_rows(job)
    assert ended.summary["retries"] == 20


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"prompt": {"user": "Say: {{ text }}"}}, "prompt.user"),
        ({"model": {"max_tokens": 77}}, "model.max_tokens"),
        ({"model": {"name": "claude-sonnet-5"}}, "model.name"),
    ],
)
def test_a_change_of_what_was_paid_for_is_refused_and_named(
    job: JobFolder, api: Api, changes: dict[str, Any], named: str
) -> None:
    job.run()
    job.configure(**changes)
    ended = job.run()
    assert ended.code == 78
    assert named in ended.err
    assert "40 paid replies do not apply any more" in ended.err
    spent = sum(row["_cost_usd"] for row in job.rows())
    assert f"to buy their answers again takes 40 requests, some {dollars(spent)}" in ended.err
    assert ended.err.splitlines()[-1].endswith("or pay again with --accept-change")
    assert len(api.asked) == 40
    assert job.run("--accept-change").summary["requests"] == 40


def test_only_what_would_be_bought_again_is_counted(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", ["good 1", "bad 2", "good 1", "bad 3"], api.url)
    job.run()
    job.configure(prompt={"user": "Say: {{ text }}"})
    assert job.run("--accept-change", "--limit", "1").summary["requests"] == 1
    job.input(["good 1", "bad 2", "good 1", "bad 3", "never asked", ""])
    job.configure(prompt={"user": "{{ text }}"})
    job.run("--limit", "4")
    job.configure(prompt={"user": "Say: {{ text }}"})
    ended = job.run()
    assert ended.code == 78
    assert "prompt.user changed since runs/job was paid for: 2 paid replies" in ended.err, "good 1 has both"
    assert len(api.asked) == 4


def test_a_change_in_a_large_input_is_reckoned_from_its_first_rows(
    job: JobFolder, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.run()
    job.configure(prompt={"user": "Say: {{ text }}"})
    monkeypatch.setattr(change, "SEEN", 10)
    ended = job.run()
    assert ended.code == 78
    assert "about 40 paid replies do not apply any more; to buy their answers again takes about 40 requests" in ended.err


def test_a_journal_that_is_gone_is_not_silently_begun_anew(job: JobFolder, api: Api) -> None:
    job.run()
    (job.path / "runs" / "job" / "journal.db").unlink()
    for _ in range(2):
        ended = job.run()
        assert (ended.code, len(api.asked)) == (78, 40)
        assert "the journal runs/job/journal.db is gone" in ended.err
        assert not (job.path / "runs" / "job" / "journal.db").exists(), "a new one would hide that"
    assert job.run("--accept-change").summary["requests"] == 40


def test_a_damaged_journal_stops_the_run_and_is_left_as_it_is(job: JobFolder, api: Api) -> None:
    job.run()
    journal = job.path / "runs" / "job" / "journal.db"
    damaged = bytearray(journal.read_bytes())
    damaged[len(damaged) // 2 :] = bytes(len(damaged) - len(damaged) // 2)
    journal.write_bytes(damaged)
    ended = job.run()
    assert ended.code == 74
    assert "the journal runs/job/journal.db is damaged: " in ended.err
    assert "do not delete it" in ended.err.splitlines()[-1]
    assert journal.read_bytes() == damaged
    assert (job.do("status").code, len(api.asked)) == (74, 40)


def test_limit_takes_the_first_rows_and_the_rest_is_paid_later(job: JobFolder, api: Api) -> None:
    few = job.run("--limit", "5")
    assert (few.code, few.summary["rows"], few.summary["requests"]) == (0, 5, 5)
    assert job.table().num_rows == 5
    assert job.run().summary["requests"] == 35


def test_input_and_output_can_be_named_on_the_command_line(job: JobFolder) -> None:
    (job.path / "other.csv").write_text("id,text\na,good\n")
    assert job.run("--input", "other.csv", "--output", "out/other.jsonl").code == 0
    assert json.loads((job.path / "out" / "other.jsonl").read_text())["label"] == "yes"


def test_what_is_made_is_for_the_owner_and_the_key_is_nowhere(job: JobFolder) -> None:
    ended = job.run("--log-format", "text")
    assert "CANARY" not in ended.out + ended.err
    for path in job.path.rglob("*"):
        if path.is_file():
            assert b"CANARY" not in path.read_bytes(), path
    folder = job.path / "runs" / "job"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_keys_are_checked_before_anything_is_paid(job: JobFolder, api: Api) -> None:
    (job.path / "in.csv").write_text("id,text\na,x\nb,y\na,z\n")
    ended = job.run()
    assert ended.code == 65 == ended.summary["exit_code"]
    assert "'a'" in ended.err
    assert api.asked == []


def test_check_shows_the_prompt_and_spends_nothing(job: JobFolder, api: Api) -> None:
    ended = job.do("check")
    assert ended.code == 0, ended.err
    assert TEXTS[0] in ended.out
    assert "claude-haiku-5-5" in ended.out
    assert api.asked == []
    assert not (job.path / "runs").exists()


def test_status_tells_of_a_run_that_ended(job: JobFolder) -> None:
    assert "never run" in job.do("status").out
    job.run()
    told = job.do("status").out
    assert "40 of 40" in told
    assert json.loads(job.do("status", "--json").out)["ended"] == {"ok": 40}


def test_the_closing_table_tells_what_came_out(job: JobFolder) -> None:
    (job.path / "in.csv").write_text("id,text,gold\na,good,yes\nb,bad,yes\nc,bad,no\n")
    ended = job.do("run")
    assert ended.code == 0, ended.err
    assert "3 rows" in ended.out
    assert "label = gold" in ended.out
    assert "2 of 3" in ended.out
    assert "out/out.parquet" in ended.out


def test_gold_labels_are_found_in_parquet_as_pandas_writes_it(job: JobFolder) -> None:
    table = pa.table({"id": ["a", "b"], "text": ["good", "bad"], "gold": ["yes", "no"]})
    wide = table.schema.set(2, pa.field("gold", pa.large_string()))
    pq.write_table(table.cast(wide), job.path / "in.parquet")
    assert "label = gold in 2 of 2" in job.do("run", "--input", "in.parquet").out


def test_streaming_gives_the_same(tmp_path: Path) -> None:
    def script(asked: Asked) -> Canned:
        body = json.loads(right(asked).body)
        text = body["content"][0]["text"]
        start = {**body, "content": [], "stop_reason": None}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        ]
        lines = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        return Canned(200, lines.encode(), {"content-type": "text/event-stream"})

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", TEXTS[:3], api.url, model={"stream": True})
        assert job.run().code == 0
    answers_are_on_their_rows(job)


def test_the_tool_form_gives_the_same(tmp_path: Path) -> None:
    def script(asked: Asked) -> Canned:
        call = {"type": "tool_use", "id": "toolu_1", "name": "record_answer", "input": json.loads(answer(asked.text))}
        return message("", content=[call], stop_reason="tool_use")

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", TEXTS[:3], api.url, model={"format": "tool"})
        assert job.run().code == 0
    answers_are_on_their_rows(job)
