"""`pipeline status`: where a run is, live or not."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from pipeline.commands.wiring import BATCH_S, read_job
from pipeline.records import JSON
from pipeline.settings import Job
from pipeline.show.standing import Budget, Standing, status_text
from pipeline.show.text import count, moment
from pipeline.write.glance import Glance, Out, glance
from pipeline.write.purge import PURGED_AT
from pipeline.write.rundir import RunFolder

LOG_LINES = 3


def status(config: Path, overrides: list[str], as_json: bool) -> str:
    """The run's standing as text, or as one JSON object. Reads only; a live run is not disturbed."""
    job = read_job(config, overrides)
    folder = RunFolder(Path(job.run.folder), job.name)
    seen = glance(folder.journal)
    last = folder.read_json(folder.summary)
    holder = folder.holder()
    rows = seen.rows if seen is not None and seen.rows is not None else None
    ended = seen.counts if seen is not None else {}
    budget = _budget(job, seen)
    if as_json:
        money = None if budget is None else asdict(budget)
        counts = {str(status): number for status, number in ended.items()}
        out = [asdict(batch) for batch in seen.batches] if seen is not None else []
        told = {"name": job.name, "live": holder, "rows": rows, "ended": counts, "budget": money, "batches": out, "last": last}
        return json.dumps(told)
    return status_text(
        Standing(
            name=job.name,
            live=holder is not None,
            since=_since(folder, last, holder is not None),
            rows=rows,
            statuses={str(s): n for s, n in ended.items()},
            cost_usd=seen.cost_usd if seen is not None else 0.0,
            budget=budget,
            rows_per_second=None if holder is None or seen is None else seen.rows_per_second,
            batches=tuple(_batches(seen.batches, time.time())) if seen is not None else (),
            reason=None if holder is not None else _ended(folder, last),
            log=tuple(_tail(folder.log)) if holder is not None else (),
        )
    )


def _batches(out: Sequence[Out], now: float) -> Iterator[str]:
    for batch in out:
        named = batch.batch_id or f"{batch.nonce} (perhaps taken by the service, which the next run finds out)"
        yield f"{named}: {count(batch.requests)} requests, sent {moment(batch.at)}"
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
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, LOG_LINES)]
    except FileNotFoundError:
        return []
