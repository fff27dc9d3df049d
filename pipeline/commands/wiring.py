"""The composition root: a config file and the environment in, everything that a run needs out.

Only this room reads config files, the environment and the command line; what it makes are values and ports.
"""

from __future__ import annotations

import codecs
import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

from pipeline import __version__
from pipeline.call.budget import Bound
from pipeline.call.descriptors import room_for
from pipeline.call.form import API_VERSION, Form, cached, grown
from pipeline.call.online import Limits
from pipeline.call.terms import Pace, Terms
from pipeline.call.wire import Shape, shape
from pipeline.check.answer import LADDER, Judge
from pipeline.check.prose import prose
from pipeline.commands.connecting import LOCAL, asked, connection, mode, workers
from pipeline.commands.embedded import REHEARSAL, SMALL_MODEL, served
from pipeline.commands.files import schema as schema_in
from pipeline.commands.files import text
from pipeline.commands.long import FURTHER, Combining, combining_of, fit_of
from pipeline.commands.long import judged_by as combined_by
from pipeline.commands.long import part as long_part
from pipeline.commands.media import media_columns, media_of
from pipeline.commands.prices import prices_file, shipped_prices
from pipeline.commands.prompting import earlier_schemas, examples_of, forms_of, refuse_unstated, template_text, users
from pipeline.commands.rehearsal import read_script
from pipeline.config.parse import canonical, parse
from pipeline.errors import ConfigInvalid
from pipeline.job.work import LONG, PAGES, REQUEST, Work
from pipeline.measure.price import Prices
from pipeline.read.format import Told
from pipeline.read.media import Media
from pipeline.read.source import Source, open_source
from pipeline.read.union import require
from pipeline.records import JSON, Constant, Reply, Row
from pipeline.remote import place
from pipeline.render.constant import constant
from pipeline.render.long import Asked, Fit, fitted
from pipeline.render.prompt import Asks, again, follow, prompt
from pipeline.render.shares import shared
from pipeline.render.template import Templates, compiled, refuse_unknown_replies
from pipeline.schema.arrow import fields
from pipeline.schema.load import Schema
from pipeline.settings import Job, Model
from pipeline.write.rundir import RunFolder
from pipeline.write.table import check_target
from pipeline.write.table_columns import Columns

CONCURRENCY = 1000
"""The most in flight where `call.concurrency` is auto; below it, what the service takes is learned."""
MOST_RESERVE = 256 << 20
"""The disk held back for replies in flight decides how many may be, where `call.concurrency` is auto."""
PACE = Pace()
"""How often batches are asked about."""
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
    earlier: tuple[Schema | None, ...]
    """Of the turns of `prompt.user` before the last; None: free text."""
    templates: Templates
    constant: Constant
    forms: tuple[Form, ...]
    """Of each turn."""
    shape: Shape
    prices: Prices
    source: Source
    columns: Columns
    limit: int | None
    needs: tuple[str, ...]
    media: Media | None
    """None where rows hold texts only."""
    folder: RunFolder
    fit: Fit
    """How much of a row one request holds."""
    combining: Combining | None
    """Of answers to pieces; None where no row is asked about in pieces."""

    @property
    def form(self) -> Form:
        """How the answer is asked for: that of the last turn."""
        return self.forms[-1]

    @property
    def asks(self) -> Asks:
        return Asks(self.job.check.asks, grown(self.form, self.job.check.grow_max_tokens))

    @property
    def prompt(self) -> Callable[[Row], Asked]:
        """Of a row with its media."""
        most_bytes = round(self.job.input.max_row_mb * 1e6)
        whole = partial(prompt, templates=self.templates, constant=self.constant, most_bytes=most_bytes)
        return partial(shared, prompt=partial(fitted, fit=self.fit, prompt=whole))

    def first(self, row: Row) -> Asked:
        """The first question about a row as it was read, as large as it will be sent, though not fit to be sent."""
        return self.prompt(row if self.media is None else self.media.unshrunk().of(row))

    @property
    def local(self) -> bool:
        return self.job.call.base_url == LOCAL


def read_job(config: Path, overrides: Sequence[str]) -> Job:
    """The settings in a config file. ConfigInvalid with every fault at once."""
    return parse(text(config, "the config"), str(config), overrides)


