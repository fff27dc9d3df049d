from __future__ import annotations

import io
import json
import logging
import resource
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import (
    AskedAgain,
    AtService,
    Event,
    InDoubt,
    InFlight,
    Kept,
    Notice,
    Planned,
    Publishing,
    Retrying,
    RowEnded,
    Stopping,
)
from pipeline.records import Outcome, Status, Usage
from pipeline.show.log import JsonLines, LogFile, Logged, TextLines, redact, stream_handler

KEY = "sk-ant-CANARY_0123-abc"


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.show.log")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def record(message: str, *args: object) -> logging.LogRecord:
    made = logging.LogRecord("lib", logging.WARNING, "f.py", 1, message, args, None)
    made.created = 1_795_395_600.25
    return made


def logged(logger: logging.Logger, event: Event) -> dict[str, object]:
    stream = io.StringIO()
    logger.addHandler(stream_handler(stream, "json"))
    Logged(logger)(event)
    line = json.loads(stream.getvalue())
    assert isinstance(line, dict)
    del line["time"]
    return line


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Planned(3), {"level": "info", "event": "planned", "rows": 3}),
        (Kept(2), {"level": "debug", "event": "kept", "rows": 2}),
        (InFlight(1, 2), {"level": "debug", "event": "in_flight", "now": 1, "limit": 2}),
        (
            AtService(2, 900, 60.5),
            {"level": "debug", "event": "at_service", "batches": 2, "requests": 900, "oldest_s": 60.5},
        ),
        (AskedAgain("k", 2, "the text says …"), {"level": "debug", "event": "asked_again", "key": "k", "ask": 2}),
        (
            Retrying("k", 1, 2.5, "529 overloaded"),
            {
                "level": "info",
                "event": "retrying",
                "key": "k",
                "attempt": 1,
                "wait_s": 2.5,
                "error": "529 overloaded",
                "billed": False,
            },
        ),
        (InDoubt("k"), {"level": "warning", "event": "in_doubt", "key": "k"}),
        (Stopping("SIGTERM"), {"level": "warning", "event": "stopping", "why": "SIGTERM"}),
        (Publishing("out.csv"), {"level": "info", "event": "publishing", "path": "out.csv"}),
        (Notice("prices are old"), {"level": "info", "event": "notice", "text": "prices are old"}),
    ],
)
def test_each_event_is_one_json_line(logger: logging.Logger, event: Event, line: dict[str, object]) -> None:
    assert logged(logger, event) == line


def test_a_row_is_logged_with_its_figures(logger: logging.Logger) -> None:
    outcome = Outcome(
        1, Status.FAILED, "529 overloaded", asks=1, attempts=6, request_id="req_1", usage=Usage(10, 2, 3), cost_usd=0.5
    )
    assert logged(logger, RowEnded("k", outcome)) == {
        "level": "warning",
        "event": "row_unanswered",
        "key": "k",
        "status": "failed",
        "asks": 1,
        "attempts": 6,
        "stop_reason": None,
        "request_id": "req_1",
        "input_tokens": 13,
        "output_tokens": 2,
        "cost_usd": 0.5,
        "latency_s": None,
        "error": "529 overloaded",
    }


@pytest.mark.parametrize("status", list(Status))
def test_a_row_that_ends_with_an_answer_or_not_at_all_is_a_matter_of_debugging(logger: logging.Logger, status: Status) -> None:
    line = logged(logger, RowEnded("k", Outcome(0, status)))
    assert line["level"] == ("debug" if status.answered or status is Status.PENDING else "warning")


@pytest.mark.parametrize("status", [Status.INVALID_OUTPUT, Status.TRUNCATED, Status.REFUSED, Status.INPUT_ERROR])
def test_messages_that_can_quote_the_document_stay_out_of_the_log(logger: logging.Logger, status: Status) -> None:
    outcome = Outcome(0, status, error="'SECRET' is not one of", answer="SECRET", raw="SECRET")
    assert "SECRET" not in json.dumps(logged(logger, RowEnded("k", outcome)))


def test_without_debugging_no_line_per_row(logger: logging.Logger) -> None:
    stream = io.StringIO()
    logger.addHandler(stream_handler(stream, "json"))
    logger.setLevel(logging.INFO)
    listener = Logged(logger)
    for event in (RowEnded("k", Outcome(0, Status.OK)), AskedAgain("k", 2, ""), InFlight(1, 1), Kept(5)):
        listener(event)
    assert stream.getvalue() == ""


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_hostile_text_is_one_json_line_that_reads_back(text: str) -> None:
    made = record("%s", text + '\n{"level":"error"}\x1b]0;x\x07\u202e')
    line = JsonLines().format(made)
    assert line.isascii()
    assert "\n" not in line
    assert "\x1b" not in line
    assert json.loads(line)["level"] == "warning"


def test_the_text_format_is_one_line_that_no_terminal_acts_on() -> None:
    made = record("%s", 'a\n{"level":"error"}\x1b]0;x\x07\u202e\ud800')
    assert TextLines().format(made) == (
        '2026-11-23T01:00:00.250Z warning log logger=lib message=a\\n{"level":"error"}\\x1b]0;x\\x07\\u202e\\ud800'
    )


