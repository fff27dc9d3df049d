"""`pipeline check`: everything but the calls, shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.call.form import API_VERSION
from pipeline.commands.cluster import looked_at
from pipeline.commands.connecting import access, endpoint, shown, spreads
from pipeline.commands.long_shown import first_long, settings
from pipeline.commands.media import notes
from pipeline.commands.wiring import Loaded, concurrency, loaded, sent_by
from pipeline.read.keys import count
from pipeline.read.rows import rows
from pipeline.read.source import manner
from pipeline.records import Complaint, Document, Image, Link, Medium, Pieces, Prompt, Text, Turn, Verbatim
from pipeline.render.prompt import Unaskable
from pipeline.show.text import plain

SHOWN_ROWS = 3
SHOWN_CHARACTERS = 2_000


def check(config: Path, overrides: list[str]) -> str:
    """What a run would do, as text for a person. Raises what a run would raise before its first request."""
    made = loaded(config, overrides)
    total = sum(count(made.source, made.job.input.key))
    lines = [f"{config}: in order", "", *_input(made, total), *_asking(made), *_output(made), *_first(made), *first_long(made)]
    return "\n".join(lines)


def _input(made: Loaded, total: int) -> list[str]:
    key = made.job.input.key
    named = "by their position" if key is None else f"by {key}, unique and never null"
    return [
        f"input      {total:,} rows in {_files(len(made.source.files))}, named {named}",
        *(f"           {plain(str(file))}: {plain(manner(file, made.source.told))}" for file in made.source.files[:5]),
        f"columns    {', '.join(f'{plain(field.name)} ({field.type})' for field in made.source.schema)}",
        f"prompt     takes {', '.join(made.needs) or 'no column: every row is asked the same'}",
    ]


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"


def _asking(made: Loaded) -> list[str]:
    asked = made.form
    where = (
        f"the embedded server, started for the run ({asked.model})"
        if made.local
        else shown(endpoint(made.job, os.environ), os.environ)
    )
    priced = "priced" if made.prices.known(asked.model) else "no price known: _cost_usd will be null"
    streamed = ", streamed" if asked.max_tokens > asked.streamed_above else ""
    thinking = "left out" if asked.thinking is None else asked.thinking["type"]
    cache = "off" if asked.cache == "off" else f"{asked.cache}, up to the end of what is the same for every row"
    further = {
        **({"stop_sequences": [*asked.stop_sequences]} if asked.stop_sequences else {}),
        **asked.extra,
        **({"anthropic-version": asked.api_version} if asked.api_version != API_VERSION else {}),
    }
    return [
        f"model      {asked.model} at {where}; {priced}",
        f"asks for   JSON by {asked.way}, at most {made.job.check.asks} times {_each(made)}; "
        f"max_tokens {asked.max_tokens:,}{streamed}",
        *_room(made),
        *(f"workers    {sentence}" for sentence in sent_by(made)),
        *settings(made),
        f"thinking   {thinking}, effort {asked.effort or 'left out'}; prompt cache {cache}",
        *_cluster(made),
        *([f"budget     ${made.job.run.budget_usd:,.2f} until a run finishes"] if made.job.run.budget_usd is not None else []),
        *(f"further    {name}: {plain(json.dumps(value, ensure_ascii=False))}" for name, value in further.items()),
        *(f"note       {note}" for note in dict.fromkeys(note for one in made.forms for note in one.notes)),
        *(f"note       {note}" for note in notes(made.media)),
        *(f"advice     {plain(advice, SHOWN_CHARACTERS)}" for advice in _advice(made)),
    ]


def _cluster(made: Loaded) -> list[str]:
    """Of whose nodes each has been asked whether it can send."""
    if not spreads(made.job):
        return []
    url = endpoint(made.job, os.environ)
    base_url = "http://127.0.0.1" if made.local else url
    by = access(made.job, url, base_url, concurrency(made), os.environ, made.form)
    with looked_at(made.job, os.environ, by) as found:
        return [f"cluster    {found.words}"]


def _each(made: Loaded) -> str:
    turns = len(made.templates.users)
    return "a row" if turns == 1 else f"each of {turns} turns"


def _room(made: Loaded) -> list[str]:
    grown = made.asks.grown
    if grown is None or made.asks.most == 1:
        return []
    return [f"           one that is cut off is asked for once more, with max_tokens {grown:,}"]


def _advice(made: Loaded) -> Iterator[str]:
    """Where a document could pass for instructions."""
    for user in made.templates.users:
        if user.has_words and user.bare:
            name = user.bare[0]
            inside = name if name.isidentifier() else f'row["{name}"]'
            yield (
                f"{user.where} has words of its own beside {', '.join(user.bare)}: a document that says the like could pass "
                f"for them. {{{{ {inside} | document }}}} puts it between tags that it cannot close (docs/prompts.md)"
            )


def _output(made: Loaded) -> list[str]:
    answers = ", ".join(f"{made.columns.prefix}{field.name} ({field.type})" for field in made.columns.answers)
    kept = ", ".join(field.name for field in made.columns.kept) or "none"
    return [f"output     {made.job.output.path}: {answers}; kept: {plain(kept)}", ""]


def _first(made: Loaded) -> list[str]:
    """The first rows' prompts: what is wrong with them, and the first that is right in full."""
    lines: list[str] = []
    shown = False
    columns = list(dict.fromkeys([*made.needs, *([made.job.input.key] if made.job.input.key is not None else [])]))
    batches = made.source.batches(columns, max_rows=SHOWN_ROWS)
    for row in (row for batch in islice(batches, 1) for row in rows(batch, made.needs, made.job.input.key)):
        asked = made.first(row)
        if isinstance(asked, Unaskable):
            lines.append(f"row {plain(row.key)}: input_error: {plain(asked.reason)}")
        elif not shown:
            shown = True
            first = asked.prompts[0] if isinstance(asked, Pieces) else asked
            piece = f"piece 1 of {len(asked.prompts):,} of " if isinstance(asked, Pieces) else ""
            lines.append(f"the prompt of {piece}row {plain(row.key)}:")
            lines.append(_block("system", first.constant.system))
            lines += [_block(f"{turn.role} (example)", _words(turn)) for turn in first.constant.examples]
            lines += _turns(made, first)
    return lines


