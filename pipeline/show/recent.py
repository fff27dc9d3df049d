"""The last lines of log.jsonl as a person reads them: what happened, how often, and when last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.records import JSON
from pipeline.show.text import count, plain

SHOWN = 5
TEXT = 300
"""Characters of a line."""


@dataclass(slots=True)
class _Kind:
    """Lines that say the same."""

    text: str
    first: str
    last: str
    """Times of day."""
    row: str
    """That the last one is about; empty where it is about none."""
    times: int = 1


def recent(lines: Iterable[str], most: int = SHOWN) -> list[str]:
    """One line for all that say the same but for the row; the latest last, at most so many, each safe to print.

    Lines that are none of ours, cut ones among them, are passed over.
    """
    kinds: dict[str, _Kind] = {}
    for raw in lines:
        line = _parsed(raw)
        if line is None:
            continue
        text, row, at = _text(line), str(line.get("key", "")), str(line.get("time", ""))[11:19]
        found = kinds.pop(text, None)
        kinds[text] = _Kind(text, at, at, row) if found is None else _Kind(text, found.first, at, row, found.times + 1)
    return [_told(kind) for kind in list(kinds.values())[-most:]]


def _parsed(raw: str) -> dict[str, JSON] | None:
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and "event" in line else None


def _told(kind: _Kind) -> str:
    row = f"row {kind.row}" if kind.row else ""
    if kind.times > 1:
        often = f"{count(kind.times)} times since {kind.first}"
        row = f" ({often}, last {row})" if row else f" ({often})"
    elif row:
        row = f" ({row})"
    return plain(f"{kind.last} {kind.text}", TEXT) + plain(row, TEXT)


def _text(line: Mapping[str, JSON]) -> str:
    """What happened, without the row that it happened to."""
    match line.get("event"):
        case "planned":
            return f"began, {line.get('rows')} rows"
        case "publishing":
            return f"writing {line.get('path')}"
        case "notice" | "left_out":
            return str(line.get("text"))
        case "stopping":
            return f"stopping: {line.get('why')}"
        case "retrying":
            return f"to be sent again: {line.get('error')}"
        case "in_doubt":
            return "sent again, and perhaps paid twice"
        case "row_unanswered":
            error = line.get("error")
            return f"no answer: {line.get('status')}" + (f": {error}" if error else "")
        case event:
            told = line.get("message") or line.get("text") or ""
            return f"{line.get('level')}: {told or event}"
