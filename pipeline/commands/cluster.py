"""A run whose requests are sent by the nodes of a Ray cluster (`run.engine: ray`): all else of it is as it is without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.call.caller import Access, BatchServer
from pipeline.call.crew import Crew, enough
from pipeline.call.frames import Begin, framed
from pipeline.call.split import Split
from pipeline.commands import node
from pipeline.commands.node import Facts
from pipeline.engine.ray import AUTO, Actor, Cluster, Machine, joined
from pipeline.engine.senders import Senders, Unfit
from pipeline.errors import AccountRefused, ConfigInvalid, PipelineError
from pipeline.events import Listener, Notice
from pipeline.settings import Job, is_loopback

MOST_WORKERS = 64
"""Where `run.workers` is auto. One sends 500 requests a second at ease, and the run itself is full long before."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A cluster whose nodes were looked at."""

    cluster: Cluster
    workers: int
    """There may be at once."""
    words: str
    """What a person should know of it."""


@contextmanager
def looked_at(job: Job, environment: Mapping[str, str], access: Access) -> Iterator[Joined]:
    """The cluster, joined. Raises what `unfit` says of its nodes; those that are there but do not answer are told."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody else is told of a run
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # where the connection is lost, Ray would start a cluster of its own here
    with joined(address(job, environment)) as cluster:
        machines = [machine for machine in cluster.machines if machine.cpus >= 1]
        answers = cluster.look(node.facts, machines)
        there = {machine: facts for machine, facts in answers.items() if facts is not None}
        error = unfit(there, node.facts(), access)
        if error is not None:
            raise error
        workers = most(job, access, [*there])
        words = f"Ray {cluster.version} at {cluster.address}: {_counted([*there])}, up to {workers} workers"
        if workers < len(there):
            words += " (run.workers: auto takes one a node)"
        silent = [machine.address for machine in machines if machine not in there]
        yield Joined(cluster, workers, words + (f"; no answer from {', '.join(silent)}" if silent else ""))


@contextmanager
def spread(job: Job, environment: Mapping[str, str], access: Access) -> Iterator[Callable[[Listener], BatchServer]]:
    """What makes the transport of a run, inside the event loop."""
    with looked_at(job, environment, access) as found:

        def start() -> _Link:
            return _Link(found.cluster.actor(node.Node), access)

        def transport(tell: Listener) -> BatchServer:
            from pipeline.call.client import Client  # the SDK takes 1.2 s of CPU to import

            tell(Notice(found.words))
            own = Client.of(access)
            return Split(Senders(Crew(found.workers), start, own, tell, job.run.longest_wait_s), own)

        yield transport


def address(job: Job, environment: Mapping[str, str]) -> str:
    return environment.get("RAY_ADDRESS") or AUTO if job.run.ray == AUTO else job.run.ray


def most(job: Job, access: Access, machines: Sequence[Machine]) -> int:
    """How many workers there may be. By itself one a machine, and more where that is fewer than what a run could keep busy."""
    if job.run.workers != "auto":
        return job.run.workers
    cores = int(sum(machine.cpus for machine in machines))
    by_load = enough(access.connections, job.call.requests_per_minute, cores=max(1, cores))
    return max(1, min(MOST_WORKERS, max(by_load, len(machines))))


def unfit(said: Mapping[Machine, Facts | str], here: Facts, access: Access) -> PipelineError | None:
    """Why machines cannot send for this run, all of them at once; None: they can."""
    wrong: list[str] = []
    refused: list[str] = []
    for machine, facts in said.items():
        if isinstance(facts, str):
            wrong.append(f"{machine.address}: {facts}")
            continue
        wrong += [f"{machine.address} ({facts['host']}) {words}" for words in differences(facts, here, access)]
        if (words := account_differs(facts, here, access)) is not None:
            refused.append(f"{machine.address} ({facts['host']}) {words}")
    if wrong:
        return ConfigInvalid(
            "nodes of the cluster cannot send for this run:\n  " + "\n  ".join([*wrong, *refused]),
            todo="install the same version there as here (docs/cluster.md), then run the same command again",
        )
    if refused:
        return AccountRefused(
            "nodes of the cluster would ask on another account:\n  " + "\n  ".join(refused),
            todo="give every node the key of this machine in its environment before Ray starts there (docs/cluster.md)",
        )
    return None


def differences(facts: Facts, here: Facts, access: Access) -> list[str]:
    """What is another there and must not be: versions decide what counts as sent, and so as paid."""
    found = [
        f"has {name} {facts[name]}, here it is {here[name]}" for name in ("pipeline", "anthropic") if facts[name] != here[name]
    ]
    if is_loopback(urlsplit(access.base_url).hostname or "") and facts["host"] != here["host"]:
        found.append(f"cannot reach {access.base_url}, which is a server of this machine")
    return found


def account_differs(facts: Facts, here: Facts, access: Access) -> str | None:
    """Limits and budget are those of one account."""
    if access.keyless or facts["account"] == here["account"]:
        return None
    if facts["account"] is None:
        return "has no key in its environment"
    return f"has another key ({facts['account']}) than this machine ({here['account'] or 'none in the environment'})"


def _counted(machines: Sequence[Machine]) -> str:
    cpus = sum(machine.cpus for machine in machines)
    return f"{len(machines)} {'node' if len(machines) == 1 else 'nodes'} with {cpus:g} CPUs"


@dataclass(frozen=True, slots=True)
class _Link:
    """A Link to one worker."""

    actor: Actor
    access: Access

    async def begin(self) -> None:
        facts, refusal = await self.actor.call("begin", b"".join(framed(Begin(self.access))))
        where = Machine("", facts["host"], 0.0)
        error = unfit({where: facts}, node.facts(), self.access)
        if error is None and refusal is not None:
            error = AccountRefused(f"{facts['host']}: {refusal}")
        if error is not None:
            raise Unfit(error)

    async def take(self, frames: bytes) -> None:
        await self.actor.call("take", frames)

    async def told(self, wait_s: float) -> bytes:
        told: bytes = await self.actor.call("told", wait_s)
        return told

    async def close(self) -> None:
        await self.actor.call("close")

    def kill(self) -> None:
        self.actor.kill()
