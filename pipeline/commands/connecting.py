"""Where requests go, who sends them, online or in batches: the config and the environment in, a Transport out.

The key is looked for here and stays in the environment: what is made here says only whether there is one.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Literal
from urllib.parse import urlsplit

from pipeline.call.caller import Access, BatchServer, Counter
from pipeline.call.crew import Crew, useful
from pipeline.call.form import Form
from pipeline.call.split import Split
from pipeline.call.workers import Workers
from pipeline.commands.account import account
from pipeline.commands.cluster import spread
from pipeline.commands.embedded import running, served
from pipeline.errors import ConfigInvalid
from pipeline.events import Listener
from pipeline.settings import Job, is_endpoint, is_loopback, seconds

LOCAL = "local"
API = "https://api.anthropic.com"
BATCH_S = 86_400.0
"""A batch has ended after a day at most (build-with-claude/batch-processing, read 2026-10-08)."""


def mode(job: Job) -> tuple[Literal["online", "batch"], str | None]:
    """How the rows are asked; and why, where that was left to us."""
    if job.call.mode != "auto":
        return job.call.mode, None
    if job.call.deadline is None:
        return "batch", "call.mode is auto: in batches, which cost half; call.deadline names no time by which they must be back"
    if seconds(job.call.deadline) >= BATCH_S:
        return (
            "batch",
            f"call.mode is auto: in batches, which cost half and end within the {job.call.deadline} of call.deadline",
        )
    return "online", f"call.mode is auto: online, since a batch may take a day and call.deadline is {job.call.deadline}"


def endpoint(job: Job, environment: Mapping[str, str]) -> str:
    """Where requests go: `local`, or a URL. ConfigInvalid where ANTHROPIC_BASE_URL is none that is taken."""
    if job.call.base_url is not None:
        return job.call.base_url
    url = environment.get("ANTHROPIC_BASE_URL") or API
    if not is_endpoint(url) or url == LOCAL:
        raise ConfigInvalid(
            "ANTHROPIC_BASE_URL must be an https:// URL without a password, or an http:// URL of this machine",
            todo="mend ANTHROPIC_BASE_URL, or set call.base_url",
        )
    return url


def shown(url: str, environment: Mapping[str, str]) -> str:
    """Where requests go and on whose account, for a person: the host without its path, and a digest of the key, never the key.

    Two runs with the same digest used the same key.
    """
    parts = urlsplit(url)
    key = account(environment)
    return f"{parts.scheme}://{parts.netloc} ({'no key in the environment' if key is None else f'key {key}'})"


def asked(job: Job, environment: Mapping[str, str]) -> str:
    """Who answers, for the request key: answers of a rehearsal never stand for those of the API."""
    url = endpoint(job, environment)
    if url == LOCAL:
        return f"local:{served(job.model.name)}"
    return "loopback" if is_loopback(urlsplit(url).hostname or "") else "api"


@contextmanager
def accessed(job: Job, url: str, connections: int, environment: Mapping[str, str], chosen: Form) -> Iterator[Access]:
    """Starts the embedded server where it is asked for; gives what a client is made of."""
    with running(job.model.name, job.call.rehearsal) if url == LOCAL else nullcontext(url) as base_url:
        yield access(job, url, base_url, connections, environment, chosen)


def access(job: Job, url: str, base_url: str, connections: int, environment: Mapping[str, str], chosen: Form) -> Access:
    """A server on this machine needs no key. The embedded one never gets a real one; another gets it only if it is set."""
    here = url == LOCAL or is_loopback(urlsplit(url).hostname or "")
    keyed = url != LOCAL and account(environment) is not None
    return Access(
        base_url=base_url,
        keyless=here and not keyed,
        timeout_s=job.call.timeout_s,
        connections=connections,
        proxied=not here,
        streamed_above=chosen.streamed_above,
        api_version=chosen.api_version,
    )


@contextmanager
def connection(
    job: Job,
    url: str,
    connections: int,
    environment: Mapping[str, str],
    chosen: Form,
    hear: Callable[[str], None] | None = None,
    workers: tuple[int, int] = (0, 0),
) -> Iterator[Callable[[Listener], BatchServer]]:
    """What makes the transport of a run, inside the event loop. With `hear`, all replies are streamed, by the run itself."""
    # The SDK takes 1.2 s of CPU to import: only for those who call; and before the work begins, which spares the collector its
    # half a million objects (engine/local.py).
    from pipeline.call.client import Client

    with accessed(job, url, connections, environment, chosen) as access:
        if hear is None and spreads(job):
            with spread(job, environment, access) as transport:
                yield transport
            return

        def transport(tell: Listener) -> BatchServer:
            if hear is not None:
                return Client.of(dataclasses.replace(access, streamed_above=0), hear)
            own, (now, when_busy) = Client.of(access), workers
            return Split(Workers(Crew(now), access, own, tell, when_busy=when_busy), own) if any(workers) else own

        yield transport


@contextmanager
def counting(
    job: Job, url: str, connections: int, environment: Mapping[str, str], chosen: Form
) -> Iterator[Callable[[], Counter]]:
    """What makes the counter of tokens, inside the event loop."""
    with accessed(job, url, connections, environment, chosen) as access:

        def counter() -> Counter:
            from pipeline.call.client import Client

            return Client.of(access)

        yield counter


def spreads(job: Job) -> bool:
    """Whether the nodes of a cluster send the requests. Batches leave from here: they are a few requests, however large."""
    return job.run.engine == "ray" and mode(job)[0] == "online"


def workers(job: Job) -> tuple[int, int]:
    """Worker processes that send from the start, and once the run's own process is what it waits for. 0: the run itself sends.

    In batches a few requests carry all; of a cluster its nodes send.
    """
    if mode(job)[0] == "batch" or spreads(job) or job.run.workers == 1:
        return 0, 0
    return (0, useful(os.cpu_count() or 1)) if job.run.workers == "auto" else (job.run.workers, 0)
