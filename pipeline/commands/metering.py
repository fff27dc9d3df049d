"""`run.metrics_file`: written at the end of every run, whatever came of it."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import StorageFailed
from pipeline.measure.metrics import MARK, metrics, succeeded_at
from pipeline.measure.summary import Summary
from pipeline.show.text import plain
from pipeline.write.rundir import replace

READABLE = 0o644
"""The collector is another user. The file holds figures and the job's name, nothing of documents."""


def file_metrics(path: Path, name: str, summary: Summary, *, began: bool) -> str | None:
    """Puts the file in its place, whole; None, or why it could not be, in a sentence: a run does not fail over its metrics.

    A file that is none of ours stays as it is.
    """
    try:
        old = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
    except OSError as error:
        return f"run.metrics_file: {plain(str(path), 4096)} cannot be read: {error.strerror}"
    if old and not old.startswith(MARK):
        return f"run.metrics_file: {plain(str(path), 4096)} was not written by this program and stays as it is"
    text = metrics(name, summary, began=began, last_success=succeeded_at(old, name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, text.encode(), READABLE)
    except (OSError, StorageFailed) as error:
        return f"run.metrics_file: {plain(str(error), 4096)}"
    return None
