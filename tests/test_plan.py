"""`pipeline plan` on whole jobs: it learns from what was bought, counts what it may, and sends nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api import Api, Asked, Canned, error, message, serving
from tests.jobs import JobFolder, answer

TEXTS = [f"{'good' if number % 3 else 'bad'} {'word ' * (number % 17)}{number}" for number in range(60)]
REPEATS = 5


class Server:
    """Counts four bytes a token, as a message and as a count."""

    def __init__(self) -> None:
        self.counts = 0
        self.messages = 0
        self.refuses = False

    def __call__(self, asked: Asked) -> Canned:
        tokens = len(json.dumps(asked.body["messages"]).encode()) // 4
        if "max_tokens" not in asked.body:
            self.counts += 1
            return error(404, "not_found_error") if self.refuses else Canned(200, json.dumps({"input_tokens": tokens}).encode())
        self.messages += 1
        usage = {"input_tokens": tokens, "output_tokens": 20 + tokens % 7}
        return message(answer(asked.text), usage=usage)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with serving(server) as made:
        yield made


@pytest.fixture
def job(tmp_path: Path, api: Api) -> JobFolder:
    return JobFolder(tmp_path / "job", [*TEXTS, *TEXTS[:REPEATS], None], api.url, run={"max_failed": 1})


def planned(job: JobFolder, *arguments: str) -> dict[str, Any]:
    ended = job.do("plan", "--json", *arguments)
    assert ended.code == 0, ended.err
    read: dict[str, Any] = json.loads(ended.out)
    return read


def test_before_anything_was_bought_tokens_are_counted_and_answers_assumed(job: JobFolder, server: Server) -> None:
    found = planned(job)
    assert (found["rows"], found["to_buy"], found["repeated"], found["unaskable"]) == (66, 60, 5, 1)
    assert (found["kept"], found["paid"], found["measured"]) == (0, 0, False)
    assert (server.counts, server.messages) == (51, 0), "fifty rows, and one to learn the constant part"
    assert found["basis"].startswith("Input: count_tokens of 50 rows. Output: assumed from the schema, ")
    assert found["next_step"] == "pipeline run job.yaml --limit 20"
    assert found["online_usd"]["low"] < found["online_usd"]["estimate"] < found["online_usd"]["high"]
    assert found["worst_usd"] > found["online_usd"]["high"]


@pytest.mark.parametrize(("arguments", "why"), [(("--sample", "0"), "--sample 0"), ((), "HTTP 404")])
def test_what_is_not_counted_is_estimated_by_length_and_said_so(
    job: JobFolder, server: Server, arguments: tuple[str, ...], why: str
) -> None:
    server.refuses = True
    found = planned(job, *arguments)
    assert f"Input: by length, since tokens were not counted ({why})." in found["basis"]
    assert server.counts == (0 if arguments else 1), "after the first refusal no more are tried"
    assert found["row_tokens"]["low"] < found["row_tokens"]["estimate"] < found["row_tokens"]["high"]


def test_without_a_server_it_plans_all_the_same(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job", TEXTS, "http://127.0.0.1:9")
    assert "since tokens were not counted (" in planned(job)["basis"]


def test_from_a_few_bought_rows_it_tells_what_the_rest_will_cost(job: JobFolder, server: Server) -> None:
    assert job.run("--limit", "20").code == 0
    found = planned(job)
    assert server.counts == 0, "what was bought tells more than a count"
    assert (found["kept"], found["to_buy"], found["measured"]) == (20, 40, True)
    assert found["repeated"] + found["paid"] == 5, "of the repeats, some repeat a row that is bought"
    ended = job.run()
    true = ended.summary
    for name, value in (
        ("online_usd", true["cost_usd"]),
        ("row_tokens", true["input_tokens"]),
        ("output_tokens", true["output_tokens"]),
    ):
        assert found[name]["low"] <= value <= found[name]["high"], name
        assert found[name]["high"] < 1.2 * found[name]["low"], name
    assert found["requests"] == true["requests"] == 40
    assert found["online_usd"]["estimate"] == pytest.approx(2 * found["batch_usd"]["estimate"])


def test_after_a_run_there_is_nothing_to_buy(job: JobFolder, server: Server) -> None:
    job.run()
    ended = job.do("plan")
    assert ended.out == (
        f"job: claude-haiku-5-5 at {job.config['call']['base_url']}\n"
        "\n"
        "rows               66 in the input\n"
        "                   65 have their outcome already\n"
        "                    1 make no prompt (input_error), and cost nothing\n"
        "to buy              0 rows: a run sends nothing\n"
        "\n"
        "next       pipeline run job.yaml\n"
    )
    assert server.counts == 0


def test_edited_and_new_rows_are_to_buy_and_a_row_that_came_back_is_paid(job: JobFolder) -> None:
    job.run()
    job.input([TEXTS[0], "good edit", *TEXTS[2:], "a new good one", TEXTS[7]])
    found = planned(job)
    assert (found["kept"], found["paid"], found["to_buy"]) == (59, 1, 2)


def test_rows_whose_request_changed_are_to_buy_again(job: JobFolder) -> None:
    job.run()
    found = planned(job, "--set", "model.max_tokens=512")
    assert (found["kept"], found["to_buy"], found["measured"]) == (0, 60, False)


def test_what_is_gone_of_a_budget_is_shown_beside_the_worst_case(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", TEXTS, api.url, run={"budget_usd": 0.0012})
    assert job.run().code == 75
    found = planned(job, "--sample", "0")
    assert found["budget_usd"] == 0.0012
    assert 0 < found["gone_usd"] <= 0.0012
    assert "  budget   " in job.do("plan", "--sample", "0").out


def test_the_text_fits_80_columns(job: JobFolder) -> None:
    for arguments in ([], ["--sample", "0"], ["--set", "model.name=claude-next"]):
        text = job.do("plan", *arguments).out
        long = [line for line in text.splitlines() if len(line) > 80 and not line.startswith("next")]
        assert long == []
        assert "to buy" in text


def test_the_journal_is_not_touched(job: JobFolder) -> None:
    job.run("--limit", "20")
    journal = job.path / "runs/job/journal.db"
    before = journal.read_bytes()
    planned(job)
    assert journal.read_bytes() == before


def test_what_a_run_would_refuse_a_plan_refuses(job: JobFolder) -> None:
    assert job.do("plan", "--set", "model.max_tokens=9999999").code == 78


def test_of_several_turns_it_says_what_it_leaves_out_until_rows_were_bought(job: JobFolder, server: Server) -> None:
    job.configure(prompt={"user": ["{{ text }}", "Now label it."]}, call={"requests_per_minute": 600})
    before = planned(job)
    assert "only the first of 2 turns" in before["assumes"]
    assert set(before["seconds"]) >= {"by your own limits"}
    assert job.run("--limit", "20").code == 0
    learned = planned(job)
    assert learned["kept"] == 20
    assert learned["requests"] == pytest.approx(2 * learned["to_buy"])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({}, "online, by call.mode"),
        ({"mode": "batch"}, "batch, by call.mode"),
        ({"mode": "auto"}, "in batches, which cost half; call.deadline names no time"),
        ({"mode": "auto", "deadline": "2d"}, "in batches, which cost half and end within the 2d of call.deadline"),
        ({"mode": "auto", "deadline": "2d", "batch_queue": 10}, "several turns, at most 6 d 0 h, which is longer"),
        ({"mode": "auto", "deadline": "2h"}, "online, since a batch may take a day and call.deadline is 2h"),
        ({"mode": "auto", "deadline": "2s"}, "online they take 12 s at least, which is longer, too"),
    ],
    ids=["online", "batch", "no deadline", "long", "long, many turns", "short", "too short"],
)
def test_it_says_how_the_rows_would_be_asked_and_why(job: JobFolder, call: dict[str, Any], told: str) -> None:
    job.configure(call={"concurrency": 10, **call})
    found = planned(job)
    assert told in found["mode"]
    turns = 6 if call.get("batch_queue") else 1
    assert found["batch_seconds"] == {"mostly": turns * 3600, "at most": turns * 86_400}
    assert told[-20:] in " ".join(job.do("plan").out.split())
