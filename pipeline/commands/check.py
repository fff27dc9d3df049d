"""`pipeline check`: everything but the calls, shown."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

from pipeline.commands.wiring import Loaded, endpoint, loaded
from pipeline.read.keys import count
from pipeline.read.rows import rows
from pipeline.records import Prompt, Text, Turn
from pipeline.render.prompt import prompt
from pipeline.show.text import plain

SHOWN_ROWS = 3
SHOWN_CHARACTERS = 2_000


def check(config: Path, overrides: list[str]) -> str:
    """What a run would do, as text for a person. Raises what a run would raise before its first request."""
    made = loaded(config, overrides)
    total = sum(count(made.source, made.job.input.key))
    lines = [f"{config}: in order", "", *_input(made, total), *_asking(made), *_output(made), *_first(made)]
    return "\n".join(lines)


def _input(made: Loaded, total: int) -> list[str]:
    key = made.job.input.key
    named = "by their position" if key is None else f"by {key}, unique and never null"
    return [
        f"input      {total:,} rows in {len(made.source.files):,} files, named {named}",
        *(f"           {file}" for file in made.source.files[:5]),
        f"columns    {', '.join(f'{plain(field.name)} ({field.type})' for field in made.source.schema)}",
        f"prompt     takes {', '.join(made.needs) or 'no column: every row is asked the same'}",
    ]


def _asking(made: Loaded) -> list[str]:
    asked = made.form
    where = f"the embedded server, started for the run ({asked.model})" if made.local else endpoint(made.job, os.environ)
    priced = "priced" if made.prices.known(asked.model) else "no price known: _cost_usd will be null"
    return [
        f"model      {asked.model} at {where}; {priced}",
        f"asks for   JSON by {asked.way}, at most {made.job.check.asks} times a row; max_tokens {asked.max_tokens:,}",
        f"thinking   {'left out' if asked.thinking is None else asked.thinking['type']}, effort {asked.effort or 'left out'}",
        *([f"budget     ${made.job.run.budget_usd:,.2f} until a run finishes"] if made.job.run.budget_usd is not None else []),
        *(f"note       {note}" for note in asked.notes),
    ]


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
    first = [row for batch in islice(batches, 1) for row in rows(batch, made.needs, made.job.input.key)]
    for row in first:
        asked = prompt(row, made.templates, made.constant)
        if not isinstance(asked, Prompt):
            lines.append(f"row {plain(row.key)}: input_error: {plain(asked.reason)}")
        elif not shown:
            shown = True
            lines.append(f"the prompt of row {plain(row.key)}:")
            lines.append(_block("system", asked.constant.system))
            lines += [_block(f"{turn.role} (example)", _words(turn)) for turn in asked.constant.examples]
            lines += [_block(turn.role, _words(turn)) for turn in asked.turns]
            if made.form.way != "prompt":
                lines.append(_block(f"schema, {made.form.way} form", json.dumps(made.form.schema, ensure_ascii=False)))
    return lines


def _words(turn: Turn) -> str:
    return "\n".join(block.text for block in turn.blocks if isinstance(block, Text))


def _block(title: str, text: str) -> str:
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text):,} characters)"
    return "\n".join([f"── {title}", *(f"   {plain(line, SHOWN_CHARACTERS)}" for line in cut.splitlines())])
