"""`pipeline cancel`: end the batches of a run that are at the service, or give one up that the service has lost."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pipeline.call.asking import Asking
from pipeline.call.caller import BatchServer, Broken
from pipeline.call.classify import Classifier, broken
from pipeline.call.parcel import candidates
from pipeline.call.retry import Patience
from pipeline.commands.connecting import endpoint
from pipeline.commands.wiring import Loaded, loaded, work
from pipeline.errors import BatchUnknown, ServiceDown, UsageError
from pipeline.events import Event
from pipeline.job.work import Work
from pipeline.records import Parcel
from pipeline.show.text import count
from pipeline.write.journal import Journal
from pipeline.write.lock import locked
from pipeline.write.parcels import Parcels

ENDED = (200, 400, 409)
"""Statuses after which a batch has ended, or will: some say that it had by itself."""


def cancel(config: Path, overrides: Sequence[str]) -> str:
    """What was ended, in words. ComeBackLater where a run holds the folder; what the service refuses is raised as in a run."""
    return _done(config, overrides, _ended)


def forget(config: Path, overrides: Sequence[str], named: str) -> str:
    """Gives up the batch of this id, or this number of ours where its id is not known; what that means, in words.

    UsageError where nothing of that name is out, or where the service still knows it, and so nothing is lost.
    """

    async def forgotten(made: Loaded, done: Work, parcels: Parcels) -> str:
        out = parcels.out()
        parcel = next((one for one in out if named in (one.batch_id, one.nonce)), None)
        if parcel is None:
            names = ", ".join(one.batch_id or one.nonce for one in out) or "nothing"
            raise UsageError(f"--forget {named}: no batch of that name is out; {names} is", todo="see pipeline status CONFIG")
        with done.connect() as connect:
            server = connect(_unheard)
            try:
                await _refuse_known(server, done, parcel, parcels.taken())
            finally:
                await server.close()
        await parcels.collected(parcel)
        number = count(parcel.requests)
        again = "ends them as in_doubt (run.in_doubt: hold)" if done.terms.hold else "sends them again"
        return (
            f"{named}: forgotten. Its {number} requests may have been paid, and their replies are lost\n"
            f"`pipeline run` {again}, and counts those that are sent again in possible_double_charges"
        )

    return _done(config, overrides, forgotten)


def _done(config: Path, overrides: Sequence[str], act: Callable[[Loaded, Work, Parcels], Awaitable[str]]) -> str:
    made = loaded(config, [*overrides, "run.engine=local"])  # no cluster is needed for it
    folder = made.folder
    if not folder.journal.is_file():
        return _nothing(made)
    done = work(made, endpoint(made.job, os.environ))

    async def acted(parcels: Parcels) -> str:
        return await act(made, done, parcels)

    with (
        locked(folder.lock, f"the run folder {folder.path}", made.job.name, wait=False, say=_nobody),
        Journal(folder.journal) as journal,
    ):
        return asyncio.run(acted(Parcels(journal)))


async def _ended(made: Loaded, done: Work, parcels: Parcels) -> str:
    out = parcels.out()
    if not out:
        return _nothing(made)
    named = [parcel for parcel in out if parcel.batch_id is not None]
    with done.connect() as connect:
        server = connect(_unheard)
        try:
            for parcel in named:
                await _end(server, done, parcel)
        finally:
            await server.close()
    told = [f"{parcel.batch_id}: asked to end, {count(parcel.requests)} requests" for parcel in named]
    lost = len(out) - len(named)
    if lost:
        told.append(f"{lost} more may be there: `pipeline run` finds out, and would collect it")
    return "\n".join([*told, "`pipeline run` collects what was done of them, which is paid, and sends the rest again"])


async def _end(server: BatchServer, done: Work, parcel: Parcel) -> None:
    answer = await server.cancel_batch(parcel.batch_id or "")
    if isinstance(answer, Broken):
        verdict = broken(answer)
    elif answer.status == 404:
        raise BatchUnknown(
            f"the service does not know {parcel.batch_id} (HTTP 404)",
            todo=f"use the key that sent it, of the same workspace; if it was deleted: pipeline cancel CONFIG --forget "
            f"{parcel.batch_id}",
        )
    elif answer.status in ENDED:
        return
    else:
        verdict = Classifier(done.limits.longest_wait_s).failed(answer)
    raise (verdict.stop or ServiceDown)(f"{parcel.batch_id} could not be ended: {verdict.error}")


async def _refuse_known(server: BatchServer, done: Work, parcel: Parcel, taken: set[str]) -> None:
    """Raises UsageError where the service knows it, or may; what keeps it from answering is raised as in a run."""
    classify = Classifier(done.limits.longest_wait_s)
    patience = Patience(done.limits.attempts, done.limits.longest_wait_s, random.random)
    asking = Asking(server, classify, lambda: patience, asyncio.Event(), asyncio.sleep)
    if parcel.batch_id is not None:
        try:
            await asking.told(lambda: server.batch(parcel.batch_id or ""), parcel.batch_id)
        except BatchUnknown:
            return
        found = parcel.batch_id
    else:
        listed = candidates(await asking.listed(parcel) or [], parcel, taken)
        there = [remote for remote in listed if not remote.are_results_gone(time.time())]
        if not there:
            return
        found = f"{there[0].batch_id}, which may be it"
    raise UsageError(
        f"the service knows {found}: nothing is lost",
        todo="pipeline run CONFIG collects it; pipeline cancel CONFIG ends it",
    )


def _nothing(made: Loaded) -> str:
    return f"{made.folder.path} has no batches at the service"


def _nobody(_: str) -> None:
    """Nothing is waited for, so there is nothing to say."""


def _unheard(_: Event) -> None:
    """No worker is started, so none has troubles."""
