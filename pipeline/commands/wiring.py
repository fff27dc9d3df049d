"""The composition root: a config file and the environment in, everything that a run needs out.

Only this room reads config files, the environment and the command line; what it makes are values and ports.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from urllib.parse import urlsplit

from pipeline import __version__
from pipeline.call.caller import Server
from pipeline.call.descriptors import room_for
from pipeline.call.form import API_VERSION, Form, cached, form
from pipeline.call.online import Limits
from pipeline.call.wire import Shape, shape
from pipeline.check.answer import Judge
from pipeline.commands.embedded import REHEARSAL, SMALL_MODEL, running, served
from pipeline.commands.files import schema as schema_in
from pipeline.commands.files import text as _text
from pipeline.commands.prices import shipped_prices
from pipeline.commands.rehearsal import read_script
from pipeline.config.parse import canonical, parse
from pipeline.errors import ConfigInvalid
from pipeline.job.work import REQUEST, Work
from pipeline.measure.price import Prices
from pipeline.read.source import Source, open_source
from pipeline.read.union import require
from pipeline.records import JSON, Constant, Reply
from pipeline.render.prompt import prompt
from pipeline.render.template import Example, Templates, compiled, constant
from pipeline.schema.arrow import fields
from pipeline.schema.load import Schema
from pipeline.settings import File, Job, is_endpoint, is_loopback
from pipeline.write.rundir import RunFolder
from pipeline.write.table import check_target
from pipeline.write.table_columns import Columns

LOCAL = "local"
API = "https://api.anthropic.com"
CONCURRENCY = 32
"""In flight where `call.concurrency` is auto."""
BYTES_A_TOKEN = 8
SMALLEST_RESERVE = 1 << 20
"""Written twice, to the log of the database and to itself."""
CONCURRENCY_SMALL_MODEL = 4
"""The small model answers two at a time; two more wait at its door."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config with all the files it names, read and checked against each other."""

    job: Job
    schema: Schema
    templates: Templates
    constant: Constant
    form: Form
    shape: Shape
    prices: Prices
    source: Source
    columns: Columns
    limit: int | None
    needs: tuple[str, ...]
    folder: RunFolder

    @property
    def local(self) -> bool:
        return self.job.call.base_url == LOCAL


def read_job(config: Path, overrides: Sequence[str]) -> Job:
    """The settings in a config file. ConfigInvalid with every fault at once."""
    return parse(_text(config, "the config"), str(config), overrides)


def loaded(config: Path, overrides: Sequence[str], limit: int | None = None) -> Loaded:
    """Everything but the calls. ConfigInvalid or InputUnreadable says what is wrong."""
    job = read_job(config, overrides)
    _check_rehearsal(job)
    schema = schema_in(Path(job.schema))
    system = None if job.prompt.system is None else _template(job.prompt.system, "prompt.system")
    templates = compiled(system, _template(job.prompt.user, "prompt.user"))
    chosen = form(job.model, schema, timeout_s=job.call.timeout_s)
    if chosen.way == "prompt" and not templates.states_schema:
        raise ConfigInvalid("prompt.system does not show {{ schema }}, and this model is asked for JSON by the prompt alone")
    source = open_source(job.input.path, limit=limit)
    needs = _needs(job, templates, source)
    examples = _examples(job.prompt.examples, templates, Judge(schema, "off")) if job.prompt.examples else []
    fixed = constant(templates, schema, examples)
    chosen = cached(chosen, fixed)
    columns = Columns.plan(source.schema, job.output.keep, fields(schema), job.output.prefix)
    check_target(Path(job.output.path), columns)
    return Loaded(
        job=job,
        schema=schema,
        templates=templates,
        constant=fixed,
        form=chosen,
        shape=shape(fixed, chosen, asked(job, os.environ)),
        prices=shipped_prices(),
        source=source,
        columns=columns,
        limit=limit,
        needs=needs,
        folder=RunFolder(Path(job.run.folder), job.name),
    )


