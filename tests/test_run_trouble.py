"""What goes wrong between a run and the API, as its users meet it: the console script against a server that misbehaves."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.api import Asked, Canned, error, message, serving
from tests.jobs import JobFolder, answer

TEXTS = [f"{'good' if number % 3 else 'bad'} thing {number}" for number in range(120)]
AT_ONCE = 8
BAD, LIMITED = "invalid_request_error", "rate_limit_error"
ACCOUNT = {
    "401": (error(401, "authentication_error", "invalid x-api-key"), 77, "ANTHROPIC_API_KEY"),
    "402": (error(402, "billing_error"), 77, "payment"),
    "403": (error(403, "permission_error"), 77, "another key"),
    "404": (error(404, "not_found_error", "model: claude-haiku-5-5"), 78, "call.base_url"),
    "spend limit of the tier": (error(429, LIMITED, code="enforced_spend_limit_reached"), 77, "first of next month"),
    "spend limit of one's own": (
        error(400, BAD, "You have reached your specified API usage limits. You will regain access on 2026-12-01."),
        77,
        "2026-12-01",
    ),
    "low credit": (error(400, BAD, "Your credit balance is too low to access the Anthropic API."), 77, "buy credits"),
}


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


def no_row_is_marked(job: JobFolder, code: int, said: str, sent: int) -> None:
    """The run stops with the right code, says why and what to do, and the next one finishes."""
    ended = job.run()
    assert ended.code == code == ended.summary["exit_code"], ended.err
    assert said in ended.err
    assert ended.err.strip().splitlines()[-1].startswith("what to do: ")
    summary = ended.summary
    marked = {name: summary[name] for name in ("request_error", "input_error", "failed", "in_doubt", "invalid_output")}
    assert set(marked.values()) == {0}, marked
    assert summary["pending"] + summary["ok"] == len(TEXTS)
    assert summary["requests"] <= sent
    assert not (job.path / "out" / "out.parquet").exists()


@pytest.mark.parametrize(("canned", "code", "said"), ACCOUNT.values(), ids=ACCOUNT.keys())
def test_trouble_with_the_account_at_the_start_costs_one_request(tmp_path: Path, canned: Canned, code: int, said: str) -> None:
    with serving(lambda _: canned) as api:
        no_row_is_marked(JobFolder(tmp_path / "job", TEXTS, api.url), code, said, sent=1)
        assert len(api.asked) == 1


@pytest.mark.parametrize(("canned", "code", "said"), ACCOUNT.values(), ids=ACCOUNT.keys())
def test_trouble_with_the_account_on_the_way_marks_no_row(tmp_path: Path, canned: Canned, code: int, said: str) -> None:
    good = 60
    count = 0
    lock = threading.Lock()

    def script(asked: Asked) -> Canned:
        nonlocal count
        with lock:
            count += 1
            number = count
        return replace(right(asked), wait_s=0.005) if number <= good else canned

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url, call={"concurrency": AT_ONCE})
        no_row_is_marked(job, code, said, sent=good + AT_ONCE + 20)
        api.script = right
        assert job.run().summary["ok"] == len(TEXTS)
    assert max(Counter(api.texts()).values()) <= 2, "what was answered is not asked again"


def test_a_request_refused_from_the_middle_on_marks_no_row(tmp_path: Path) -> None:
    count = 0
    lock = threading.Lock()

    def script(asked: Asked) -> Canned:
        nonlocal count
        with lock:
            count += 1
            number = count
        return right(asked) if number <= 60 else error(400, BAD, "output_config.format: not supported any more")

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url, call={"concurrency": AT_ONCE})
        no_row_is_marked(job, 78, "not supported any more", sent=60 + AT_ONCE + 20)
        api.script = right
        assert job.run().summary["ok"] == len(TEXTS)


def test_an_unknown_model_brings_those_with_names_like_it(tmp_path: Path) -> None:
    with serving(lambda _: error(404, "not_found_error", "model: claude-haiku-5")) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url, model={"name": "claude-haiku-5"})
        ended = job.run()
    assert ended.code == 78
    assert "claude-haiku-5-5" in ended.err


def events(*said: dict[str, Any]) -> Canned:
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in said)
    return Canned(200, body.encode(), {"content-type": "text/event-stream", "request-id": "req_s"})


def streamed(asked: Asked) -> list[dict[str, Any]]:
    body = json.loads(right(asked).body)
    text = body["content"][0]["text"]
    return [
        {"type": "message_start", "message": {**body, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
ODD: dict[str, Any] = {
    "HTML with 200": lambda _: Canned(200, b"<html>hello</html>", {"content-type": "text/html"}),
    "a cut body": lambda asked: Canned(200, right(asked).body[:70]),
    "a body that is cut off": lambda asked: replace(right(asked), cut=50),
    "an empty body": lambda _: Canned(200, b""),
    "no usage": lambda asked: message(answer(asked.text), usage=None),
    "stop_reason null": lambda asked: message(answer(asked.text), stop_reason=None),
    "no content": lambda asked: message(answer(asked.text), content=None),
    "a reset": lambda _: Canned(cut=0),
    "a gateway timeout": lambda _: error(504, "timeout_error"),
}
ODD_STREAMS: dict[str, Any] = {
    "an error event": lambda asked: events(*streamed(asked)[:3], OVERLOADED),
    "an error event of an unknown type": lambda asked: events(
        *streamed(asked)[:3], {"type": "error", "error": {"type": "new_error", "message": "?"}}
    ),
    "a stream that ends early": lambda asked: events(*streamed(asked)[:4]),
    "a stream that is cut off": lambda asked: replace(events(*streamed(asked)), cut=200),
}


@pytest.mark.parametrize(("odd", "stream"), [(ODD, False), (ODD_STREAMS, True)], ids=["whole", "streamed"])
def test_what_is_no_reply_is_asked_again_and_counted_as_perhaps_paid_twice(
    tmp_path: Path, odd: dict[str, Any], stream: bool
) -> None:
    """Each row but the first meets one of them, once."""
    texts = ["good canary", *(f"good {name}" for name in odd)]
    times: Counter[str] = Counter()

    def script(asked: Asked) -> Canned:
        times[asked.text] += 1
        name = asked.text.removeprefix("good ")
        if times[asked.text] == 1 and name in odd:
            canned: Canned = odd[name](asked)
            return canned
        return events(*streamed(asked)) if stream else right(asked)

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", texts, api.url, model={"stream": stream})
        ended = job.run()
    assert (ended.code, ended.summary["ok"]) == (0, len(texts)), ended.err
    assert dict(times) == {text: 1 if text == texts[0] else 2 for text in texts}
    assert ended.summary["retries"] == ended.summary["possible_double_charges"] == len(odd)
    assert [{"label": row["label"], "length": row["length"]} for row in job.rows()] == [
        json.loads(answer(text)) for text in texts
    ]


def test_a_quarter_of_all_requests_failing_in_every_way_leaves_no_trace_in_the_table(tmp_path: Path) -> None:
    draw, lock = Random(5), threading.Lock()  # noqa: S311
    kinds = [
        error(529, "overloaded_error"),
        error(500, "api_error"),
        Canned(cut=0),
        Canned(200, b"<html>"),
        Canned(200, b'{"id'),
    ]

    def script(asked: Asked) -> Canned:
        with lock:
            fault = draw.random()
        return right(asked) if fault >= 0.25 else kinds[int(fault * 20)]

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", TEXTS, api.url, call={"concurrency": 50})
        ended = job.run()
    assert (ended.code, ended.summary["ok"]) == (0, len(TEXTS)), ended.err
    assert ended.summary["requests"] == len(api.asked)
    assert [{"label": row["label"], "length": row["length"]} for row in job.rows()] == [json.loads(answer(t)) for t in TEXTS]


def test_ceilings_of_the_config_are_kept(tmp_path: Path) -> None:
    with serving(right) as api:
        job = JobFolder(tmp_path / "job", TEXTS[:60], api.url, call={"requests_per_minute": 1200})
        ended = job.run()
    assert ended.code == 0
    assert ended.summary["seconds"] >= (60 - 1 - 0.5 * 20) / 20


def test_a_run_that_stops_before_it_has_seen_every_row_counts_none_that_it_has_not(tmp_path: Path) -> None:
    """The others may have to be asked anew: the prompt is another."""
    asked_before: list[str] = []

    def script(asked: Asked) -> Canned:
        asked_before.append(asked.text)
        return error(402, "billing_error") if len(asked_before) == 34 else message(answer(asked.text))

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", [f"good {number}" for number in range(30)], api.url, call={"concurrency": 1})
        assert job.run().code == 0
        job.configure(prompt={"user": "Read: {{ text }}"})
        stopped = job.run("--accept-change")
        status = json.loads(job.do("status", "--json").out)
    assert stopped.code == 77
    assert (stopped.summary["ok"], stopped.summary["pending"]) == (3, 27)
    assert sum(status["ended"].values()) <= 3
