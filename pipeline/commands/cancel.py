"""`pipeline cancel`: end the batches of a run that are at the service."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pipeline.call.caller import Broken
from pipeline.call.classify import Classifier, broken
from pipeline.commands.wiring import endpoint, loaded, work
from pipeline.errors import ServiceDown
from pipeline.job.work import Work
from pipeline.records import Parcel
from pipeline.write.journal import Journal
from pipeline.write.lock import locked
from pipeline.write.parcels import Parcels


def cancel(config: Path, overrides: list[str]) -> str:
    """What was ended, in words. ComeBackLater where a run holds the folder; what the service refuses is raised as in a run."""
    made = loaded(config, [*overrides, "run.engine=local"])  # no cluster is needed for it
    folder = made.folder
    nothing = f"{folder.path} has no batches at the service"
    if not folder.journal.is_file():
        return nothing
    done = work(made, endpoint(made.job, os.environ))
    with (
        locked(folder.lock, f"the run folder {folder.path}", made.job.name, wait=False, say=_nobody),
        Journal(folder.journal) as journal,
    ):
        out = Parcels(journal).out()
        named = [parcel for parcel in out if parcel.batch_id is not None]
        if named:
            asyncio.run(_ended(done, named))
    if not out:
        return nothing
    told = [f"{parcel.batch_id}: asked to end, {parcel.requests:,} requests" for parcel in named]
    lost = len(out) - len(named)
    if lost:
        told.append(f"{lost} more may be there: `pipeline run` finds out, and would collect it")
    return "\n".join([*told, "`pipeline run` collects what was done of them, which is paid, and sends the rest again"])


async def _ended(done: Work, parcels: list[Parcel]) -> None:
    with done.connect() as connect:
        server = connect(lambda _: None)
        try:
            for parcel in parcels:
                answer = await server.cancel_batch(parcel.batch_id or "")
                if isinstance(answer, Broken) or answer.status not in (200, 400, 409):  # these say that it has ended by itself
                    verdict = (
                        broken(answer) if isinstance(answer, Broken) else Classifier(done.limits.longest_wait_s).failed(answer)
                    )
                    raise (verdict.stop or ServiceDown)(f"{parcel.batch_id} could not be ended: {verdict.error}")
        finally:
            await server.close()


def _nobody(_: str) -> None:
    """Nothing is waited for, so there is nothing to say."""
