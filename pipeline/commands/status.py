"""`pipeline status`: where a run is, live or not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from pipeline.commands.connecting import BATCH_S
from pipeline.commands.wiring import read_job
from pipeline.records import JSON
from pipeline.settings import Job
from pipeline.show.pace import Left, until
from pipeline.show.recent import recent
from pipeline.show.standing import Budget, Last, Standing, status_text
from pipeline.show.text import count, duration, moment
from pipeline.write.glance import Glance, Out, Recent, glance
from pipeline.write.purge import PURGED_AT
from pipeline.write.rundir import RunFolder

TAIL_BYTES = 65_536
"""Of log.jsonl: some hundred lines."""
SILENT_S = 60.0
"""Without a reply for longer, a rate would be one of the past."""


def status(config: Path, overrides: list[str], as_json: bool) -> str:
    """The run's standing as text, or as one JSON object. Reads only; a live run is not disturbed."""
    job = read_job(config, overrides)
    folder = RunFolder(Path(job.run.folder), job.name)
    seen = glance(folder.journal)
    last = folder.read_json(folder.summary)
    holder = folder.holder()
    rows = seen.rows if seen is not None and seen.rows is not None else None
    ended = seen.counts if seen is not None else {}
    since = _since(folder, last, holder is not None)
    out = seen.batches if seen is not None else ()
    recently = seen.recent if seen is not None and holder is not None else None
    silent_s = None if out else _silent_s(recently, since if holder is not None else None, time.time())
    if recently is not None and (silent_s is not None or recently.last_at < (since or 0.0)):
        recently = None  # a rate of the past
    standing = Standing(
        name=job.name,
        live=holder is not None,
        since=since,
        rows=rows,
        statuses={str(s): n for s, n in ended.items()},
        cost_usd=seen.cost_usd if seen is not None else 0.0,
        budget=_budget(job, seen),
        rows_per_second=None if recently is None else recently.per_second,
        left=None if recently is None or out else _left(recently, rows, sum(ended.values())),
        silent_s=silent_s,
        last=None if holder is not None else _last(last),
        batches=tuple(_batches(out, time.time())),
        reason=None if holder is not None else _ended(folder, last),
        log=tuple(recent(_tail(folder.log))) if holder is not None else (),
    )
    return json.dumps(_json(standing, holder, out, last)) if as_json else status_text(standing)


def _json(standing: Standing, holder: str | None, out: Sequence[Out], last: dict[str, JSON] | None) -> dict[str, object]:
    """Times are Unix times; `live` is who holds the lock."""
    left, budget = standing.left, standing.budget
    return {
        "name": standing.name,
        "live": holder,
        "since": standing.since,
        "rows": standing.rows,
        "ended": standing.statuses,
        "cost_usd": standing.cost_usd,
        "budget": None if budget is None else asdict(budget),
        "rows_per_second": standing.rows_per_second,
        "silent_s": standing.silent_s,
        "left_s": None if left is None else {"low": left.low, "high": left.high},
        "batches": [asdict(batch) for batch in out],
        "reason": standing.reason,
        "recent": standing.log,
        "last": last,
    }


def _silent_s(recently: Recent | None, since: float | None, now: float) -> float | None:
    """How long a run that began at `since` has had no reply, where that is longer than it should be; None: it does not run."""
    if since is None:
        return None
    silent_s = now - max(since, recently.last_at if recently is not None else 0.0)
    return silent_s if silent_s >= SILENT_S else None


def _left(recently: Recent, rows: int | None, ended: int) -> Left | None:
    """By the replies of the last minute; what is asked again takes longer."""
    if rows is None or not recently.per_second or ended >= rows:
        return None
    width_s = (recently.last_at - recently.first_at) / len(recently.slices)
    rates = [number / width_s for number in recently.slices]
    return until(rates, width_s, recently.per_second, rows - ended, recently.longest_s)


def _last(last: dict[str, JSON] | None) -> Last | None:
    match last:
        case {"requests": int(requests), "seconds": int() | float() as seconds, "rows_per_second": int() | float() as rate}:
            return Last(requests, seconds, rate)
    return None


def _batches(out: Sequence[Out], now: float) -> Iterator[str]:
    for batch in out:
        named = batch.batch_id or f"{batch.nonce} (perhaps taken by the service, which the next run finds out)"
        yield f"{named}: {count(batch.requests)} requests, sent {moment(batch.at)}, {duration(now - batch.at)} ago"
    late = next((batch for batch in out if now - batch.at > BATCH_S), None)
    if late is not None:
        yield (
            f"a batch ends within a day: `pipeline run` collects it; one that the service has lost: `pipeline cancel CONFIG "
            f"--forget {late.batch_id or late.nonce}`"
        )


def _budget(job: Job, seen: Glance | None) -> Budget | None:
    if job.run.budget_usd is None or seen is None or seen.spent is None:
        return None
    spent = seen.spent
    return Budget(spent.paid_usd + spent.doubtful_usd, spent.in_batches_usd, job.run.budget_usd)


def _ended(folder: RunFolder, last: dict[str, JSON] | None) -> str | None:
    """Why the last execution ended, as far as it could still write it down."""
    described = folder.read_json(folder.job)
    if described is not None and PURGED_AT in described:
        return f"its stored replies were forgotten at {described[PURGED_AT]}; a run would pay again: --accept-change"
    if folder.abandoned():
        return "it was killed, or its machine went down; run it again to go on"
    return str(last["reason"]) if last is not None else None


def _since(folder: RunFolder, last: dict[str, JSON] | None, live: bool) -> float | None:
    if live or (last is None and folder.lock.exists()):
        return folder.lock.stat().st_mtime
    ended = last.get("ended_at") if last is not None else None
    return datetime.fromisoformat(ended).timestamp() if isinstance(ended, str) else None


def _tail(log: Path) -> list[str]:
    """The last lines, the first of them perhaps cut."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
