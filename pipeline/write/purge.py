"""Forgetting what was answered: the journal, and what may quote it, leave the run folder.

Whole files are removed, not rows: SQLite keeps deleted rows in free pages and in its write-ahead log, and the run's own
promises hang on a journal that is whole. As with any removed file, a disk may keep the blocks until it uses them again.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.errors import StorageFailed
from pipeline.records import Status
from pipeline.write.rundir import RunFolder

PURGED_AT = "purged_at"
"""Key of job.json: until the next run, when its replies were forgotten."""
PURGED = "purged"
"""Key of job.json beside it: what they were, in words."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a journal holds."""

    replies: int
    answered: int
    """Rows that have an answer."""
    cost_usd: float
    """What the outcomes that stand have cost, as far as prices are known."""


def stored(journal: Path) -> Stored:
    """Raises StorageFailed where the journal cannot be read, because it is damaged or was never made whole."""
    answered = [status.value for status in Status if status.answered]
    holes = ", ".join("?" * len(answered))
    try:
        with closing(sqlite3.connect(f"file:{quote(str(journal))}?mode=ro", uri=True, timeout=10)) as connection:
            (replies,) = connection.execute("SELECT count(*) FROM reply").fetchone()
            (cost_usd,) = connection.execute("SELECT coalesce(sum(cost_usd), 0) FROM outcome").fetchone()
            select = f"SELECT count(*) FROM outcome WHERE status IN ({holes})"  # noqa: S608 (question marks only)
            (rows,) = connection.execute(select, answered).fetchone()
    except sqlite3.Error as error:
        raise StorageFailed(f"the journal {journal} cannot be read: {error}") from error
    return Stored(replies, rows, cost_usd)


def remembering(folder: RunFolder) -> list[Path]:
    """The files that hold answers, or may quote documents: the journal first, then what lies beside it, logs and report."""
    beside = sorted(path for path in folder.path.glob(f"{folder.journal.name}?*") if path.is_file())
    logs = sorted(path for path in folder.path.glob(f"{folder.log.name}*") if path.is_file())
    keys = sorted((folder.path / "keys").glob("*"))
    batches = sorted(folder.batches.glob("*"))
    found = [folder.journal, *beside, *keys, *batches, *logs, folder.report]
    return [path for path in found if path.is_file()]


def forget(folder: RunFolder, now: str, paid: str | None) -> list[Path]:
    """Removes those files; gives their paths. Call it under the folder's lock.

    `paid`: what was paid for among it, in words; None where nothing was. That a run would buy it again is noted first, for
    the next run to refuse. `now` is for people, ISO 8601.

    Where it is cut short, calling it again finishes it: a journal without its write-ahead log would be an older journal, so
    the journal goes first, and SQLite drops a log that has no database.
    """
    paths = remembering(folder)
    described = folder.read_json(folder.job) or {}
    described.pop("parts", None)  # of what was paid for: to miss it would be the next run's reason to stop
    told = {} if paid is None else {PURGED_AT: now, PURGED: paid}
    folder.write_json(folder.job, {**described, **told})
    try:
        for path in paths:
            path.unlink(missing_ok=True)
        handle = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageFailed(f"{error.filename or folder.path} cannot be removed: {error.strerror}") from error
    return paths