def loaded(config: Path, overrides: Sequence[str], limit: int | None = None) -> Loaded:
    """Everything but the calls. ConfigInvalid or InputUnreadable says what is wrong."""
    job = read_job(config, overrides)
    _check_rehearsal(job)
    schema = schema_in(Path(job.schema))
    earlier = earlier_schemas(job.prompt)
    system = None if job.prompt.system is None else template_text(job.prompt.system, "prompt.system")
    templates = compiled(system, *users(job.prompt))
    refuse_unknown_replies(templates, [None if one is None else one.properties for one in earlier])
    forms = forms_of(_modelled(job), schema, earlier, timeout_s=job.call.timeout_s)
    refuse_unstated(templates, forms[-1], earlier)
    source = open_source(job.input.path, limit=limit, told=told(job))
    needs = _needs(job, templates, source)
    media = media_of(job, source, templates.columns)
    examples = examples_of(job.prompt.examples, templates, Judge(schema, "off")) if job.prompt.examples else []
    fixed = constant(templates, schema, examples, earlier)
    by = asked(job, os.environ)
    combining = combining_of(job, schema, fixed, forms[-1], by)
    forms = tuple(cached(one, fixed) for one in forms)
    fit = fit_of(job, source.schema, needs, fixed, forms[-1], grown(forms[-1], job.check.grow_max_tokens))
    shapes = tuple(shape(fixed, one, by, free=its is None) for one, its in zip(forms, earlier, strict=False))
    further = FURTHER["split" if job.input.pages_per_request else job.prompt.long.do]
    columns = Columns.plan(source.schema, job.output.keep, fields(schema), job.output.prefix, further=further)
    check_target(place(job.output.path), columns)
    prices = shipped_prices()
    _refuse_unpriced(job, prices)
    return Loaded(
        job=job,
        schema=schema,
        earlier=earlier,
        templates=templates,
        constant=fixed,
        forms=forms,
        shape=dataclasses.replace(
            shape(fixed, forms[-1], by, earlier=shapes), combining=None if combining is None else combining.shape
        ),
        prices=prices,
        source=source,
        columns=columns,
        limit=limit,
        needs=needs,
        media=media,
        folder=RunFolder(Path(job.run.folder), job.name),
        fit=fit,
        combining=combining,
    )


def told(job: Job) -> Told:
    """What the config says of its text files. UTF-8 needs no saying, and its reader knows the mark at its head."""
    encoding = job.input.encoding
    if encoding is not None and codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        encoding = None
    return Told(encoding, job.input.delimiter, job.input.types or {})


def work(made: Loaded, url: str, hear: Callable[[str], None] | None = None) -> Work:
    """What a run takes; `url` is its `endpoint`. With `hear`, replies are streamed, and it is told their text as it comes."""
    job = made.job
    at_once = concurrency(made)
    judges = [prose if one is None else Judge(one, job.check.repair).judge for one in (*made.earlier, made.schema)]
    return Work(
        source=made.source,
        key=job.input.key,
        limit=made.limit,
        needs=made.needs,
        media=made.media,
        prompt=made.prompt,
        follow=partial(follow, templates=made.templates),
        again=partial(again, asks=made.asks),
        shape=made.shape,
        judges=judges,
        judged_by=_judged_by(made),
        price=price(made),
        worst_usd=worst_usd(made),
        budget_usd=job.run.budget_usd,
        enums=made.schema.enums(),
        columns=made.columns,
        output=place(job.output.path),
        folder=made.folder,
        described=described(made),
        parts=parts(made),
        connect=partial(connection, job, url, at_once, os.environ, made.form, hear, workers(job)),
        limits=Limits(
            at_once,
            job.call.attempts,
            job.run.longest_wait_s,
            hold=job.run.in_doubt == "hold",
            requests_per_minute=job.call.requests_per_minute,
            input_tokens_per_minute=job.call.input_tokens_per_minute,
            output_tokens_per_minute=job.call.output_tokens_per_minute,
            max_alike=job.run.max_alike,
        ),
        reserve_bytes=max(SMALLEST_RESERVE, at_once * _reserve_bytes(made)),
        max_failed=job.run.max_failed,
        drain_s=job.run.drain_s,
        pace=PACE,
        terms=_terms(made),
        combine=None if made.combining is None else made.combining.combine(made.fit, Judge(made.schema, "off")),
    )


def _modelled(job: Job) -> Model:
    """A batch takes longer than five minutes: the cache of its constant part is kept for an hour."""
    if mode(job)[0] == "online" or job.model.cache == "off":
        return job.model
    return dataclasses.replace(job.model, cache="1h")