def _turns(made: Loaded, asked: Prompt) -> Iterator[str]:
    """What is asked of a row, turn by turn; the template itself where a turn is made of replies."""
    users, several = made.templates.users, len(made.templates.users) > 1
    for number, (user, chosen) in enumerate(zip(users, made.forms, strict=True)):
        is_last = number == len(users) - 1
        turn = f", turn {number + 1} of {len(users)}" if several else ""
        template = ", template: it takes replies" if user.takes_replies else ""
        text = user.text if user.takes_replies else _words(asked.turns[0]) if number == 0 else asked.beyond[number - 1]
        yield _block(f"user{turn}{template}", text)
        if not is_last and made.earlier[number] is None:
            yield _block("answered in free text", "")
        elif chosen.way != "prompt":
            yield _block(f"schema, {chosen.way} form", json.dumps(chosen.schema, ensure_ascii=False))


def _words(turn: Turn) -> str:
    return "\n".join(said for block in turn.blocks if (said := _said(block)) is not None)


def _said(block: Text | Verbatim | Complaint | Medium) -> str | None:
    match block:
        case Text():
            return block.text
        case Image() | Document():
            return f"[{block.media_type}, {len(block.data):,} bytes, about {block.tokens:,} tokens]"
        case Link():
            return f"[image at {block.url}]"
        case _:
            return None


def _block(title: str, text: str) -> str:
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text):,} characters)"
    return "\n".join([f"── {title}", *(f"   {plain(line, SHOWN_CHARACTERS)}" for line in cut.splitlines())])
