"""`pipeline try`: one row watched, judged, priced, and paid for once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.call.client import _hushed
from pipeline.job.trial import NOWHERE
from pipeline.records import FILE_SHIFT
from pipeline.write.journal import Journal
from pipeline.write.lock import locked
from tests.api import Api, Asked, Canned, error, message, serving
from tests.call.streams import events, streamed
from tests.jobs import JobFolder, answer

TEXTS = ["good one", "bad two", "good three"]


def watched(text: str) -> Canned:
    """The reply in three pieces."""
    return streamed(events(json.loads(message(text).body), (3, 9)))


def right(asked: Asked) -> Canned:
    assert asked.body["stream"] is True
    return watched(answer(asked.text))


def either(asked: Asked) -> Canned:
    """To a run, too, which does not stream."""
    return right(asked) if asked.body.get("stream") else message(answer(asked.text))


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(either) as made:
        yield made


@pytest.fixture
def job(tmp_path: Path, api: Api) -> JobFolder:
    return JobFolder(tmp_path / "job", TEXTS, api.url)


def told(job: JobFolder, *arguments: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(job.do("try", "--json", *arguments).out)
    return read


def test_the_reply_is_seen_as_it_comes_then_judged_and_priced(job: JobFolder, api: Api) -> None:
    ended = job.do("try")
    assert ended.code == 0, ended.err
    assert answer(TEXTS[0]) in ended.err, "streamed"
    assert ended.out.startswith('\n{\n  "label": "yes",\n  "length": 8\n}\n')
    for line in ("row       r0", "status    ok", "took      1 ask, 1 request", "cost      $0.0000035", "request req_s"):
        assert line in ended.out
    assert api.texts() == TEXTS[:1]


def test_a_program_gets_one_object(job: JobFolder) -> None:
    one = told(job, "--row", "r1")
    assert (one["row"], one["status"], one["answer"]) == ("r1", "ok", json.loads(answer(TEXTS[1])))
    assert (one["requests"], one["input_tokens"], one["output_tokens"]) == (1, 10, 5)
    assert one["cost_usd"] == pytest.approx(3.5e-6)


def test_what_was_tried_is_not_paid_again(job: JobFolder, api: Api) -> None:
    told(job, "--row", "r1")
    again = told(job, "--row", "r1")
    assert (again["status"], again["requests"]) == ("ok", 0)
    ran = job.run()
    assert (ran.code, ran.summary["ok"], ran.summary["requests"]) == (0, 3, 2)
    assert sorted(api.texts()) == sorted(TEXTS)
    assert [row["_cost_usd"] for row in job.rows()] == pytest.approx([3.5e-6] * 3), "the table tells what its rows cost"


def test_a_text_that_was_tried_is_not_paid_again_in_any_row(job: JobFolder) -> None:
    assert told(job, "--text", "good four")["answer"] == json.loads(answer("good four"))
    assert told(job, "--text", "good four")["requests"] == 0
    job.input([*TEXTS, "good four"])
    ran = job.run()
    assert (ran.summary["ok"], ran.summary["requests"], ran.summary["reused"]) == (4, 3, 1)
    assert job.run().summary["requests"] == 0


def test_a_text_stands_at_no_row() -> None:
    assert NOWHERE >> FILE_SHIFT == 1 << 22
    assert NOWHERE < 1 << 63


def test_other_prompts_can_be_tried_on_a_job_that_is_done(job: JobFolder, api: Api) -> None:
    job.run()
    table = job.table()
    other = ("--set", "prompt.user=Say {{ text }}")
    assert told(job, *other)["requests"] == 1
    assert told(job, *other)["requests"] == 0
    assert told(job)["requests"] == 0
    with Journal(job.path / "runs" / "job" / "journal.db") as journal:
        assert not journal.opened, "nothing is left for a run to look at"
    ran = job.run()
    assert (ran.code, ran.summary["requests"], len(api.asked)) == (0, 0, 4)
    assert job.table().equals(table)


def test_what_was_wrong_is_told_and_asked_again_as_configured(tmp_path: Path) -> None:
    with serving(lambda _: watched('{"label": "maybe"}')) as api:
        ended = JobFolder(tmp_path / "job", TEXTS, api.url).do("try")
    assert (ended.code, len(api.asked)) == (1, 2)
    assert "status    invalid_output" in ended.out
    assert "'length'" in ended.out or "length" in ended.out
    assert '{"label": "maybe"}' in ended.out
    assert "asked again (ask 2)" in ended.err


def test_mends_are_named(tmp_path: Path) -> None:
    with serving(lambda asked: watched(f"```json\n{answer(TEXTS[0])}\n```")) as api:
        ended = JobFolder(tmp_path / "job", TEXTS, api.url).do("try")
    assert ended.code == 0
    assert "status    ok_repaired\nmended    " in ended.out


def test_nothing_from_a_model_acts_on_the_terminal(tmp_path: Path) -> None:
    evil = '{"label": "\x1b[2J\x9b1m\u202e", "length": 1}'
    with serving(lambda _: watched(evil)) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url)
        ended = job.do("try")
        assert ended.code == 1
        assert "\\x1b[2J" in ended.err
        for character in "\x1b\x9b\u202e":
            assert character not in ended.err + ended.out
        schema = {"type": "object", "properties": {"label": {"type": "string"}}}
        (job.path / "schema.json").write_text(json.dumps(schema))
        api.script = lambda _: watched(json.dumps({"label": "\x9b1m\u202e"}, ensure_ascii=False))
        ended = job.do("try", "--row", "r1")
        assert ended.code == 0
        assert "\\x9b1m\\u202e" in ended.out


def test_a_run_that_holds_the_lock_is_not_disturbed(job: JobFolder) -> None:
    job.run()
    with locked(job.path / "runs" / "job" / "lock", "the run folder", "job", wait=False, say=print):
        assert job.do("try").code == 75


def test_a_bad_key_is_the_accounts_trouble(tmp_path: Path) -> None:
    with serving(lambda _: error(401, "authentication_error")) as api:
        ended = JobFolder(tmp_path / "job", TEXTS, api.url).do("try")
    assert (ended.code, ended.out) == (77, "")
    assert "what to do:" in ended.err


def test_the_budget_holds_for_what_is_tried(job: JobFolder, api: Api) -> None:
    assert job.do("try", "--set", "run.budget_usd=0.000001").code == 75
    assert not api.asked
    usage = {"input_tokens": 10, "output_tokens": 1000}  # dear, so that few fit
    api.script = lambda asked: streamed(events(json.loads(message(answer(asked.text), usage=usage).body)))
    budget = ("--set", "run.budget_usd=0.002")
    bought = 0
    while (ended := job.do("try", "--text", f"good {bought}", *budget)).code == 0:
        bought += 1
    assert "is used up" in ended.err
    assert bought == len(api.asked) > 0, "what earlier ones have cost counts"


def test_what_an_interrupted_run_left_in_doubt_stays_so(tmp_path: Path) -> None:
    """The reply is lost after it may have been paid: whoever asks next says so."""
    with serving(lambda _: Canned(cut=0)) as api:
        job = JobFolder(tmp_path / "job", TEXTS[:1], api.url, run={"in_doubt": "hold"})
        assert told(job)["status"] == "in_doubt"
        again = told(job)
        assert (again["status"], again["requests"]) == ("in_doubt", 0)
        assert "may have been paid" in again["error"]
        api.script = either
        ran = job.run()
        assert (ran.summary["in_doubt"], ran.summary["requests"]) == (1, 0)


def test_no_row_of_that_name_is_usage(job: JobFolder, api: Api) -> None:
    ended = job.do("try", "--row", "r9")
    assert ended.code == 64
    assert "no row 'r9'; its column id names the rows" in ended.err
    assert job.do("try", "--row", "r1", "--text", "x").code == 64
    assert not api.asked


def test_a_text_is_for_a_prompt_that_takes_one(job: JobFolder) -> None:
    job.configure(prompt={"user": "{{ id }} {{ text }}"})
    ended = job.do("try", "--text", "x")
    assert ended.code == 64
    assert "the prompt takes id, text" in ended.err
    assert "--row KEY" in ended.err


def test_an_empty_input_has_no_row_to_try(job: JobFolder) -> None:
    job.input([])
    assert job.do("try").code == 65
    assert job.do("try", "--text", "good").code == 0


def test_a_journal_that_is_gone_stays_noticed(job: JobFolder) -> None:
    job.run()
    for path in (job.path / "runs" / "job").glob("journal.db*"):
        path.unlink()
    assert job.do("try").code == 78
    assert job.run().code == 78


def test_an_interrupt_waits_for_the_reply_and_shows_it(tmp_path: Path) -> None:
    def interrupting(asked: Asked) -> Canned:
        os.kill(os.getpid(), signal.SIGINT)
        return right(asked)

    with serving(interrupting) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url)
        ended = job.do("try")
        assert ended.code == 130
        assert "status    ok" in ended.out
        assert told(job)["requests"] == 0


def test_a_key_that_comes_back_in_pieces_is_not_heard() -> None:
    heard: list[str] = []
    hear = _hushed(heard.append, ["sk-ant-SECRET"])
    for piece in ("say s", "k-ant", "-SEC", "RET! sk-", "other"):
        hear(piece)
    assert "".join(heard) == "say [redacted]! sk-other"
    assert not any("SEC" in piece for piece in heard)
