"""The key is in no file, stream, log, traceback or pickle, whatever goes wrong; documents are in no log.

Servers here do their worst: they echo the key that they were sent in every place that an answer has.
"""

from __future__ import annotations

import json
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.analyse import Stages
from pipeline.call import breaker
from pipeline.call.client import Client
from pipeline.commands import run as command
from pipeline.job import execution
from tests.api import Asked, Canned, Script, error, message, serving
from tests.call.streams import events, streamed
from tests.jobs import KEY, Ended, JobFolder, answer

CANARY = "CANARY"
DOCUMENT = "good DOCUMENT nobody else may read"
LOGS = ("log.jsonl", "summary.json", "job.json", "history.jsonl")


def echo(asked: Asked) -> str:
    """The key as the server got it, in the forms in which servers repeat what they got."""
    return f"{asked.headers['authorization']} {json.dumps(asked.headers)} key={KEY}"


def loud(asked: Asked, canned: Canned) -> Canned:
    """The same response with the key in every header that is read."""
    named = {"request-id": f"req-{KEY}", "anthropic-ratelimit-requests-remaining": KEY, "x-debug": KEY, "server": KEY}
    return Canned(canned.status, canned.body, {**canned.headers, **named}, canned.cut, canned.wait_s)


def html(status: int) -> Script:
    return lambda asked: Canned(status, f"<html>{echo(asked)}</html>".encode(), {"content-type": "text/html"})


def failing(status: int, kind: str, **more: str) -> Script:
    return lambda asked: loud(asked, error(status, kind, echo(asked), **more))


def told(asked: Asked) -> list[dict[str, Any]]:
    return events(json.loads(message(echo(asked)).body))


def passing(script: Script) -> Script:
    """Trouble that every second request about a row does not meet: rows are asked until it is over."""
    asked_before: set[str] = set()

    def either(asked: Asked) -> Canned:
        before = asked.text in asked_before
        asked_before.symmetric_difference_update({asked.text})
        return message(answer(asked.text)) if before else script(asked)

    return either


ROWS: dict[str, Script] = {
    "right": lambda asked: loud(asked, message(answer(asked.text))),
    "no_json": lambda asked: message(f"Your key is {KEY}."),
    "truncated": lambda asked: message(f'{{"label": "{KEY}', stop_reason="max_tokens"),
    "refused": lambda asked: message("", content=[], stop_reason="refusal", stop_details={"explanation": echo(asked)}),
    "odd_stop": lambda asked: message("x", stop_reason=KEY),
    "no_message": lambda asked: Canned(200, json.dumps({"content": KEY}).encode()),
    "cut_json": lambda asked: Canned(200, f'{{"id": "{KEY}", "content": ['.encode()),
    "html": html(200),
    "bad_request": failing(400, "invalid_request_error"),
    "too_large": html(413),
    "conflict": failing(409, "conflict_error"),
    "server_error": failing(500, "api_error"),
    "bad_gateway": html(502),
    "gateway_timeout": failing(504, "timeout_error"),
    "limited_by_key": passing(failing(429, "rate_limit_error", retry_after=KEY)),
    "overloaded": passing(failing(529, "overloaded_error")),
    "teapot": failing(418, KEY),
    "redirect": lambda asked: Canned(307, echo(asked).encode(), {"location": f"http://127.0.0.1:1/{KEY}"}),
    "cut_body": lambda asked: Canned(200, message(echo(asked)).body, cut=200),
    "reset": lambda asked: Canned(cut=0),
    "no_http": lambda asked: Canned(raw=f"who is {KEY}?\r\n\r\n".encode()),
    "no_header": lambda asked: Canned(raw=f"HTTP/1.1 200 OK\r\nnot a header {KEY}\r\n\r\n".encode()),
    "no_status": lambda asked: Canned(raw=f"HTTP/1.1 {KEY} OK\r\n\r\n".encode()),
    "no_length": lambda asked: Canned(raw=f"HTTP/1.1 200 OK\r\ncontent-length: {KEY}\r\n\r\n".encode()),
    "hang": lambda asked: Canned(200, message("x").body, wait_s=1.5),
}
"""What may happen to a row, by the text of the row."""

