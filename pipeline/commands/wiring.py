"""The composition root: a config file and the environment in, everything that a run needs out.

Only this room reads config files, the environment and the command line; what it makes are values and ports.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import __version__
from pipeline.call.caller import Transport
from pipeline.call.form import Form, form
from pipeline.call.online import Limits
from pipeline.call.wire import Shape, shape
from pipeline.check.answer import Judge
from pipeline.commands.embedded import SMALL_MODEL, running, served
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
from pipeline.schema.load import Schema, load
from pipeline.settings import File, Job, is_endpoint, is_loopback
from pipeline.write.rundir import RunFolder
from pipeline.write.table import check_target
from pipeline.write.table_columns import Columns

LOCAL = "local"
API = "https://api.anthropic.com"
CONCURRENCY = 1000
"""The most in flight where `call.concurrency` is auto; below it, what the service takes is learned."""
OTHER_FILES = 256
"""Descriptors for everything but connections."""
MOST_RESERVE = 256 << 20
"""The disk held back for replies in flight decides how many may be, where `call.concurrency` is auto."""
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
    schema = load(_text(Path(job.schema), "schema"), job.schema)
    system = None if job.prompt.system is None else _template(job.prompt.system, "prompt.system")
    templates = compiled(system, _template(job.prompt.user, "prompt.user"))
    chosen = form(job.model, schema)
    if chosen.way == "prompt" and not templates.states_schema:
        raise ConfigInvalid("prompt.system does not show {{ schema }}, and this model is asked for JSON by the prompt alone")
    source = open_source(job.input.path, limit=limit)
    needs = _needs(job, templates, source)
    examples = _examples(job.prompt.examples, templates, Judge(schema, "off")) if job.prompt.examples else []
    fixed = constant(templates, schema, examples)
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
        small = made.local and served(job.model.name) == SMALL_MODEL
        concurrency = CONCURRENCY_SMALL_MODEL if small else _most_at_once(job.model.max_tokens)
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
        connect=partial(connection, job, url, concurrency, os.environ),
        limits=Limits(
            concurrency,
            job.call.attempts,
            job.run.longest_wait_s,
            hold=job.run.in_doubt == "hold",
            requests_per_minute=job.call.requests_per_minute,
            input_tokens_per_minute=job.call.input_tokens_per_minute,
            output_tokens_per_minute=job.call.output_tokens_per_minute,
            max_alike=job.run.max_alike,
        ),
        reserve_bytes=max(SMALLEST_RESERVE, concurrency * _reserve_bytes(job.model.max_tokens)),
        asks=job.check.asks,
        max_failed=job.run.max_failed,
        drain_s=job.run.drain_s,
    )


def _most_at_once(max_tokens: int) -> int:
    """How many requests this machine can have out at once: connections are files, and replies need room on disk."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = CONCURRENCY if files == resource.RLIM_INFINITY else files - OTHER_FILES
    return max(CONCURRENCY_SMALL_MODEL, min(CONCURRENCY, connections, MOST_RESERVE // _reserve_bytes(max_tokens)))


def _reserve_bytes(max_tokens: int) -> int:
    """Disk for one reply at its longest."""
    return 2 * (BYTES_A_TOKEN * max_tokens + 4096)


def price(made: Loaded) -> Callable[[Reply], float | None]:
    name = made.job.model.name
    return lambda reply: made.prices.cost_usd(name, reply.usage, tier=reply.tier, geo=reply.geo)


def shipped_prices() -> Prices:
    """configs/prices.yaml of the checkout, or the copy inside an installed package."""
    beside = Path(__file__).parents[2] / "configs" / "prices.yaml"
    text = beside.read_text("utf-8") if beside.is_file() else resources.files("pipeline").joinpath("prices.yaml").read_text()
    try:
        read = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ConfigInvalid(f"{beside} is no YAML: {error}") from error
    return Prices.parse(read, str(beside))


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


def asked(job: Job, environment: Mapping[str, str]) -> str:
    """Who answers, for the request key: answers of a rehearsal never stand for those of the API."""
    url = endpoint(job, environment)
    if url == LOCAL:
        return f"local:{served(job.model.name)}"
    return "loopback" if is_loopback(urlsplit(url).hostname or "") else "api"


@contextmanager
def connection(job: Job, url: str, connections: int, environment: Mapping[str, str]) -> Iterator[Callable[[], Transport]]:
    """Starts the embedded server where it is asked for; gives what makes the client inside the event loop.

    A server on this machine needs no key. The embedded one never gets a real one; another gets it only if it is set.
    """
    here = url == LOCAL or is_loopback(urlsplit(url).hostname or "")
    keyed = url != LOCAL and any(environment.get(name) for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"))
    with running(job.model.name) if url == LOCAL else nullcontext(url) as base_url:

        def client() -> Transport:
            from pipeline.call.client import Client  # the SDK takes 1.2 s of CPU to import: only for those who call

            return Client(
                base_url=base_url,
                api_key="local" if here and not keyed else None,
                timeout_s=job.call.timeout_s,
                connections=connections,
                proxied=not here,
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


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigInvalid(f"{what}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{what}: {path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
