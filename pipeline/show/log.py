"""Events and log records → lines for a machine (log.jsonl, --log-format json) or a person (--log-format text).

Stdlib logging throughout: libraries that log come out in the same form. One record is one line, whatever the data holds, and
every line passes `redact`. Documents stay out: messages that can quote them (a validator's, a refusal's) are not logged;
they are in the output column `_error`.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Literal, TextIO

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
    Spending,
    Stopping,
)
from pipeline.records import JSON, Outcome, Status
from pipeline.show.text import plain

LINES_OF_A_KIND = 10_000
"""Of one event in log.jsonl for one run: some 3 MB."""
TAIL_BYTES = 1 << 20
"""Read to find the end of the last whole line."""

_KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]+")
_HEADER_NAME = re.compile("x-api-key|authorization", re.IGNORECASE)
_HEADER = re.compile(
    r"""(?ix) (x-api-key | authorization)
        ( ["'\\]* \s* [:=,] \s* (?:b?["'\\]+)? (?:bearer\s+ | basic\s+)? )  # YAML, JSON, JSON in JSON, repr of byte pairs
        [^\s"'\\,;()\[\]{}]+"""
)


def redact(text: str) -> str:
    """The text without API keys and without the values of the headers that carry credentials."""
    return _HEADER.sub(r"\1\2[redacted]", _KEY.sub("[redacted]", text))


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: `time` (ISO 8601, UTC), `level`, `event`, then the event's fields.

    A record that is none of our events has the event `log`, and `logger`, `message` and, if any, `exception` as fields.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), **_event(record)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # Value by value: in the dumped line, one that ends in the name of a header would take its neighbour with it.
        return json.dumps(_redacted(line), allow_nan=False)


def _redacted(value: object) -> JSON:
    """The value as JSON, without keys."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            named = ((redact(str(name)), inner) for name, inner in value.items())
            return {name: "[redacted]" if _HEADER_NAME.fullmatch(name) else _redacted(inner) for name, inner in named}
        case list() | tuple():
            return [_redacted(inner) for inner in value]
        case _:
            return redact(str(value))


class TextLines(logging.Formatter):
    """`time level event name=value …`, one line, nothing in it that a terminal would act on."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _event(record)
        told = [f"{name}={plain(str(value), 1000)}" for name, value in fields.items() if name != "event"]
        if record.exc_info:
            told.append(f"exception={plain(self.formatException(record.exc_info), 10_000)}")
        return redact(" ".join([_time(record), record.levelname.lower(), str(fields["event"]), *told]))


class LogFile(logging.Handler):
    """log.jsonl: appended to, readable by its owner alone. A disk that refuses it does not stop the run: the journal tells.

    A line is one write, so that lines of two processes do not mix, and one that the disk cuts short is taken back. A file that
    was moved away (logrotate) is left for a new one. So many lines of one kind are written for one run, and then one that says
    so: ten million failed rows must not fill the disk that the journal needs.
    """

    def __init__(self, path: Path, of_a_kind: int = LINES_OF_A_KIND) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self._path = path
        self._of_a_kind = of_a_kind
        self._lines: Counter[str] = Counter()
        self._file = _appended(path)

    def emit(self, record: logging.LogRecord) -> None:
        kind = str(record.__dict__.get("event", record.name))
        self._lines[kind] += 1
        if self._lines[kind] > self._of_a_kind:
            return
        try:
            self._write(self.format(record))
            if self._lines[kind] == self._of_a_kind:
                text = f"{self._of_a_kind:,} lines of this kind; this run writes no more of them"
                self._write(
                    json.dumps({"time": _time(record), "level": "warning", "event": "left_out", "of": kind, "text": text})
                )
        except OSError:
            pass
        except Exception:  # noqa: BLE001 as in every handler of the stdlib: a record that cannot be formatted stops nothing
            self.handleError(record)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _write(self, line: str) -> None:
        try:
            there = os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            there = False
        if not there:
            moved, self._file = self._file, _appended(self._path)
            moved.close()
        content = line.encode() + b"\n"
        written = self._file.write(content) or 0
        if written < len(content):
            self._file.truncate(self._file.tell() - written)


def _appended(path: Path) -> FileIO:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    with suppress(OSError):  # whoever has the file open shares its lock; alone with it, half a line is one of a lost machine
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        end = os.fstat(descriptor).st_size
        start = max(0, end - TAIL_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0 or start == 0:
            os.ftruncate(descriptor, start + newline + 1)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return os.fdopen(descriptor, "ab", buffering=0)


class Logged:
    """An events.Listener that writes to a logger: what concerns one row at DEBUG, save rows that end without an answer."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __call__(self, event: Event) -> None:
        level, name = _rank(event)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, name, extra={"event": name, "fields": _fields(event)})


def stream_handler(stream: TextIO, style: Literal["json", "text"]) -> logging.Handler:
    """What writes log lines to stderr."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    return handler


def _rank(event: Event) -> tuple[int, str]:
    match event:
        case RowEnded(_, outcome):
            if outcome.status.answered or outcome.status is Status.PENDING:
                return logging.DEBUG, "row_ended"
            return logging.WARNING, "row_unanswered"
        case InFlight():
            return logging.DEBUG, "in_flight"
        case AtService():
            return logging.DEBUG, "at_service"
        case Spending():
            return logging.DEBUG, "spending"
        case AskedAgain():
            return logging.DEBUG, "asked_again"
        case Kept():
            return logging.DEBUG, "kept"
        case Retrying():
            return logging.INFO, "retrying"
        case InDoubt():
            return logging.WARNING, "in_doubt"
        case Stopping():
            return logging.WARNING, "stopping"
        case Planned():
            return logging.INFO, "planned"
        case Publishing():
            return logging.INFO, "publishing"
        case Notice():
            return logging.INFO, "notice"


QUOTING = frozenset({Status.INVALID_OUTPUT, Status.TRUNCATED, Status.REFUSED, Status.INPUT_ERROR})
"""Statuses whose error can quote the document or the answer."""


def _fields(event: Event) -> Mapping[str, object]:
    match event:
        case RowEnded(key, outcome):
            return {"key": key, **_outcome(outcome)}
        case AskedAgain(key, ask, _):
            return {"key": key, "ask": ask}
        case _:
            return asdict(event)


def _outcome(outcome: Outcome) -> dict[str, object]:
    told: dict[str, object] = {
        "status": outcome.status.value,
        "asks": outcome.asks,
        "attempts": outcome.attempts,
        "stop_reason": outcome.stop_reason,
        "request_id": outcome.request_id,
        "input_tokens": outcome.usage.prompt_tokens,
        "output_tokens": outcome.usage.output_tokens,
        "cost_usd": outcome.cost_usd,
        "latency_s": outcome.latency_s,
    }
    if outcome.error is not None and outcome.status not in QUOTING:
        told["error"] = outcome.error
    return told


def _event(record: logging.LogRecord) -> dict[str, object]:
    event = record.__dict__.get("event")
    if event is None:
        return {"event": "log", "logger": record.name, "message": record.getMessage()}
    return {"event": event, **record.__dict__["fields"]}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
