"""`python -m tests.prepared FOLDER --rows 10000000`: a job of many rows, as a run leaves it that is killed near its end.

What a run of hours would have written is written at once, into the journal's own tables. Only the request keys are random: a
resume compares none of rows that are done, and real ones would take ten minutes for 10^7 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import time
from contextlib import chdir, closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.commands.connecting import endpoint
from pipeline.commands.wiring import loaded, work
from pipeline.job.execution import Execution
from pipeline.job.run import input_of
from pipeline.job.work import Work
from pipeline.write.glance import FRONTIER, ROWS
from pipeline.write.journal import Journal

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["label"],
    "additionalProperties": False,
}
ANSWER = '{"label":"positive"}'
AT_A_TIME = 100_000
MODEL = "claude-haiku-5-5"
BODY = {
    "id": "msg_%d",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": ANSWER}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 60, "output_tokens": 8},
}
TEXTS = {"body": json.dumps(BODY), "answer": ANSWER, "model": MODEL}
IDS = "SELECT :first UNION ALL SELECT id + 1 FROM ids WHERE id < :last"
KEY = "id, randomblob(16), 0.0001, 1"
REPLY = "id, id - 1, 1, 'req_' || id, 0.5, 1.79e9, CAST(printf(:body, id) AS BLOB)"
OUTCOME = """id - 1, (SELECT key FROM paid WHERE reply = id), 'ok', NULL, :answer, '[]', 1, 1, 0, :model, 'end_turn',
    'msg_' || id, 'req_' || id, 60, 8, 0, 0, 0, 0, 0.0001, 0.5, 1.79e9, NULL"""


def corpus(folder: Path, number: int, url: str) -> Path:
    """A config over so many rows in Parquet; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(folder / "rows.parquet", schema) as writer:
        for start in range(0, number, AT_A_TIME):
            ids = list(range(start, min(start + AT_A_TIME, number)))
            writer.write_table(pa.table({"id": ids, "text": [f"Review number {each}: it does what it says." for each in ids]}))
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    config = {
        "name": "large",
        "input": {"path": "rows.parquet", "key": "id"},
        "schema": "schema.json",
        "prompt": {"system": "Label it.", "user": "{{ text }}"},
        "model": {"name": MODEL, "max_tokens": 64},
        "call": {"base_url": url, "concurrency": 64},
        "output": {"path": "out.parquet"},
    }
    (folder / "job.yaml").write_text(json.dumps(config))
    return folder / "job.yaml"


def killed(config: Path, left: int) -> None:
    """The run folder of that job as a run leaves it that is killed when all but the last `left` rows are done."""
    with chdir(config.parent):
        made = loaded(Path(config.name), [])
        job = work(made, endpoint(made.job, os.environ))
        job.folder.create()
        with Journal(job.folder.journal) as journal:
            found = input_of(job, journal)
            job.folder.write_json(job.folder.job, job.described)
            Execution(job, journal, found, time.time(), lambda event: None, lambda: None).begin()
            journal.note(ROWS, json.dumps(found.rows))
        _answer(job, sum(found.rows) - left)
        with Journal(job.folder.journal) as journal:  # seals the index, as a run does while it goes on
            journal.note(FRONTIER, str(sum(found.rows) - left))


def _answer(job: Work, number: int) -> None:
    """The first so many rows have a reply and an outcome."""
    with closing(sqlite3.connect(job.folder.journal, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")
        for first in range(1, number + 1, AT_A_TIME):
            database.execute("BEGIN")
            for table, columns in (("paid", KEY), ("reply", REPLY), ("outcome", OUTCOME)):
                insert = f"INSERT INTO {table} WITH RECURSIVE ids(id) AS ({IDS}) SELECT {columns} FROM ids"  # noqa: S608 ours
                database.execute(insert, {"first": first, "last": min(first + AT_A_TIME - 1, number), **TEXTS})
            database.execute("COMMIT")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--left", type=int, default=1_000)
    parser.add_argument("--url", default="http://127.0.0.1:9", help="of the server that will be asked")
    options = parser.parse_args()
    killed(corpus(options.folder, options.rows, options.url), options.left)


if __name__ == "__main__":
    main()
