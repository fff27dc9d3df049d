"""The composition root: a config file and the environment in, everything that a run needs out.

Only this room reads config files, the environment and the command line; what it makes are values and ports.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from importlib import resources
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import __version__
from pipeline.call.caller import Transport
from pipeline.call.form import Form, form
from pipeline.call.online import Limits
from pipeline.call.wire import Shape, shape
from pipeline.check.answer import Judge
from pipeline.commands.embedded import SMALL_MODEL, served
from pipeline.config.parse import canonical, parse
from pipeline.errors import ConfigInvalid
from pipeline.job import Work
from pipeline.measure.price import Prices
from pipeline.read.source import Source, open_source
from pipeline.read.union import require
from pipeline.records import JSON, Constant, Reply
from pipeline.render.prompt import prompt
from pipeline.render.template import Example, Templates, compiled, constant
from pipeline.schema.arrow import fields
from pipeline.schema.load import Schema, load
from pipeline.settings import File, Job
from pipeline.write.rundir import RunFolder
from pipeline.write.table import check_target
from pipeline.write.table_columns import Columns

API = "https://api.anthropic.com"
CONCURRENCY = 32
"""In flight where `call.concurrency` is auto."""
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
    needs: tuple[str, ...]
    folder: RunFolder

    @property
    def local(self) -> bool:
        return self.job.call.base_url == "local"


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
        shape=shape(fixed, chosen),
        prices=shipped_prices(),
        source=source,
        columns=columns,
        needs=needs,
        folder=RunFolder(Path(job.run.folder), job.name),
    )


def work(made: Loaded, base_url: str | None) -> Work:
    """What a run takes. `base_url` None: where the settings and the environment say."""
    job = made.job
    url = base_url or endpoint(job, os.environ)
    concurrency = job.call.concurrency
    if concurrency == "auto":
        concurrency = CONCURRENCY_SMALL_MODEL if made.local and served(job.model.name) == SMALL_MODEL else CONCURRENCY
    return Work(
        source=made.source,
        key=job.input.key,
        needs=made.needs,
        prompt=partial(prompt, templates=made.templates, constant=made.constant),
        shape=made.shape,
        judge=Judge(made.schema, job.check.repair).judge,
        price=price(made),
        enums=made.schema.enums(),
        columns=made.columns,
        output=Path(job.output.path),
        folder=made.folder,
        described=described(made),
        parts=parts(made),
        transport=transport(url, job.call.timeout_s, concurrency, os.environ),
        limits=Limits(concurrency, job.call.attempts, job.run.longest_wait_s),
        asks=job.check.asks,
        max_failed=job.run.max_failed,
        drain_s=job.run.drain_s,
    )


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
    """Where requests go. ConfigInvalid for plain HTTP to any other machine: documents and key would travel in the open."""
    url = job.call.base_url or environment.get("ANTHROPIC_BASE_URL") or API
    said_by = "call.base_url" if job.call.base_url else "ANTHROPIC_BASE_URL"
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and loopback(url)):
        return url
    raise ConfigInvalid(f"{said_by}: {url!r} must be https; plain http is taken only for this machine (127.0.0.1, localhost)")


def loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def transport(url: str, timeout_s: float, connections: int, environment: Mapping[str, str]) -> Callable[[], Transport]:
    """Makes the client inside the event loop. A server on this machine needs no key, and never gets a real one unasked."""
    keys = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
    api_key = "local" if loopback(url) and not any(environment.get(name) for name in keys) else None

    def client() -> Transport:
        from pipeline.call.client import Client  # the SDK takes 1.2 s of CPU to import: only for those who call

        return Client(base_url=url, api_key=api_key, timeout_s=timeout_s, connections=connections)

    return client


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
    }
    dumped = {name: orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for name, value in values.items()}
    return {name: blake2b(text, digest_size=16).hexdigest() for name, text in dumped.items()}


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
