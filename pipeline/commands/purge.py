"""`pipeline purge`: forget stored replies, keep the output."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipeline.commands.wiring import read_job
from pipeline.errors import ComeBackLater, StorageFailed
from pipeline.remote import place
from pipeline.show.text import count, dollars, plain
from pipeline.write.glance import glance
from pipeline.write.lock import locked
from pipeline.write.purge import forget, remembering, stored
from pipeline.write.rundir import RunFolder


def purge(config: Path, overrides: list[str], agreed: Callable[[str], bool], *, abandons: bool = False) -> str | None:
    """What was forgotten, in words; None where whoever was asked did not agree.

    `agreed` is given what would be lost and what buying it again would cost, while the run folder is locked: figures cannot
    change meanwhile. Raises ComeBackLater where a run holds it, or batches are out: `abandons` forgets them, too.
    """
    job = read_job(config, overrides)
    folder = RunFolder(Path(job.run.folder), job.name)
    output = place(job.output.path)
    if not remembering(folder):
        return f"{plain(str(folder.path), 4096)} holds no replies: nothing to forget"
    published = output.is_file() and _finished(folder)
    with locked(folder.lock, f"the run folder {folder.path}", job.name, wait=False, say=_nobody):
        paid = _paid(folder)
        held = paid or "nothing that was paid for"
        batches = _out(folder)
        if batches is not None and not abandons:
            raise ComeBackLater(
                f"{plain(str(folder.path), 4096)} waits for {batches}: what they bring is paid, and would be lost",
                todo="collect them first (pipeline run), or end them (pipeline cancel) and collect what was done; "
                "--abandon-batches forgets them, too",
            )
        if batches is not None:
            held += f", and the names of {batches}, whose replies are paid and then lost"
        table = plain(str(output), 4096)
        kept = f"{table} stays." if published else f"No finished run has put them into {table}: they are nowhere else."
        again = "A run would then ask about every row again and pay for it; the next one does so only with --accept-change."
        if paid is None:
            again = "The next `pipeline run` starts anew."
        if not agreed(f"{plain(str(folder.path), 4096)} holds {held}.\n{kept}\n{again}"):
            return None
        removed = forget(folder, datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), paid)
    names = ", ".join(plain(path.name, 255) for path in removed if not path.name.startswith(f"{folder.journal.name}-"))
    return f"forgotten: {held}\nremoved from {plain(str(folder.path), 4096)}: {names}\n{kept}\n{again}"


def _paid(folder: RunFolder) -> str | None:
    """What was paid for and lies there, in words; None where nothing was."""
    if not folder.journal.is_file():
        return None
    try:
        held = stored(folder.journal)
    except StorageFailed as error:
        return f"a journal that tells nothing ({plain(error.message, 1000)})"
    if not held.replies:
        return None
    replies = f"{count(held.replies)} paid {'reply' if held.replies == 1 else 'replies'}"
    return f"{replies} for {count(held.answered)} answered rows, which cost {dollars(held.cost_usd)}"


def _out(folder: RunFolder) -> str | None:
    """What is at the service, in words; None where nothing is, as far as the journal can still tell."""
    try:
        seen = glance(folder.journal)
    except StorageFailed:
        return None
    if seen is None or not seen.batches:
        return None
    requests = count(sum(batch.requests for batch in seen.batches))
    return f"{count(len(seen.batches))} {'batch' if len(seen.batches) == 1 else 'batches'} with {requests} requests"


def _finished(folder: RunFolder) -> bool:
    """Whether the last run published its table."""
    last = folder.read_json(folder.summary)
    return last is not None and last.get("exit_code") in (0, 1) and not folder.abandoned()


def _nobody(sentence: str) -> None:
    """Only who waits for a lock has something to say."""
