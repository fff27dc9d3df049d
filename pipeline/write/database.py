"""The journal's file: its tables, what its records do to them, and how it is opened. What that means is told in journal.py."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import orjson

from pipeline.errors import StorageFailed
from pipeline.records import Outcome, Status, Usage
from pipeline.write.glance import KEEP
from pipeline.write.long_rows import TABLE

VERSION = 2
WITH_BATCHES = 3
"""Of a journal that knows of a batch. A program that cannot read of batches must not take what is in one for unsent."""

Statement: TypeAlias = "tuple[str, Mapping[str, object] | tuple[object, ...]]"

TABLES = (
    """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open (
    position INTEGER NOT NULL, ask INTEGER NOT NULL, key BLOB NOT NULL,
    attempts INTEGER NOT NULL, out INTEGER NOT NULL, reply INTEGER, worst_usd REAL,
    PRIMARY KEY (position, ask)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS paid (
    reply INTEGER PRIMARY KEY, key BLOB NOT NULL, usd REAL, priced INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS doubt (usd REAL NOT NULL);
CREATE TABLE IF NOT EXISTS reply (
    id INTEGER PRIMARY KEY, position INTEGER NOT NULL, ask INTEGER NOT NULL,
    request_id TEXT, latency_s REAL NOT NULL, at REAL NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS outcome (
    position INTEGER PRIMARY KEY, key BLOB, status TEXT NOT NULL, error TEXT, answer TEXT, repairs TEXT NOT NULL,
    asks INTEGER NOT NULL, attempts INTEGER NOT NULL, reused INTEGER NOT NULL, model TEXT, stop_reason TEXT,
    message_id TEXT, request_id TEXT, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cache_write_5m_tokens INTEGER NOT NULL, cache_write_1h_tokens INTEGER NOT NULL,
    thinking_tokens INTEGER NOT NULL, cost_usd REAL, latency_s REAL, answered_at REAL, raw TEXT
);
CREATE TABLE IF NOT EXISTS parcel (
    number INTEGER PRIMARY KEY, nonce TEXT NOT NULL, requests INTEGER NOT NULL, size INTEGER NOT NULL, digest BLOB NOT NULL,
    after REAL NOT NULL, batch TEXT, created_at REAL, state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS enclosed (
    position INTEGER NOT NULL, ask INTEGER NOT NULL, parcel INTEGER NOT NULL, key BLOB NOT NULL, attempts INTEGER NOT NULL,
    worst_usd REAL, result TEXT, reply INTEGER, error BLOB, told INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (position, ask, parcel)
) WITHOUT ROWID;
"""
    + TABLE
)
FROM_1 = """
BEGIN IMMEDIATE;
ALTER TABLE open ADD COLUMN worst_usd REAL;
ALTER TABLE paid ADD COLUMN usd REAL;
ALTER TABLE paid ADD COLUMN priced INTEGER NOT NULL DEFAULT 1;
UPDATE meta SET value = '2' WHERE name = 'version';
COMMIT;
"""
"""Takes over a journal of version 1. What it bought was bought without a budget, and counts in none."""
UNPRICED = "CREATE INDEX IF NOT EXISTS unpriced ON paid (reply) WHERE priced = 0"
RECORDS = """
PRAGMA temp_store = MEMORY;
CREATE TEMP VIEW sent AS SELECT 0 AS position, 0 AS ask, 0 AS key, 0 AS worst_usd;
CREATE TEMP TRIGGER sending INSTEAD OF INSERT ON sent BEGIN
    INSERT INTO doubt SELECT worst_usd FROM open WHERE position = NEW.position AND out = 1 AND worst_usd > 0 AND ask = NEW.ask;
    INSERT INTO open VALUES (NEW.position, NEW.ask, NEW.key, 1, 1, NULL, NEW.worst_usd)
    ON CONFLICT DO UPDATE SET
        attempts = iif(key = NEW.key, attempts, 0) + 1, key = NEW.key, out = 1, reply = NULL, worst_usd = NEW.worst_usd;
END;
CREATE TEMP VIEW replied AS
SELECT 0 AS id, 0 AS position, 0 AS ask, 0 AS key, 0 AS request_id, 0 AS latency_s, 0 AS at, 0 AS body;
CREATE TEMP TRIGGER replying INSTEAD OF INSERT ON replied BEGIN
    INSERT INTO paid
    VALUES (NEW.id, NEW.key, (SELECT worst_usd FROM open WHERE position = NEW.position AND ask = NEW.ask), 0);
    INSERT INTO reply VALUES (NEW.id, NEW.position, NEW.ask, NEW.request_id, NEW.latency_s, NEW.at, NEW.body);
    UPDATE open SET out = 0, reply = NEW.id WHERE position = NEW.position AND ask = NEW.ask;
END;
CREATE TEMP VIEW closed AS SELECT 0 AS position;
CREATE TEMP TRIGGER closing INSTEAD OF INSERT ON closed BEGIN
    INSERT INTO doubt SELECT worst_usd FROM open WHERE position = NEW.position AND out = 1 AND worst_usd > 0;
    DELETE FROM open WHERE position = NEW.position;
    DELETE FROM enclosed WHERE position = NEW.position AND result IS NOT NULL;
END;
"""
"""A record is one statement, and these make of it what it means: each statement lets go of the interpreter's lock and takes it
back from the event loop (5 a row instead of 10: 64 µs of CPU a row instead of 75, measured 2026-11-26). What was out when its
row is asked again or closed goes to `doubt`. Keys stand in a table of their own, `paid`: reading them all must not read the
replies."""
SENT = "INSERT INTO sent VALUES (?, ?, ?, ?)"
REPLIED = "INSERT INTO replied VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
PRICED = """
UPDATE paid SET usd = :usd, priced = 1
WHERE reply = (SELECT reply FROM open WHERE position = :position AND ask = :ask)
"""
UNPAID = "UPDATE open SET out = 0 WHERE position = :position AND ask = :ask"
WHOSE = "SELECT key FROM paid WHERE reply = ?"
REPLY = "SELECT position, body, request_id, nullif(latency_s, 0.0), at FROM reply WHERE id = ?"
"""Of a reply in a batch, stands 0 for a time that nobody tells."""
DOUBTED = "INSERT INTO meta VALUES ('doubts', '1') ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + 1"
CLOSED = "INSERT INTO closed VALUES (?)"
"""What of the row is still in a batch stays: its reply will be filed, whoever can use it then."""
DROPPED = "DELETE FROM open WHERE position = :position AND out = 0"
DONE_WITH = """
DELETE FROM enclosed WHERE result IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.position = enclosed.position AND status = 'in_doubt')
"""
"""What came of a row in doubt stays, so that whoever asks it again knows that it may have been paid."""
ALL_TOLD = "UPDATE enclosed SET told = 1 WHERE result IS NOT NULL"
ENDED = "INSERT OR REPLACE INTO outcome VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"


def connected(path: Path) -> sqlite3.Connection:
    """The database at the path, made or brought to this version where need be. StorageFailed where it cannot be opened."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        with ExitStack() as unless_whole:
            connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            unless_whole.callback(connection.close)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(TABLES)
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (str(VERSION),))
            version = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()[0]
            if version == "1":
                connection.executescript(FROM_1)
                version = str(VERSION)
            connection.execute(UNPRICED)
            unless_whole.pop_all()
    except (sqlite3.Error, OSError) as error:
        raise StorageFailed(
            f"the journal {path} cannot be opened: {error}",
            todo=KEEP,
        ) from error
    if version not in (str(VERSION), str(WITH_BATCHES)):
        connection.close()
        told = f"the journal {path} is of version {version}, this program reads {WITH_BATCHES}"
        raise StorageFailed(told, todo="use its version")
    return connection


def outcome_of(row: tuple[object, ...]) -> Outcome:
    """Of a row of the table `outcome`."""
    (position, _key, status, error, answer, repairs, asks, attempts, reused, model, stop_reason, message_id, request_id,
     input_tokens, output_tokens, read, write_5m, write_1h, thinking, cost_usd, latency_s, answered_at, raw) = row  # fmt: skip
    return Outcome(
        position, Status(status), error, answer, tuple(orjson.loads(repairs)), asks, attempts, bool(reused), model,  # type: ignore[arg-type]
        stop_reason, message_id, request_id, Usage(input_tokens, output_tokens, read, write_5m, write_1h, thinking),  # type: ignore[arg-type]
        cost_usd, latency_s, answered_at, raw,  # type: ignore[arg-type]
    )  # fmt: skip
