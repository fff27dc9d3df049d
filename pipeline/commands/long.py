"""The `prompt.long` of a config: how much of a row fits, what is cut, and how the answers to pieces become one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.call.form import Form, cached, constant_tokens
from pipeline.call.models import facts, known
from pipeline.call.wire import Shape, shape
from pipeline.check import combine as rules
from pipeline.check.answer import Judge
from pipeline.commands.prompting import template_text
from pipeline.errors import ConfigInvalid
from pipeline.records import ASKS_A_PIECE, JSON, Constant
from pipeline.render.combine import ByPrompt, combining
from pipeline.render.long import Fit
from pipeline.render.split import SPLIT
from pipeline.schema.load import Schema
from pipeline.settings import Job

if TYPE_CHECKING:
    from pipeline.gathering import Combine

FURTHER: Mapping[str, tuple[str, ...]] = {"fail": (), "truncate": ("_left_out",), "split": ("_pieces",)}
"""What `prompt.long.do` adds to the table."""
SAID_TOKENS = 1_024
"""For what is said about a reply that is no answer."""
SMALLEST_ROOM = 1_000
"""Tokens: with less of the window left for a row, something else is wrong."""


def fit_of(job: Job, columns: pa.Schema, needs: Sequence[str], constant: Constant, form: Form, grown: int | None) -> Fit:
    """How much of a row fits, and what becomes of more. `needs`: columns that the prompt takes. Raises ConfigInvalid where the
    job cannot be carried out so."""
    long, name = job.prompt.long, job.model.name
    replies = job.check.asks * max(form.max_tokens, grown or 0) + (job.check.asks - 1) * SAID_TOKENS
    texts = tuple(one for one in needs if _is_text(columns.field(one).type))
    fit = Fit(
        do=long.do,
        window=facts(name).window if known(name) else None,
        reserved=constant_tokens(form, constant) + replies,
        tokens=long.tokens,
        overlap=long.overlap if long.do == "split" else 0,
        columns=texts if long.column is None else (long.column,),
    )
    faults = [*_out_of_place(job), *([] if long.do == "fail" else _faults(job, fit, needs, texts))]
    if faults:
        raise ConfigInvalid("long texts cannot be dealt with so", faults=faults)
    return fit


def _out_of_place(job: Job) -> list[str]:
    """Settings that would do nothing."""
    long = job.prompt.long
    said = {
        "column": long.column is not None,
        "tokens": long.tokens is not None,
        "combine": long.combine != "prompt",
        "instructions": long.instructions is not None,
    }
    of_none = ("column", "tokens") if long.do == "fail" else ()
    # What is asked about in several requests, texts or PDFs, is combined by the same rules.
    of_split = ("combine", "instructions") if not _in_pieces(job) else ()
    found = [f"prompt.long.{key}: has no use with do: {long.do}" for key in (*of_none, *of_split) if said[key]]
    if said["combine"] and said["instructions"]:
        found.append("prompt.long.instructions: has no use where prompt.long.combine names reducers: no prompt combines")
    return found


def _in_pieces(job: Job) -> bool:
    return job.prompt.long.do == "split" or job.input.pages_per_request is not None


def _faults(job: Job, fit: Fit, needs: Sequence[str], texts: Sequence[str]) -> list[str]:
    long, found = job.prompt.long, list[str]()
    if len(job.prompt.user) > 1:
        found.append(
            f"prompt.long: {long.do} is for a prompt of one turn: what a later turn or an earlier reply says of the whole text "
            "would not be true of a part of it"
        )
    if long.do == "split" and (job.prompt.images or job.prompt.documents):
        found.append("prompt.long: split is for texts: images and documents would go, and be paid, with each piece")
    if long.do == "truncate" and job.prompt.documents:
        found.append(
            "prompt.long: truncate cannot be with documents: how much room they leave beside a text is not known early"
        )
    if long.do == "split" and job.check.asks >= ASKS_A_PIECE:
        found.append(f"check.asks: with prompt.long: split at most {ASKS_A_PIECE - 1}")
    if long.column is not None and long.column not in texts:
        why = "holds no text" if long.column in needs else "is none that prompt.user takes"
        found.append(f"prompt.long.column: {long.column} {why}; texts that it takes: {', '.join(texts) or 'none'}")
    elif not texts:
        found.append(f"prompt.long: {long.do} needs a column of text in prompt.user")
    room = fit.room
    if room is None:
        found.append(
            f"prompt.long.tokens: it is not known how many tokens {job.model.name} reads at once: set how many to send"
        )
    elif fit.window is not None and fit.window - fit.reserved < SMALLEST_ROOM:
        found.append(
            f"prompt.long: of the {fit.window:,} tokens of {job.model.name} {fit.reserved:,} are for the constant part and "
            "replies, which leaves no room for a text: lower model.max_tokens or check.asks"
        )
    elif 2 * fit.overlap >= room:
        found.append(f"prompt.long.overlap: {fit.overlap:,} tokens are half a piece of {room:,} or more; lower it")
    return found


@dataclass(frozen=True, slots=True)
class Combining:
    """How the answers to pieces become one."""

    shape: Shape | None
    """Of the question that asks for it; None where rules do it."""
    constant: Constant | None
    rules: Mapping[str, str]

    def combine(self, fit: Fit, judge: Judge) -> Combine:
        if self.constant is None:
            by_rules = rules.ByRules(self.rules, judge)
            return lambda _, answers: by_rules(answers)
        return ByPrompt(self.constant, None if fit.window is None else fit.window - fit.reserved)


def combining_of(job: Job, schema: Schema, constant: Constant, form: Form, asked: str) -> Combining | None:
    """None where no row is asked about in pieces. `form`: of the answer, before a cache was ruled out. Raises ConfigInvalid."""
    long = job.prompt.long
    if not _in_pieces(job):
        return None
    if long.combine != "prompt":
        if faults := rules.faults(long.combine, schema):
            raise ConfigInvalid(
                "prompt.long.combine does not fit the schema", faults=[f"prompt.long.combine.{fault}" for fault in faults]
            )
        return Combining(None, None, long.combine)
    told = None if long.instructions is None else template_text(long.instructions, "prompt.long.instructions")
    its = combining(constant, told, schema.document)
    return Combining(shape(its, cached(form, its), asked), its, {})


def part(job: Job, fit: Fit) -> list[JSON]:
    """What it brings into requests; empty where nothing."""
    long = job.prompt.long
    return [] if long.do == "fail" else [SPLIT, long.do, long.column, fit.overlap, fit.room]


def judged_by(job: Job) -> str:
    """What of it can change without asking anew."""
    combine = job.prompt.long.combine
    return "" if combine == "prompt" else json.dumps(combine, sort_keys=True)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