STREAMS: dict[str, Script] = {
    "right": lambda asked: streamed(events(json.loads(message(answer(asked.text)).body))),
    "says_key": lambda asked: streamed(told(asked)),
    "error_event": lambda asked: streamed(
        [*told(asked)[:3], {"type": "error", "error": {"type": KEY, "message": echo(asked)}}]
    ),
    "ends_early": lambda asked: streamed(told(asked)[:-2]),
    "nonsense": lambda asked: Canned(200, f"event: x\ndata: {{{KEY}\n\n".encode(), {"content-type": "text/event-stream"}),
    "cut_stream": lambda asked: Canned(200, streamed(told(asked)).body, {"content-type": "text/event-stream"}, cut=500),
    "html": html(200),
}

STOPS: dict[str, Script] = {
    "authentication": failing(401, "authentication_error"),
    "unauthorized_html": html(401),
    "billing": failing(402, "billing_error"),
    "permission": failing(403, "permission_error"),
    "no_model": lambda asked: error(404, "not_found_error", f"model: claude-haiku-5-5 {echo(asked)}"),
    "no_page": html(404),
    "limited": failing(429, "rate_limit_error", retry_after="86400"),
    "spend_limit": failing(429, "rate_limit_error", code="enforced_spend_limit_reached"),
    "own_limit": lambda asked: error(400, "invalid_request_error", f"You have reached your specified {echo(asked)}"),
    "no_credit": lambda asked: error(400, "invalid_request_error", f"Your credit balance is too low {echo(asked)}"),
}
"""What ends a run, at the look at the model or at the first request."""


def by_text(scripts: dict[str, Script]) -> Script:
    return lambda asked: scripts[row(asked)](asked)


def row(asked: Asked) -> str:
    """The first word of the row's document, also in a re-ask."""
    word: str = asked.body["messages"][0]["content"][0]["text"].split()[0]
    return word


def folder(tmp_path: Path, texts: list[str], url: str, **changes: Any) -> JobFolder:
    call = {"attempts": 1, "timeout_s": 1.0, "concurrency": 8}
    changes["model"] = {"max_tokens": 10, **changes.get("model", {})}  # what is longer would be streamed within a second
    return JobFolder(
        tmp_path / "job", texts, url, call=call, run={"metrics_file": "metrics.prom", "longest_wait_s": 5}, **changes
    )


def holding(job: JobFolder, ended: Ended, secret: str = CANARY) -> list[str]:
    """Where the secret is: files below the job's folder, and what was printed."""
    found = [name for name, text in (("stdout", ended.out), ("stderr", ended.err)) if secret in text]
    return found + [str(path) for path in job.path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job", [f"a {CANARY}"], "http://127.0.0.1:1")
    assert holding(job, Ended(0, CANARY, f"{CANARY} ")) == ["stdout", "stderr", str(job.path / "in.csv")]


@pytest.mark.parametrize(("scripts", "stream"), [(ROWS, False), (STREAMS, True)], ids=["whole", "streamed"])
@pytest.mark.parametrize("log", [(), ("--log-format", "json")], ids=["bar", "json"])
def test_whatever_happens_to_rows_the_key_is_nowhere_and_documents_in_no_log(
    tmp_path: Path, scripts: dict[str, Script], stream: bool, log: tuple[str, ...]
) -> None:
    with serving(by_text(scripts)) as api:
        job = folder(tmp_path, [f"{name} {DOCUMENT}" for name in scripts], api.url, model={"stream": stream})
        ended = job.do("run", *log)
        assert {row(asked) for asked in api.asked} == scripts.keys()
        assert {asked.body.get("stream", False) for asked in api.asked} == {stream}
        assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in api.asked)
    assert job.table().num_rows == len(scripts)
    assert [job.do("report").code, *(path.name for path in (job.path / "runs" / "job").glob("report.*"))] == [0, "report.html"]
    assert holding(job, ended) == []
    for told in (job.do("status"), job.do("report", "--format", "md"), job.do("evaluate", "--against", "out/out.parquet")):
        assert told.code == 0
        assert CANARY not in told.out + told.err
        assert DOCUMENT not in told.out + told.err
    assert DOCUMENT not in ended.out + ended.err
    for path in (job.path / "metrics.prom", *(job.path / "runs" / "job" / name for name in LOGS)):
        assert DOCUMENT not in path.read_text(), path


@pytest.mark.parametrize("name", STOPS)
@pytest.mark.parametrize("looked", [False, True], ids=["asked", "looked"])
def test_whatever_ends_a_run_the_key_is_nowhere(tmp_path: Path, name: str, looked: bool) -> None:
    trouble = STOPS[name]
    with serving(trouble, trouble if looked else html(404)) as api:
        job = folder(tmp_path, [DOCUMENT] * 3, api.url)
        ended = job.run()
        assert api.asked or api.looked
    assert ended.code not in (0, 1, 70)
    assert holding(job, ended) == []
    assert DOCUMENT not in ended.out + ended.err


