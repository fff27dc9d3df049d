"""`pipeline plan`: what a run would take. Nothing is sent but requests to count tokens, which are free."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.call.caller import Counter
from pipeline.call.models import facts
from pipeline.commands.connecting import BATCH_S, counting, endpoint, mode
from pipeline.commands.retyped import retyped
from pipeline.commands.survey import Survey, size, survey
from pipeline.commands.wiring import Loaded, concurrency, loaded
from pipeline.errors import PipelineError
from pipeline.measure.estimate import FEWEST, Interval, Pace, answer_size, output_tokens, seconds, tiers, tokens_of
from pipeline.measure.forecast import Asking, Forecast, assumed, learned, widest
from pipeline.measure.step import Step, step
from pipeline.records import Prompt, Text, Turn
from pipeline.render.long import BYTES_A_TOKEN
from pipeline.settings import Job
from pipeline.settings import seconds as seconds_of
from pipeline.show.outlook import Outlook, Range, outlook_text, usd
from pipeline.show.text import duration
from pipeline.write.known import known

ENOUGH = 10
"""Bought rows from which the others are estimated."""
LATENCY_S = 2.0
"""Of a reply, where none was measured."""
COUNTS_AT_ONCE = 8
BATCH_MOSTLY_S = 3600.0
"""Most batches end within an hour (build-with-claude/batch-processing, read 2026-10-08)."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the server says of a sample."""

    constant_tokens: int
    pairs: list[tuple[float, float]]
    """Size and tokens of each row's own part."""


def plan(config: Path, overrides: list[str], sample: int, as_json: bool) -> str:
    """What a run would take, as text or as one JSON object. Raises what a run would raise before its first request."""
    made = loaded(config, overrides)
    with known(made.folder.journal) as journal:
        found = survey(made, journal, sample)
    outlook = _outlook(made, found, retyped("pipeline run", config, overrides))
    return json.dumps(asdict(outlook)) if as_json else outlook_text(outlook)


def _outlook(made: Loaded, found: Survey, run: str) -> Outlook:
    name, cache = made.job.model.name, made.form.cache
    asking = Asking(name, cache, made.prices, facts(name).min_cached)
    forecast, basis, assumes, is_measured = _forecast(made, found, asking)
    at_once = concurrency(made)
    measured = [bought.latency_s for bought in found.bought if bought.latency_s is not None]
    latency_s = sum(measured) / len(measured) if measured else LATENCY_S
    where = "the embedded server" if made.local else endpoint(made.job, os.environ)
    online_s = _seconds(forecast, made, latency_s, at_once)
    batch_s = _batch_seconds(forecast.requests, made.job.call.batch_queue)
    return Outlook(
        name=made.job.name,
        model=name,
        where=where,
        prices_as_of=made.prices.as_of,
        rows=found.rows,
        unaskable=found.unaskable,
        kept=found.kept,
        paid=found.paid,
        repeated=found.repeated,
        to_buy=found.to_buy,
        split=found.split,
        pieces=found.pieces,
        requests=forecast.requests,
        basis=basis,
        assumes=assumes,
        measured=is_measured,
        constant_tokens=round(forecast.constant_tokens),
        cache=_cache(made, asking, forecast, is_measured),
        row_tokens=_range(forecast.row_tokens),
        output_tokens=_range(forecast.output_tokens),
        online_usd=None if forecast.online_usd is None else _range(forecast.online_usd),
        batch_usd=None if forecast.batch_usd is None else _range(forecast.batch_usd),
        worst_usd=found.worst_usd,
        worst_request_usd=found.worst_request_usd,
        budget_usd=made.job.run.budget_usd,
        gone_usd=None if found.spent is None else found.spent.paid_usd + found.spent.doubtful_usd,
        seconds=online_s,
        mode=_mode(made.job, online_s, batch_s),
        batch_seconds=batch_s,
        at_once=at_once,
        latency_s=latency_s,
        latency_measured=bool(measured),
        next_step=_next(run, found, is_measured),
        step=_step(step(found.sizes, forecast, asking, BYTES_A_TOKEN), made),
    )


