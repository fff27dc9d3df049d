"""A job's run, from its lock to its published table.

    lock ─ read keys ─ compare with the last run ─ ask what is not answered yet ─ publish ─ sum up

Everything comes in as values and ports (work.py); nothing is read here from config, environment or command line. The first
three steps are here, asking is in execution.py, the table in published.py.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from pipeline.engine.local import Interrupted
from pipeline.errors import PipelineError, StorageFailed, Terminated
from pipeline.events import Listener, Notice
from pipeline.job.change import PARTS, refuse_change, refuse_loss
from pipeline.job.execution import Execution
from pipeline.job.work import Input, Result, Work
from pipeline.read.fingerprint import fingerprint
from pipeline.read.keys import count
from pipeline.read.trial import tried
from pipeline.records import Status
from pipeline.remote import Remote
from pipeline.write.journal import Journal
from pipeline.write.lock import locked, output_locked

CHECKED = "checked"
"""Journal note: the files whose keys were proven, and their rows."""


def run(
    work: Work,
    *,
    retry: frozenset[Status],
    accept_change: bool,
    wait: bool = False,
    detach: bool = False,
    opening: Sequence[str] = (),
    tell: Listener,
    tick: Callable[[], None],
) -> Result:
    """Starts, resumes, or brings up to date. `wait`: for another run that holds the lock, instead of raising ComeBackLater.
    `opening`: sentences to tell once the lock is held. `detach`: does not wait for batches, but raises ComeBackLater while any
    is out.

    Raises PipelineError where it cannot begin. Once it has begun there is a Result with a summary, whatever happens: with
    the error that ended it, or with exit code 130 or 143 where a signal did; nothing is published then.
    """
    work.folder.create()
    job = work.folder.path.name

    def say(sentence: str) -> None:
        tell(Notice(sentence))

    # Always in this order, and never two folders or two outputs: so nobody waits in a circle.
    with (
        locked(work.folder.lock, f"the run folder {work.folder.path}", job, wait=wait, say=say),
        output_locked(work.output, job, wait=wait, say=say),
    ):
        started_at = time.time()
        for sentence in opening:
            say(sentence)
        if isinstance(work.output, Remote):
            work.output.refuse_missing_store()  # before anything is bought that could not be published
        if not accept_change:
            refuse_loss(work)
        with Journal(work.folder.journal, reserve_bytes=work.reserve_bytes) as journal:
            found = input_of(work, journal)
            if not accept_change:
                refuse_change(work, journal, found.rows)
            same = (work.folder.read_json(work.folder.job) or {}).get(PARTS) == dict(work.parts)
            work.folder.write_json(work.folder.job, work.described)
            execution = Execution(work, journal, found, started_at, tell, tick, same_request=same)
            try:
                return execution.run(retry, detach=detach)
            except PipelineError as error:
                try:
                    summary = execution.write_summary(error.exit_code, error.message.splitlines()[0])
                except StorageFailed:  # a disk that refuses everything: what ended the run is what there is to tell
                    raise error from None
                return Result(summary, {}, (), None, error)
            except (KeyboardInterrupt, Terminated) as stop:  # while no reply was awaited: reading, or publishing
                return execution.interrupted(Interrupted(stop.signal if isinstance(stop, Terminated) else signal.SIGINT))


def input_of(work: Work, journal: Journal) -> Input:
    """The input as it is, its keys proven; not read again while the files are what they were."""
    seen = fingerprint(work.source.files)
    # Also how it is read: another delimiter finds other keys in the same file.
    state = json.dumps([seen.as_json(), work.key, work.needs, work.limit, asdict(work.source.told)])
    noted = journal.noted(CHECKED)
    if noted is not None:
        checked = json.loads(noted)
        if checked["state"] == state:
            return Input(seen, checked["rows"])
    tried(work.source.files, limit=work.limit)
    totals = count(work.source, work.key, work.needs)
    journal.note(CHECKED, json.dumps({"state": state, "rows": totals}))
    return Input(seen, totals)