def _terms(made: Loaded) -> Terms:
    call = made.job.call
    return Terms(
        share=made.prices.batch,
        size=call.batch_size,
        queue=call.batch_queue,
        after_expiry=call.after_expiry,
        attempts=call.attempts,
        longest_wait_s=made.job.run.longest_wait_s,
        hold=made.job.run.in_doubt == "hold",
        max_alike=made.job.run.max_alike,
        passing=made.local,
        online=mode(made.job)[0] == "online",
    )


def _judged_by(made: Loaded) -> str:
    schemas = [made.schema, *(one for one in made.earlier if one is not None)]
    combined = combined_by(made.job)
    return " ".join(
        [f"ladder {LADDER}", made.job.check.repair, *(schema.digest for schema in schemas), *([combined] if combined else [])]
    )


def concurrency(made: Loaded) -> int:
    """Requests in flight at most: connections are open files, and replies need room on disk."""
    if made.job.call.concurrency != "auto":
        return _within_open_files(made.job.call.concurrency, asked_for=True)
    if made.local and served(made.job.model.name) == SMALL_MODEL:
        return CONCURRENCY_SMALL_MODEL
    by_disk = max(CONCURRENCY_SMALL_MODEL, MOST_RESERVE // _reserve_bytes(made))
    return _within_open_files(min(CONCURRENCY, by_disk), asked_for=False)


def _reserve_bytes(made: Loaded) -> int:
    """Disk for one reply at its longest."""
    return 2 * (BYTES_A_TOKEN * max(made.form.max_tokens, made.asks.grown or 0) + 4096)


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


def worst_usd(made: Loaded) -> Callable[[Mapping[str, JSON]], float | None]:
    """What one request can cost at most, whichever turn it is of."""
    bounds = list(dict.fromkeys(Bound.of(one.fixed, one.messages, one.form.cache) for one in made.shape.each))
    name = made.job.model.name

    def worst(body: Mapping[str, JSON]) -> float | None:
        found = [made.prices.worst_usd(name, bound.usage(body)) for bound in bounds]
        return max((usd for usd in found if usd is not None), default=None)

    return worst


def _refuse_unpriced(job: Job, prices: Prices) -> None:
    if job.run.budget_usd is not None and not prices.known(job.model.name):
        raise ConfigInvalid(
            f"run.budget_usd: {job.model.name} has no price in {prices_file()}, so no budget can be kept",
            todo=f"add the model's price to {prices_file()}, or leave run.budget_usd out",
        )


def sent_by(made: Loaded) -> tuple[str, ...]:
    """Who sends, in a sentence for a person; nothing where it is the run itself."""
    now, when_busy = workers(made.job)
    if now:
        return (f"sent by up to {now} worker processes, {concurrency(made):,} requests at once in all",)
    return (f"sent by up to {when_busy} worker processes once its own CPU is what the run waits for",) if when_busy else ()


def parts(made: Loaded) -> dict[str, str]:
    """Config key → digest of what it brings into every request."""
    job = made.job
    values: dict[str, object] = {
        "prompt.system": made.constant.system,
        "prompt.user": [[user.text for user in made.templates.users], [one.schema for one in made.forms[:-1]]],
        "prompt.examples": [dataclasses.asdict(turn) for turn in made.constant.examples],
        "schema": made.form.schema,
        "model.name": made.form.model,
        "model.max_tokens": made.form.max_tokens,
        "model.thinking": made.form.thinking,
        "model.effort": made.form.effort,
        "model.format": made.form.way,
        "call.base_url": asked(job, os.environ),
        REQUEST: [one.base.hex() for one in made.shape.each],
    }
    if job.prompt.images is not None:
        values["prompt.images"] = job.prompt.images
    if job.prompt.documents is not None:
        values["prompt.documents"] = job.prompt.documents
    if long := long_part(job, made.fit):
        values[LONG] = long
    if job.input.pages_per_request is not None:
        values[PAGES] = job.input.pages_per_request
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
    wanted = [(name, f"{user.where}, line {line}") for user in templates.users for name, line in user.columns.items()]
    wanted += media_columns(job, source).items()
    require(there, [name for name, _ in wanted], dict(reversed(wanted)))
    return tuple(name for name in there.names if name in dict(wanted))
