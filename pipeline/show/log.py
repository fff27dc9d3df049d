"""Events and log records → lines for a machine (log.jsonl, --log-format json) or a person (--log-format text).

Stdlib logging throughout: libraries that log come out in the same form. One record is one line, whatever the data holds, and
every line passes `redact`. Documents stay out: messages that can quote them (a validator's, a refusal's) are not logged;
they are in the output column `_error`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Literal, TextIO

from pipeline.events import (
    AskedAgain,
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
from pipeline.records import Outcome, Status
from pipeline.show.text import plain

_KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]+")
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
        return redact(json.dumps(line, default=str))


class TextLines(logging.Formatter):
    """`time level event name=value …`, one line, nothing in it that a terminal would act on."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _event(record)
        told = [f"{name}={plain(str(value), 1000)}" for name, value in fields.items() if name != "event"]
        if record.exc_info:
            told.append(f"exception={plain(self.formatException(record.exc_info), 10_000)}")
        return redact(" ".join([_time(record), record.levelname.lower(), str(fields["event"]), *told]))


class LogFile(logging.FileHandler):
    """log.jsonl: appended to, readable by its owner alone. A disk that refuses it does not stop the run: the journal tells."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(JsonLines())

    def _open(self) -> TextIOWrapper:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(handle, 0o600)
        return os.fdopen(handle, "a", encoding=self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the stdlib's name)
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


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


_QUOTING = frozenset({Status.INVALID_OUTPUT, Status.TRUNCATED, Status.REFUSED, Status.INPUT_ERROR})
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
    if outcome.error is not None and outcome.status not in _QUOTING:
        told["error"] = outcome.error
    return told


def _event(record: logging.LogRecord) -> dict[str, object]:
    event = record.__dict__.get("event")
    if event is None:
        return {"event": "log", "logger": record.name, "message": record.getMessage()}
    return {"event": event, **record.__dict__["fields"]}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