def work(made: Loaded, url: str) -> Work:
    """What a run takes; `url` is its `endpoint`."""
    job = made.job
    concurrency = job.call.concurrency
    if concurrency == "auto":
        concurrency = CONCURRENCY_SMALL_MODEL if made.local and served(job.model.name) == SMALL_MODEL else CONCURRENCY
    concurrency = _within_open_files(concurrency, asked_for=job.call.concurrency != "auto")
    return Work(
        source=made.source,
        key=job.input.key,
        limit=made.limit,
        needs=made.needs,
        prompt=partial(prompt, templates=made.templates, constant=made.constant),
        shape=made.shape,
        judge=Judge(made.schema, job.check.repair).judge,
        judged_by=f"{made.schema.digest} {job.check.repair}",
        price=price(made),
        enums=made.schema.enums(),
        columns=made.columns,
        output=Path(job.output.path),
        folder=made.folder,
        described=described(made),
        parts=parts(made),
        connect=partial(connection, job, url, concurrency, os.environ, made.form),
        limits=Limits(concurrency, job.call.attempts, job.run.longest_wait_s, hold=job.run.in_doubt == "hold"),
        reserve_bytes=max(SMALLEST_RESERVE, 2 * concurrency * (BYTES_A_TOKEN * job.model.max_tokens + 4096)),
        asks=job.check.asks,
        max_failed=job.run.max_failed,
        drain_s=job.run.drain_s,
    )


def _within_open_files(concurrency: int, *, asked_for: bool) -> int:
    """As many requests at once as this process may have files open for. ConfigInvalid where that is fewer than asked for."""
    room = room_for(concurrency)
    if asked_for and room < concurrency:
        raise ConfigInvalid(
            f"call.concurrency: {concurrency:,} connections need more open files than this process may have; it has room for "
            f"{room:,}",
            todo=f"set call.concurrency to {room:,} or less, or raise the hard limit of open files (ulimit -Hn)",
        )
    return room


def price(made: Loaded) -> Callable[[Reply], float | None]:
    name = made.job.model.name
    return lambda reply: made.prices.cost_usd(name, reply.usage, tier=reply.tier, geo=reply.geo)


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
    key = environment.get("ANTHROPIC_API_KEY") or environment.get("ANTHROPIC_AUTH_TOKEN")
    digest = f"key {blake2b(key.encode(), digest_size=4).hexdigest()}" if key else "no key in the environment"
    return f"{parts.scheme}://{parts.netloc} ({digest})"


def asked(job: Job, environment: Mapping[str, str]) -> str:
    """Who answers, for the request key: answers of a rehearsal never stand for those of the API."""
    url = endpoint(job, environment)
    if url == LOCAL:
        return f"local:{served(job.model.name)}"
    return "loopback" if is_loopback(urlsplit(url).hostname or "") else "api"