def _next(run: str, found: Survey, is_measured: bool) -> str:
    few = found.to_buy <= 2 * ENOUGH
    return run if is_measured or few else f"{run} --limit {2 * ENOUGH}"


def _step(found: Step | None, made: Loaded) -> str | None:
    """What it costs that some prompts are long, and what pieces would cost."""
    if found is None:
        return None
    which = "1 request is" if found.requests == 1 else f"about {found.requests:,} requests are"
    crossing = (
        f"{which} longer than {found.prompt_tokens:,} tokens, where {made.job.model.name} costs "
        f"{found.times:g} times as much: {usd(found.usd)} online"
    )
    if found.pieces_usd >= found.usd:
        return f"{crossing}; pieces below it would cost no less"
    advice = f"prompt.long: {{do: split, tokens: {found.piece_tokens}}}"
    return f"{crossing}. {advice} would make about {found.pieces:,} pieces of them, for about {usd(found.pieces_usd)}"


def _range(found: Interval) -> Range:
    return Range(found.low, found.middle, found.high)


def _seconds(forecast: Forecast, made: Loaded, latency_s: float, at_once: int) -> dict[str, float]:
    """By the ceilings of the config, where there are any, and by the limits of the two smallest tiers; a larger one is rarely
    what binds."""
    call = made.job.call
    ceilings = (call.requests_per_minute, call.input_tokens_per_minute, call.output_tokens_per_minute)
    own = {"by your own limits": Pace(*ceilings)} if any(ceilings) else {}
    by_tier = {f"in tier {tier.capitalize()}": pace for tier, pace in tiers(made.job.model.name).items()}
    return {
        name: seconds(
            forecast.requests,
            forecast.row_tokens.middle,
            forecast.output_tokens.middle,
            pace,
            latency_s=latency_s,
            at_once=at_once,
        )
        for name, pace in {**own, **by_tier}.items()
    }


def _batch_seconds(requests: float, queue: int) -> dict[str, float]:
    """Of batches one after another, as many at a time as may wait at the service."""
    turns = math.ceil(requests / queue)
    return {"mostly": turns * BATCH_MOSTLY_S, "at most": turns * BATCH_S}


def _mode(job: Job, online_s: Mapping[str, float], batch_s: Mapping[str, float]) -> str:
    chosen, why = mode(job)
    told = why or f"{chosen}, by call.mode"
    if job.call.deadline is None:
        return told
    if chosen == "batch" and batch_s["at most"] > seconds_of(job.call.deadline):
        return f"{told}; so many requests take several turns, at most {duration(batch_s['at most'])}, which is longer"
    if chosen == "online" and min(online_s.values()) > seconds_of(job.call.deadline):
        return f"{told}; but online they take {duration(min(online_s.values()))} at least, which is longer, too"
    return told


def _cache(made: Loaded, asking: Asking, forecast: Forecast, is_measured: bool) -> str:
    """What becomes of the constant part."""
    tokens = f"{round(forecast.constant_tokens):,} tokens a request"
    if forecast.cached:
        return f"{tokens}, written to the cache once for {made.form.cache}, then read from it"
    if made.form.cache == "off":
        why = "model.cache is off" if made.job.model.cache == "off" else "it is too short for this model to cache"
        return f"not cached: {why}" if is_measured else f"{tokens}, not cached: {why}"
    if is_measured:
        return "part of what goes in: no reply so far read or wrote a cache"
    minimum = asking.caches_from
    why = "it is not known from where on this model caches" if minimum is None else f"this model caches from {minimum:,} up"
    return f"{tokens}, not cached: {why}"


