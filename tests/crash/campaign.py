"""One job that is killed over and over, and what must hold each time and in the end.

The promises: I1 no row is lost; I2 none comes twice; I3 nothing is paid twice but what was
in flight at a kill; I4 every answer stands on its own row; I5 the output is whole or is not there; I6 the next plain run
finishes; I7 the one after it sends nothing.
"""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.crash.deaths import Circumstances
from tests.crash.ledger import CUT, WRONG, Ledger
from tests.crash.program import PLAIN, Running, Start
from tests.jobs import Ended, JobFolder, answer

KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Doubt:
    """A request that the journal knows to have been out when a run died."""

    text: str
    ask: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a campaign came to, once `Campaign.finish` found every promise kept."""

    kills: int
    rows: int
    charges: int
    twice: int
    """Charges beyond the first for the same question."""
    doubts: int
    """Requests in doubt at the kills, each counted once."""
    logged: int
    """In log.jsonl: doubts that were sent again."""
    summed: int
    """In the summaries: `possible_double_charges`, each of its own run and of those killed since the last one."""

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.rows} rows, 0 lost, 0 doubled; {self.charges} charges, {self.twice} paid twice, "
            f"{self.doubts} in doubt at a kill; told: {self.logged} in the log, {self.summed} in summaries"
        )


class Campaign:
    def __init__(self, path: Path, texts: Sequence[str], ledger: Ledger, start: Start, **changes: Any) -> None:
        self.job = JobFolder(path, texts, ledger.url, **changes)
        self.texts = texts
        self.ledger = ledger
        self.kills = 0
        self.output = path / self.job.config["output"]["path"]
        self.starter = start
        self._doubts: set[Doubt] = set()
        self._summary = ""
        """The last one seen."""
        self._summed = 0

    @property
    def folder(self) -> Path:
        return self.job.path

    def start(self, *, circumstances: Circumstances = PLAIN, gate: Path | None = None) -> Running:
        return self.starter(self.folder, "--json", circumstances=circumstances, gate=gate)

    def run(self, circumstances: Circumstances = PLAIN) -> Ended:
        return self.ended(self.start(circumstances=circumstances))

    def ended(self, running: Running) -> Ended:
        """Waits for a run, and looks at what it leaves."""
        ended = running.wait()
        self.kills += ended.code == KILLED
        summary = self.folder / "runs/job/summary.json"
        if summary.exists() and (written := summary.read_text()) != self._summary:
            self._summary = written
            self._summed += json.loads(written)["possible_double_charges"]
        self.look()
        return ended

    def look(self) -> set[Doubt]:
        """What must hold after a run that ended in any way; the doubts that are new."""
        if self.output.exists():
            self.check_output()
        doubts = {
            Doubt(self.texts[position], ask, attempt)
            for position, ask, attempt in in_doubt(self.folder / "runs/job/journal.db")
        }
        fresh = doubts - self._doubts
        # What was cut is in doubt, too, while it waits to be sent again, and then holds no place.
        in_flight = [doubt for doubt in fresh if CUT not in doubt.text]
        assert len(in_flight) <= self.most_in_flight(), "more in doubt than may be in flight"
        self._doubts |= doubts
        return fresh

    def most_in_flight(self) -> int:
        return int(self.job.config["call"]["concurrency"])

    def finish(self, *, again: bool = True) -> Figures:
        """Runs plainly to the end, and once more, unless that is left out to save time; every promise is checked."""
        last = self.run()
        assert last.code == 0, last.err
        self.check_output()
        if again:
            before = self.ledger.requests
            second = self.run()
            assert (second.code, second.summary["requests"]) == (0, 0), second.err
            assert self.ledger.requests == before
        assert [path.name for path in self.output.parent.iterdir() if path.name.endswith(".partial")] == []
        return self.figures()

    def check_output(self) -> None:
        """I1, I2 and I4 of a published table."""
        rows = pq.read_table(self.output).to_pylist()
        assert [row["id"] for row in rows] == [f"r{number}" for number in range(len(self.texts))]
        charges = self.ledger.charges
        for row, text in zip(rows, self.texts, strict=True):
            assert row["text"] == text
            assert {"label": row["label"], "length": row["length"]} == json.loads(answer(text)), row
            assert charges[int(row["_message_id"].removeprefix("msg_"))].text == text, "the reply to another document"
            asks = 2 if WRONG in text else 1
            assert (row["_asks"], row["_input_tokens"]) == (asks, 0 if row["_reused"] else asks * self.ledger.usage[0]), row
        paid = [text for row, text in zip(rows, self.texts, strict=True) if not row["_reused"]]
        assert sorted(paid) == sorted(set(self.texts)), "copies of a row are paid for by one of them"

    def allowed(self) -> Counter[tuple[str, int]]:
        """(document, ask) → how often it may have been paid for again."""
        return Counter((doubt.text, doubt.ask) for doubt in self._doubts) + self.ledger.cut()

    def logged(self) -> Counter[str]:
        """Document → how often the log says that it may be paid again."""
        logged: Counter[str] = Counter()
        for key, times in told(self.folder / "runs/job/log.jsonl").items():
            logged[self.texts[int(key.removeprefix("r"))]] += times
        return logged

    def figures(self) -> Figures:
        """I3: whatever was charged again was in doubt at a kill, or its reply was cut by the server; and the log told of it."""
        charged = self.ledger.charged()
        allowed = self.allowed()
        journal = self.folder / "runs/job/journal.db"
        replies = read(journal, "reply", "SELECT count(*) FROM reply")[0][0]
        assert replies == len(charged), "every reply is recorded once, and none was thrown away"
        for asked, times in charged.items():
            assert times <= 1 + allowed[asked], f"{asked} was paid {times} times; in doubt: {allowed[asked]}"
        logged = self.logged()
        twice: Counter[str] = Counter()
        for (text, _), times in charged.items():
            twice[text] += times - 1
        for text, times in twice.items():
            assert times <= logged[text], f"{text} was paid {times} times too often; the log tells of {logged[text]}"
        assert twice.total() <= self._summed, "more was paid twice than the summaries tell of"
        return Figures(
            self.kills,
            len(self.texts),
            len(self.ledger.charges),
            twice.total(),
            len(self._doubts),
            logged.total(),
            self._summed,
        )


def in_doubt(journal: Path) -> list[tuple[int, int, int]]:
    """(position, ask, attempts) of the requests that were out when the last run ended, with nothing known of them."""
    return read(journal, "open", "SELECT position, ask, attempts FROM open WHERE out = 1")


def read(journal: Path, table: str, statement: str) -> list[Any]:
    """From a copy: looking must not recover for the program what it has to recover itself. Empty where there is no such
    table yet."""
    with tempfile.TemporaryDirectory() as name:
        for path in journal.parent.glob(f"{journal.name}*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, name)
        with closing(sqlite3.connect(Path(name) / journal.name)) as copy:
            if copy.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is None:
                return []
            return copy.execute(statement).fetchall()


def told(log: Path) -> Counter[str]:
    """Row key → how often the log says that it may be paid again."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return Counter(line["key"] for line in lines if line["event"] == "in_doubt")
