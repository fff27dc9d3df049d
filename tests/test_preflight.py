"""Before the first paid request: what the Models API says, and how many open files there may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.commands import wiring
from tests.api import NO_MODELS, Asked, Canned, error, message, serving
from tests.jobs import JobFolder, answer

CARD = {"type": "model", "id": "claude-haiku-5-5", "lifecycle": "active", "max_tokens": 128_000}


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


def card(**changes: object) -> Canned:
    return Canned(200, json.dumps({**CARD, **changes}).encode())


def test_the_model_is_looked_at_once_and_that_is_no_request(tmp_path: Path) -> None:
    with serving(right, lambda _: card(lifecycle="deprecated", retires_at="2026-11-30T00:00:00Z")) as api:
        job = JobFolder(tmp_path / "job", ["good", "bad"], api.url)
        ended = job.run()
        assert (ended.code, ended.summary["requests"]) == (0, 2)
        assert api.looked == ["/v1/models/claude-haiku-5-5"]
        assert "ends on 2026-11-30" in (job.path / "runs" / "job" / "log.jsonl").read_text()
        assert job.run().code == 0
        assert len(api.looked) == 1, "where nothing is to be asked, nothing is looked at"


ACCOUNT = [
    (error(401, "authentication_error", "invalid x-api-key"), 77),
    (error(402, "billing_error"), 77),
    (error(403, "permission_error"), 77),
    (error(404, "not_found_error", "model: claude-haiku-5-5"), 78),
]


@pytest.mark.parametrize(("trouble", "code"), ACCOUNT)
def test_trouble_with_the_account_costs_no_request_where_the_look_finds_it_and_one_where_not(
    tmp_path: Path, trouble: Canned, code: int
) -> None:
    for looked, requests in ((trouble, 0), (NO_MODELS, 1)):
        with serving(lambda _: trouble, lambda _, looked=looked: looked) as api:  # type: ignore[misc]
            job = JobFolder(tmp_path / f"job{requests}", ["good"] * 30, api.url)
            ended = job.run()
        assert (ended.code, len(api.asked), ended.summary["requests"]) == (code, requests, requests)
        assert ended.summary["pending"] == 30
        assert ended.err.strip().splitlines()[-1].startswith("what to do: ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lifecycle": "retired", "retires_at": "2026-11-30T00:00:00Z"}, "has ended on 2026-11-30"),
        ({"max_tokens": 1000}, "writes at most 1,000 tokens"),
        ({"capabilities": {"structured_outputs": {"supported": False}}}, "no structured outputs"),
    ],
)
def test_a_model_that_cannot_do_it_costs_nothing(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with serving(right, lambda _: card(**changes)) as api:
        ended = JobFolder(tmp_path / "job", ["good"], api.url).run()
    assert (ended.code, api.asked) == (78, [])
    assert said in ended.err


def test_a_look_that_is_redirected_goes_nowhere(tmp_path: Path) -> None:
    with serving(right, lambda _: card()) as elsewhere:
        moved = Canned(307, b"", {"location": f"{elsewhere.url}/v1/models/claude-haiku-5-5"})
        with serving(lambda _: moved, lambda _: moved) as api:
            job = JobFolder(tmp_path / "job", ["good"], api.url, call={"attempts": 1})
            job.run()
        assert (elsewhere.asked, elsewhere.looked) == ([], [])
    assert len(api.asked) == 1


def test_replies_that_are_judged_anew_take_no_look_and_no_working_key(tmp_path: Path) -> None:
    with serving(right, lambda _: card()) as api:
        job = JobFolder(tmp_path / "job", ["good", "bad"], api.url)
        assert job.run().code == 0
    job.configure(check={"repair": "off"})
    refused = error(401, "authentication_error")
    with serving(lambda _: refused, lambda _: refused) as api:
        job.configure(call={"base_url": api.url})
        ended = job.run()
    assert (ended.code, ended.summary["requests"], api.looked, api.asked) == (0, 0, [], [])


def test_host_and_a_digest_of_the_key_are_shown_and_no_more(tmp_path: Path) -> None:
    with serving(right) as api:
        job = JobFolder(tmp_path / "job", ["good"], f"{api.url}/a/secret/path")
        for ended in (job.do("check"), job.run("--log-format", "text")):
            assert ended.code == 0
            assert f"{api.url} (key " in ended.out + ended.err
            assert "secret/path" not in ended.out + ended.err
        first = job.do("check").out
        other = job.do("check", environment={"ANTHROPIC_API_KEY": "sk-ant-another"}).out
        none = job.do("check", environment={"ANTHROPIC_API_KEY": ""}).out
    digests = {line.partition("(key ")[2][:8] for text in (first, other) for line in text.splitlines() if "(key " in line}
    assert len(digests) == 2
    assert "no key in the environment" in none


def test_the_whole_form_is_shown_by_check(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job", ["good"], "http://127.0.0.1:1")
    job.configure(
        model={
            "name": "claude-haiku-4-5",
            "max_tokens": 8192,
            "stop_sequences": ["END"],
            "api_version": "2023-06-01",
            "extra": {"temperature": 0, "new_one": 1},
        }
    )
    shown = job.do("check").out
    assert "max_tokens 8,192, streamed" in shown
    assert "prompt cache off" in shown
    assert "fewer than the 4,096 tokens below which claude-haiku-4-5 caches nothing" in shown
    for line in (
        'stop_sequences: ["END"]',
        "temperature: 0",
        'anthropic-version: "2023-06-01"',
        "new_one: not a parameter known",
    ):
        assert line in shown


def test_stop_sequences_extras_and_version_reach_the_api_and_changing_them_is_refused(tmp_path: Path) -> None:
    with serving(right) as api:
        job = JobFolder(tmp_path / "job", ["good"], api.url)
        job.configure(model={"name": "claude-haiku-4-5"})
        assert job.run().code == 0
        job.configure(model={"stop_sequences": ["END"], "extra": {"temperature": 0}, "api_version": "2023-06-01"})
        ended = job.run()
        assert ended.code == 78
        assert "model.api_version, model.extra, model.stop_sequences changed" in ended.err
        assert job.run("--accept-change").code == 0
    _, asked = api.asked
    assert (asked.body["stop_sequences"], asked.body["temperature"]) == (["END"], 0)
    assert asked.headers["anthropic-version"] == "2023-06-01"


def test_more_connections_than_open_files_are_refused_if_asked_for_and_fewer_made_if_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "room_for", lambda wanted: 3)
    with serving(right) as api:
        job = JobFolder(tmp_path / "job", ["good"] * 5, api.url, call={"concurrency": 4})
        ended = job.run()
        assert (ended.code, api.asked) == (78, [])
        assert "set call.concurrency to 3 or less" in ended.err
        job.configure(call={"concurrency": "auto"})
        assert job.run().code == 0