def _forecast(made: Loaded, found: Survey, asking: Asking) -> tuple[Forecast, str, str, bool]:
    """The figures, what they rest on, what their interval assumes, and whether it is one of 95 %."""
    if len(found.bought) >= ENOUGH:
        basis = f"{len(found.bought):,} rows of this job that were bought under the very same request."
        assumes = (
            "The interval assumes that the rows to come are like those at the same length: bought in input order, they say "
            "little of a corpus that is sorted. Batch: 30 % to 98 % of requests read the cache."
        )
        return learned(found.bought, found.sizes, asking), basis, assumes, True
    counted = _counted(made, found) if len(found.sizes) else "nothing is to be bought"
    output, how = _output(made)
    if isinstance(counted, Counted):
        pairs, constant_tokens = counted.pairs, float(counted.constant_tokens)
        basis = f"Input: count_tokens of {len(pairs):,} rows. {how}"
        forecast = assumed(pairs, found.sizes, constant_tokens, output, asking)
    else:
        constant = tokens_of(_constant_size(made))
        basis = f"Input: by length, since tokens were not counted ({counted}). {how}"
        each = (constant.low, constant.middle, constant.high)
        forecast = widest([assumed(None, found.sizes, tokens, output, asking) for tokens in each])
    assumes = (
        "Too few answers were bought yet, so the range is that of the assumptions, not an interval of 95 %: buy a few rows "
        "first, which are not lost, and plan again."
    )
    if made.shape.earlier:
        assumes += f" It holds only the first of {len(made.shape.earlier) + 1} turns, whose replies the others depend on."
    return forecast, basis, assumes, False


def _constant_size(made: Loaded) -> int:
    """Bytes of all that no row changes."""
    texts = [text for turn in made.constant.examples for text in _texts(turn)]
    form = json.dumps(made.form.schema, ensure_ascii=False) if made.form.way != "prompt" else ""
    return sum(map(len, texts)) + len(made.constant.system.encode()) + len(form.encode())


def _output(made: Loaded) -> tuple[Interval, str]:
    """Tokens of one reply, and where that comes from."""
    answers = [len(text) for turn in made.constant.examples if turn.role == "assistant" for text in _texts(turn)]
    kind = "the examples" if answers else "the schema"
    size = sum(answers) / len(answers) if answers else answer_size(made.schema.document)
    thinks = made.form.thinking is not None and made.form.thinking["type"] in ("adaptive", "enabled")
    output = output_tokens(size, thinks=thinks, max_tokens=made.form.max_tokens)
    thinking = ", thinking up to max_tokens" if thinks else ""
    return output, f"Output: assumed from {kind}, {output.middle:,.0f} tokens a reply{thinking}."


def _texts(turn: Turn) -> list[bytes]:
    return [block.text.encode() for block in turn.blocks if isinstance(block, Text)]


def _counted(made: Loaded, found: Survey) -> Counted | str:
    """What the server counts; in words, why it did not."""
    if len(found.sample) < FEWEST:
        return f"fewer than {FEWEST} rows to count" if found.sample else "--sample 0"
    url = endpoint(made.job, os.environ)
    try:
        with counting(made.job, url, COUNTS_AT_ONCE, os.environ, made.form) as connect:
            return asyncio.run(_count(made, found.sample, connect))
    except PipelineError as error:
        return error.message.splitlines()[0]


async def _count(made: Loaded, sample: list[Prompt], connect: Callable[[], Counter]) -> Counted | str:
    counter = connect()
    size_of, body_of = size(made), made.shape.body
    places = asyncio.Semaphore(COUNTS_AT_ONCE)

    async def tokens(asked: Prompt) -> int | str:
        async with places:
            return await counter.count(body_of(asked))

    try:
        # The shortest there can be: what is left of it is the constant part.
        alone = await tokens(_with(sample[0], "."))
        if isinstance(alone, str):
            return alone
        found = await asyncio.gather(*map(tokens, sample))
    finally:
        await counter.close()
    constant = alone - 1
    pairs = [
        (float(size_of(body_of(asked))), float(max(count - constant, 0)))
        for asked, count in zip(sample, found, strict=True)
        if isinstance(count, int)
    ]
    if len(pairs) < FEWEST:
        return next(count for count in found if isinstance(count, str))
    return Counted(constant, pairs)


def _with(asked: Prompt, text: str) -> Prompt:
    return Prompt(asked.position, asked.key, asked.constant, (Turn("user", (Text(text),)),))