@contextmanager
def connection(
    job: Job, url: str, connections: int, environment: Mapping[str, str], chosen: Form
) -> Iterator[Callable[[], Server]]:
    """Starts the embedded server where it is asked for; gives what makes the client inside the event loop.

    A server on this machine needs no key. The embedded one never gets a real one; another gets it only if it is set.
    """
    here = url == LOCAL or is_loopback(urlsplit(url).hostname or "")
    keyed = url != LOCAL and any(environment.get(name) for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"))
    with running(job.model.name, job.call.rehearsal) if url == LOCAL else nullcontext(url) as base_url:

        def client() -> Server:
            from pipeline.call.client import Client  # the SDK takes 1.2 s of CPU to import: only for those who call

            return Client(
                base_url=base_url,
                api_key="local" if here and not keyed else None,
                timeout_s=job.call.timeout_s,
                connections=connections,
                proxied=not here,
                streamed_above=chosen.streamed_above,
                api_version=chosen.api_version,
            )

        yield client


def parts(made: Loaded) -> dict[str, str]:
    """Config key → digest of what it brings into every request."""
    job = made.job
    values: dict[str, object] = {
        "prompt.system": made.constant.system,
        "prompt.user": _template(job.prompt.user, "prompt.user"),
        "prompt.examples": [dataclasses.asdict(turn) for turn in made.constant.examples],
        "schema": made.form.schema,
        "model.name": made.form.model,
        "model.max_tokens": made.form.max_tokens,
        "model.thinking": made.form.thinking,
        "model.effort": made.form.effort,
        "model.format": made.form.way,
        "call.base_url": asked(job, os.environ),
        REQUEST: made.shape.base.hex(),
    }
    # Only where there is something: run folders that are older than these keys have no such part.
    if made.form.stop_sequences:
        values["model.stop_sequences"] = made.form.stop_sequences
    if made.form.extra:
        values["model.extra"] = {**made.form.extra}
    if made.form.api_version != API_VERSION:
        values["model.api_version"] = made.form.api_version
    dumped = {name: json.dumps(value, sort_keys=True) for name, value in values.items()}
    return {name: blake2b(text.encode(), digest_size=16).hexdigest() for name, text in dumped.items()}


def described(made: Loaded) -> dict[str, JSON]:
    """What was run, for job.json: config, digests, versions, input."""
    return {
        "config": canonical(made.job),
        "schema_digest": made.schema.digest,
        "parts": {**parts(made)},
        "input": [str(file) for file in made.source.files],
        "version": __version__,
    }


def _check_rehearsal(job: Job) -> None:
    """The embedded server would tell the same, but only once the run has begun."""
    if job.call.rehearsal is None:
        return
    if job.call.base_url != LOCAL or served(job.model.name) != REHEARSAL:
        raise ConfigInvalid(
            "call.rehearsal needs call.base_url: local and a model that is rehearsed",
            todo="leave call.rehearsal out, or set call.base_url=local and the model that the job is meant for",
        )
    read_script(Path(job.call.rehearsal), "call.rehearsal")


def _needs(job: Job, templates: Templates, source: Source) -> tuple[str, ...]:
    """Columns that a prompt takes, checked against the input and `input.columns`."""
    there = source.schema
    if job.input.key is not None:
        require(there, [job.input.key], "input.key")
    if job.input.columns is not None:
        require(there, job.input.columns, "input.columns")
        hidden = sorted(templates.columns - set(job.input.columns))
        if hidden:
            raise ConfigInvalid(f"prompt.user takes {', '.join(hidden)}, which input.columns does not list")
    require(there, sorted(templates.columns), "prompt.user")
    return tuple(name for name in there.names if name in templates.columns)


def _examples(path: str, templates: Templates, judge: Judge) -> list[Example]:
    """The few-shot examples, each answer valid under the schema. ConfigInvalid with every bad line."""
    found: list[Example] = []
    faults: list[str] = []
    for number, line in enumerate(_text(Path(path), "prompt.examples").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            read = json.loads(line)
        except ValueError as error:
            faults.append(f"{path}:{number}: not JSON: {error}")
            continue
        if not isinstance(read, dict) or not isinstance(read.get("input"), dict) or not isinstance(read.get("answer"), dict):
            faults.append(f'{path}:{number}: an example is {{"input": {{…columns…}}, "answer": {{…}}}}')
            continue
        missing = sorted(templates.columns - read["input"].keys())
        if missing:
            faults.append(f"{path}:{number}: input lacks {', '.join(missing)}, which prompt.user takes")
        faults += [f"{path}:{number}: answer: {fault}" for fault in judge.faults(read["answer"])]
        found.append(Example(read["input"], read["answer"]))
    if faults:
        raise ConfigInvalid("the few-shot examples cannot be used", faults=faults)
    return found


def _template(value: str | File, where: str) -> str:
    return _text(Path(value.file), where) if isinstance(value, File) else value
