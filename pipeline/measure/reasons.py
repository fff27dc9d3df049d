"""Why rows have no answer, gathered under what their errors have in common; and what a run's log tells of trouble."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.records import JSON, Status

GROUPS = 60
"""Different reasons; the rows of later ones are counted together for each status."""
FIRST = 20
"""Rows of each reason that are kept by name."""
REASON_CHARACTERS = 160
NOTICES = 40
_VARYING = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|[0-9a-f]{12,}|(?<!HTTP )(?<!\d)\d[\d,.]*")


@dataclass(frozen=True, slots=True)
class Failed:
    key: str
    error: str


@dataclass(frozen=True, slots=True)
class Reason:
    status: Status
    reason: str
    """What the errors have in common: quoted values and numbers are left out (…)."""
    rows: int
    first: tuple[Failed, ...]


class Reasons:
    def __init__(self) -> None:
        self._rows: Counter[tuple[Status, str]] = Counter()
        self._first: dict[tuple[Status, str], list[Failed]] = {}

    def add(self, status: Status, error: str | None, key: str) -> None:
        """A row without an answer; `key` is what a person calls it."""
        place = (status, common(error or ""))
        if place not in self._first and len(self._first) >= GROUPS:
            place = (status, "other reasons")
        self._rows[place] += 1
        kept = self._first.setdefault(place, [])
        if len(kept) < FIRST:
            kept.append(Failed(key, error or ""))

    def results(self) -> list[Reason]:
        """The most frequent first."""
        return [Reason(*place, rows, tuple(self._first[place])) for place, rows in self._rows.most_common()]


def common(error: str) -> str:
    """The first line of an error, without what differs from row to row."""
    line = error.split("\n", 1)[0][: 4 * REASON_CHARACTERS]
    told = _VARYING.sub("…", line)
    return told if len(told) <= REASON_CHARACTERS else told[: REASON_CHARACTERS - 1] + "…"


@dataclass(slots=True)
class Trouble:
    """What log.jsonl tells, of all runs since it was begun."""

    retries: Counter[str] = field(default_factory=Counter)
    """Reason → attempts that were made again."""
    waited_s: float = 0.0
    """Of all those attempts together."""
    stops: list[tuple[str, str]] = field(default_factory=list)
    notices: list[tuple[str, str]] = field(default_factory=list)
    """Time, sentence: the last ones."""
    in_doubt: int = 0
    cut: bool = False
    """Whether a run had more to tell than the log takes."""

    def add(self, line: Mapping[str, JSON]) -> None:
        """One line of the log."""
        at, event = str(line.get("time", "")), line.get("event")
        match event:
            case "retrying":
                reason = common(str(line.get("error", "")))
                self.retries[reason if reason in self.retries or len(self.retries) < GROUPS else "other reasons"] += 1
                wait_s = line.get("wait_s")
                self.waited_s += wait_s if isinstance(wait_s, (int, float)) else 0.0
            case "in_doubt":
                self.in_doubt += 1
            case "stopping":
                self.stops = [*self.stops[1 - NOTICES :], (at, str(line.get("why", "")))]
            case "notice":
                self.notices = [*self.notices[1 - NOTICES :], (at, str(line.get("text", "")))]
            case "left_out":
                self.cut = True