def test_events_in_the_text_format(logger: logging.Logger) -> None:
    stream = io.StringIO()
    logger.addHandler(stream_handler(stream, "text"))
    Logged(logger)(Retrying("a\nb", 1, 2.5, "529 overloaded"))
    assert stream.getvalue().partition(" ")[2] == (
        "info retrying key=a\\nb attempt=1 wait_s=2.5 error=529 overloaded billed=False\n"
    )


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()])
def test_a_traceback_is_part_of_its_line_and_keeps_no_key(formatter: logging.Formatter) -> None:
    made = record("it broke")
    try:
        raise ValueError(f"refused {KEY}\nx-api-key: something")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = formatter.format(made)
    assert "\n" not in line
    assert "ValueError: refused [redacted]" in line
    assert "something" not in line


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"Bearer {KEY}",
        "x-api-key: CANARY",
        "X-Api-Key=CANARY",
        "{'x-api-key': 'CANARY'}",
        '{"headers": "{\\"x-api-key\\": \\"CANARY\\"}"}',
        "[(b'x-api-key', b'CANARY'), (b'host', b'api')]",
        "authorization: Bearer CANARY",
        "Authorization: Basic CANARY==",
    ],
)
def test_keys_are_redacted_in_every_spelling(text: str) -> None:
    assert "CANARY" not in redact(text)
    assert "CANARY" not in JsonLines().format(record("%s", text))
    assert "CANARY" not in TextLines().format(record("%s", text))


def test_redacted_json_is_still_json() -> None:
    line = json.loads(redact(json.dumps({"x-api-key": "a b", "nested": json.dumps({"x-api-key": "ab"}), "key": KEY, "n": 1})))
    assert line["key"] == "[redacted]"
    assert json.loads(line["nested"]) == {"x-api-key": "[redacted]"}
    assert line["n"] == 1


def test_other_words_stay() -> None:
    text = "sk-antique furniture, task-anthology; the x-api-key header is missing"
    assert redact(text) == text


def test_the_log_file_is_private_and_appended_to(tmp_path: Path, logger: logging.Logger) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "earlier"}\n')
    path.chmod(0o644)
    logger.addHandler(LogFile(path))
    Logged(logger)(Notice("später"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["earlier", "notice"]


@pytest.fixture
def path(tmp_path: Path, logger: logging.Logger) -> Path:
    """A log file that the logger writes to."""
    made = tmp_path / "log.jsonl"
    logger.addHandler(LogFile(made))
    return made


def events(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_a_full_disk_does_not_stop_who_logs(tmp_path: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "log.jsonl").symlink_to(full)
    logger.addHandler(LogFile(tmp_path / "log.jsonl"))
    Logged(logger)(Notice("x"))
    assert capsys.readouterr() == ("", "")


def test_a_line_that_the_disk_cuts_short_is_taken_back(path: Path, logger: logging.Logger) -> None:
    Logged(logger)(Notice("whole"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
    try:
        Logged(logger)(Notice("cut"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    Logged(logger)(Notice("room again"))
    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == ["whole", "room again"]


def test_half_a_line_of_a_lost_machine_is_cut_off(tmp_path: Path, logger: logging.Logger) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "earlier"}\n{"event": "ha')
    logger.addHandler(LogFile(path))
    Logged(logger)(Notice("x"))
    assert events(path) == ["earlier", "notice"]


def test_what_another_process_is_writing_is_not_cut_off(path: Path, logger: logging.Logger) -> None:
    with path.open("a") as other:
        other.write('{"event": "its line"')
        other.flush()
        LogFile(path).close()
        other.write("}\n")
    assert events(path) == ["its line"]


def test_a_log_that_was_moved_away_is_left_for_a_new_one(path: Path, logger: logging.Logger) -> None:
    Logged(logger)(Notice("x"))
    path.rename(path.with_name("log.jsonl.1"))
    Logged(logger)(Stopping("x"))
    assert events(path.with_name("log.jsonl.1")) == ["notice"]
    assert events(path) == ["stopping"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_flood_of_one_event_does_not_fill_the_disk_and_hides_no_other(tmp_path: Path, logger: logging.Logger) -> None:
    path = tmp_path / "log.jsonl"
    logger.addHandler(LogFile(path, of_a_kind=3))
    for _ in range(10):
        Logged(logger)(InDoubt("k"))
    Logged(logger)(Notice("x"))
    assert events(path) == ["in_doubt", "in_doubt", "in_doubt", "left_out", "notice"]
    assert json.loads(path.read_text().splitlines()[3])["of"] == "in_doubt"


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_a_hostile_key_costs_a_line_none_of_its_fields(text: str) -> None:
    made = record("")
    made.__dict__.update(event="retrying", fields={"key": f"x-api-key{text}", "attempt": 3, "error": f"authorization{text}"})
    assert {"key", "attempt", "error"} <= json.loads(JsonLines().format(made)).keys()
