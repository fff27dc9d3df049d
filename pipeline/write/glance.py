"""What may be read of a journal, also while a run writes it: how far it is."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from pipeline.errors import StorageFailed
from pipeline.records import FILE_SHIFT, Status

ROWS = "rows"
"""Note: rows of each input file, as JSON."""
SETTLED = "settled"
"""Journal note: the input and request under which all outcomes stand, so that one is done by its position alone. Otherwise each
row's request key decides. It is noted while there is no outcome yet, is void from the beginning of a run under another state,
and noted anew when such a run has seen every row."""
FRONTIER = "frontier"
"""Journal note: a position; while SETTLED holds, and the check is the same, every row before it is done and need not even be
read. A resume of 10^7 rows would else take a minute before it sends anything."""
SPENT_FROM = "spent_from"
"""Note: the last reply that an earlier, finished run had bought. What a budget counts comes after it."""
RECENT = "SELECT at, latency_s FROM reply ORDER BY id DESC LIMIT 5000"
"""By the end of the table: a look at a journal of 10^7 rows must not read them all."""
RECENT_S = 60.0
SLICES = 12
OUT = (
    "SELECT batch, nonce, requests, coalesce(created_at, after) FROM parcel WHERE state IN ('intended', 'open') ORDER BY number"
)
KEEP = "it holds answers that were paid for: do not delete it; mend the disk, or restore it from a backup (docs/cron.md)"


@dataclass(frozen=True, slots=True)
class Spent:
    """The money of all runs since the last one that finished, in USD."""

    paid_usd: float
    """For replies: at their price, or at the worst case where that is not noted yet."""
    doubtful_usd: float
    """The worst case of requests that may have been paid and whose reply is lost, or has not come yet."""
    in_batches_usd: float = 0.0
    """The worst case of what is out in batches, beside that."""


@dataclass(frozen=True, slots=True)
class Out:
    """A batch that is not collected."""

    batch_id: str | None
    """None: it is not known yet whether the service took it."""
    nonce: str
    """Ours, by which it is called while its id is not known."""
    requests: int
    at: float
    """Unix time at which it was sent."""


@dataclass(frozen=True, slots=True)
class Recent:
    """The replies of the minute that ended with the latest one, or the last 5,000 of them; at least one."""

    first_at: float
    last_at: float
    """Unix times."""
    longest_s: float
    """That one of them took."""
    slices: tuple[int, ...]
    """How many came in each of SLICES equal parts of the time between; empty where there is no time between."""

    @classmethod
    def of(cls, replies: Sequence[tuple[float, float]]) -> Self | None:
        """`replies`: when each came and how long it took, the latest first. None where there are none."""
        if not replies:
            return None
        last_at = max(at for at, _ in replies)
        kept = [(at, took_s) for at, took_s in replies if at > last_at - RECENT_S]
        first_at = min(at for at, _ in kept)
        width_s = (last_at - first_at) / SLICES
        counted = Counter(min(SLICES - 1, int((at - first_at) / width_s)) for at, _ in kept) if width_s > 0 else Counter[int]()
        slices = tuple(counted[place] for place in range(SLICES)) if width_s > 0 else ()
        return cls(first_at, last_at, max(took_s for _, took_s in kept), slices)

    @property
    def per_second(self) -> float | None:
        """The first reply began the time and is not of it; None where there are too few to say."""
        number, span_s = sum(self.slices), self.last_at - self.first_at
        return (number - 1) / span_s if number > 1 else None


@dataclass(frozen=True, slots=True)
class Glance:
    """What another process may see of a journal that is being written."""

    counts: Counter[Status]
    """Status → rows that have an outcome."""
    cost_usd: float
    rows: int | None
    """Rows of the input as the last run counted them."""
    spent: Spent | None
    """None in a journal of an earlier version of this program."""
    recent: Recent | None
    """None where no reply has come."""
    batches: tuple[Out, ...] = ()


def glance(path: Path) -> Glance | None:
    """Reads without disturbing a live run; None where there is no journal yet. Raises StorageFailed when it is damaged."""
    if not path.exists() or not path.stat().st_size:
        return None
    with reading(path), closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10)) as connection:
        noted = connection.execute("SELECT value FROM meta WHERE name = ?", (ROWS,)).fetchone()
        rows: list[int] | None = json.loads(noted[0]) if noted else None
        ended, cost_usd = counts(connection, rows or [], _certain(connection))
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(paid)")]
        money = spent(connection) if "usd" in columns else None
        recent = Recent.of(connection.execute(RECENT).fetchall())
        batches = tuple(Out(*row) for row in connection.execute(OUT)) if _has_batches(connection) else ()
    return Glance(ended, cost_usd, None if rows is None else sum(rows), money, recent, batches)


def _has_batches(connection: sqlite3.Connection) -> bool:
    """A journal of an earlier version of this program has none."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'parcel'").fetchone())


def spent(connection: sqlite3.Connection) -> Spent:
    """Reads keys and sums, never replies: 10^7 of them take seconds, and that only where one undertaking has bought so many."""
    (paid_usd,) = connection.execute("SELECT total(usd) FROM paid WHERE reply > ?", (spent_from(connection),)).fetchone()
    (out_usd,) = connection.execute("SELECT total(worst_usd) FROM open WHERE out = 1").fetchone()
    (lost_usd,) = connection.execute("SELECT total(usd) FROM doubt").fetchone()
    if not _has_batches(connection):
        return Spent(paid_usd, out_usd + lost_usd)
    (in_batches_usd,) = connection.execute("SELECT total(worst_usd) FROM enclosed WHERE result IS NULL").fetchone()
    return Spent(paid_usd, out_usd + lost_usd, in_batches_usd)


def spent_from(connection: sqlite3.Connection) -> int:
    noted = connection.execute("SELECT value FROM meta WHERE name = ?", (SPENT_FROM,)).fetchone()
    return int(noted[0]) if noted else 0


def _certain(connection: sqlite3.Connection) -> int | None:
    """The position before which outcomes stand for certain; None: all do."""
    notes = dict(connection.execute("SELECT name, value FROM meta WHERE name IN (?, ?)", (SETTLED, FRONTIER)))
    return int(notes.get(FRONTIER, 0)) if notes.get(SETTLED) == "" else None


def counts(connection: sqlite3.Connection, rows: Sequence[int], before: int | None = None) -> tuple[Counter[Status], float]:
    """Status → outcomes, and their dollars; outcomes of rows that have left the input, or from position `before` on, do not
    count."""
    found: Counter[Status] = Counter()
    cost_usd = 0.0
    statement = "SELECT status, count(*), sum(cost_usd) FROM outcome WHERE position >= ? AND position < ? GROUP BY status"
    for ordinal, number in enumerate(rows):
        first = ordinal << FILE_SHIFT
        after = first + number if before is None else min(first + number, before)
        for status, ended, cost in connection.execute(statement, (first, after)):
            found[Status(status)] += ended
            cost_usd += cost or 0.0
    return found, cost_usd


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """For what is read of a journal, and for what is made of it: a value that none of ours could be is damage, too."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageFailed(f"the journal {path} cannot be read: {error}", todo=KEEP) from error
    except (ValueError, TypeError) as error:
        raise StorageFailed(f"the journal {path} is damaged: {error}", todo=KEEP) from error