@pytest.mark.parametrize("name", STOPS)
def test_what_is_raised_can_be_pickled_and_looked_through_without_finding_the_key(tmp_path: Path, name: str) -> None:
    with serving(STOPS[name]) as api:
        job = folder(tmp_path, [DOCUMENT], api.url)
        error = raised(job)
    assert list(reachable(error))
    for value in reachable(error):
        assert CANARY not in repr(value)
        assert CANARY.encode() not in pickle.dumps(value)


def raised(job: JobFolder) -> BaseException:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(job.path)
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        with pytest.raises(Exception, match=r".") as caught:
            command.execute(Path("job.yaml"), command.Options(quiet=True))
    return caught.value


def reachable(error: BaseException | None) -> Iterator[object]:
    """The exception, those behind it, and all that hangs on them."""
    while error is not None:
        yield error
        yield error.args
        yield vars(error)
        error = error.__cause__ or error.__context__


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, impatient in {"AT_ONCE": 1, "IN_A_ROW": 1, "PROBE_S": 0.01, "GIVE_UP_S": 0.05}.items():
        monkeypatch.setattr(breaker, name, impatient)  # ten minutes otherwise
    job = folder(tmp_path, [DOCUMENT], "http://127.0.0.1:1")
    ended = job.run()
    assert ended.code == 69
    assert holding(job, ended) == []


@pytest.mark.parametrize(
    "where", ["http://gateway.invalid", "https://user:{key}@127.0.0.1:1", "ftp://{key}", "https://x/?k={key}"]
)
def test_a_base_url_that_is_none(tmp_path: Path, where: str) -> None:
    job = folder(tmp_path, [DOCUMENT], "local")
    del job.config["call"]["base_url"]
    job.configure()
    ended = job.run(environment={"ANTHROPIC_BASE_URL": where.format(key=KEY)})
    assert ended.code == 78
    assert holding(job, ended) == []


def test_a_config_that_holds_the_key_is_refused_without_repeating_it(tmp_path: Path) -> None:
    job = folder(tmp_path, [DOCUMENT], "http://127.0.0.1:1")
    ended = job.run("--set", f"model.extra.metadata={{user_id: {KEY}}}", "--set", f"model.stop_sequences=[{KEY}]")
    assert ended.code == 78
    assert holding(job, ended) == []


def test_a_bug_of_ours_shows_a_traceback_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(rows: object, stages: Stages, emit: object, halt: object, left: object) -> None:
        client = stages.caller.transport  # type: ignore[attr-defined]
        assert isinstance(client, Client)
        raise LookupError(f"authorization: Bearer {KEY} {client!r}")

    monkeypatch.setattr(execution, "analyse", broken)
    with serving(ROWS["right"]) as api:
        job = folder(tmp_path, [DOCUMENT], api.url)
        ended = job.run()
    assert ended.code == 70
    assert "LookupError" in ended.err
    assert holding(job, ended) == []


def test_with_the_sdk_told_to_log_all(tmp_path: Path) -> None:
    ended, job = started(tmp_path, ROWS["bad_request"], lambda job: job.start("run", environment={"ANTHROPIC_LOG": "debug"}))
    assert ended.code == 1
    assert holding(job, ended) == []
    assert DOCUMENT not in ended.out + ended.err


def test_interrupted_while_a_request_is_out(tmp_path: Path) -> None:
    out = threading.Event()

    def hanging(asked: Asked) -> Canned:
        out.set()
        return Canned(200, message(echo(asked)).body, wait_s=3.0)

    def interrupted(job: JobFolder) -> Any:
        process = job.start("run")
        assert out.wait(60)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        return process

    ended, job = started(tmp_path, hanging, interrupted)
    assert ended.code == 130
    assert holding(job, ended) == []
    assert DOCUMENT not in ended.out + ended.err


def started(tmp_path: Path, script: Script, start: Callable[[JobFolder], Any]) -> tuple[Ended, JobFolder]:
    """What came of the command in a process of its own."""
    with serving(script) as api:
        job = folder(tmp_path, [DOCUMENT], api.url)
        process = start(job)
        out, err = process.communicate(timeout=60)
    return Ended(process.returncode, out, err), job
