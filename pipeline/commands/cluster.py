"""A run whose requests are sent by the nodes of a Ray cluster (`run.engine: ray`): all else of it is as it is without."""

from __future__ import annotations

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


@contextmanager
def looked_at(job: Job, environment: Mapping[str, str], access: Access) -> Iterator[tuple[Cluster, str]]:
    """The cluster, joined, and what a person should know of it. Raises what `unfit` says of its nodes."""
    with joined(address(job, environment)) as cluster:
        machines = [machine for machine in cluster.machines if machine.cpus >= 1]
        error = unfit(cluster.look(node.facts, machines), node.facts(), access)
        if error is not None:
            raise error
        yield (
            cluster,
            f"Ray {cluster.version} at {cluster.address}: {_counted(machines)}, {most(job, access, machines)} workers",
        )


@contextmanager
def spread(job: Job, environment: Mapping[str, str], access: Access) -> Iterator[Callable[[Listener], BatchServer]]:
    """What makes the transport of a run, inside the event loop."""
    with looked_at(job, environment, access) as (cluster, words):
        machines = cluster.machines

        def transport(tell: Listener) -> BatchServer:
            from pipeline.call.client import Client  # the SDK takes 1.2 s of CPU to import

            tell(Notice(words))
            own = Client.of(access)
            crew = Crew(most(job, access, machines))
            start = lambda: _Link(cluster.actor(node.Node), access)  # noqa: E731
            return Split(Senders(crew, start, own, tell, job.run.longest_wait_s), own)

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
    """Why machines cannot send for this run, all of them at once; None: they can. Those that say nothing are not fit."""
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
