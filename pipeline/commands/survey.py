"""One pass over the input of a job and its journal: which rows are still to be bought, how long they are, what others took."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.call.budget import Bound
from pipeline.call.media import CHARACTERS_A_TOKEN, apart
from pipeline.commands.wiring import Loaded, worst_usd
from pipeline.measure.estimate import Sizes
from pipeline.measure.forecast import Bought
from pipeline.measure.pick import Pick
from pipeline.read.rows import rows
from pipeline.records import JSON, Prompt, Status
from pipeline.write.glance import Spent
from pipeline.write.known import Ended, Known

MOST_BOUGHT = 10_000
"""More of them would say nothing new."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over the input and the journal finds."""

    rows: int
    unaskable: int
    kept: int
    paid: int
    repeated: int
    sizes: Sizes
    """Of the rows to buy."""
    worst_usd: float | None
    worst_request_usd: float | None
    bought: list[Bought]
    sample: list[Prompt]
    """Of the rows without an outcome."""
    spent: Spent | None


def survey(made: Loaded, journal: Known, sample: int) -> Survey:
    """Per row to ask about: 20 bytes."""
    key_column = made.job.input.key
    columns = list(dict.fromkeys([*made.needs, *([key_column] if key_column is not None else [])]))
    worst, size_of = worst_usd(made), size(made)
    prefixes, sizes, worsts = array("Q"), array("I"), array("d")
    bought, asked_about = Pick[Bought](MOST_BOUGHT), Pick[Prompt](sample)
    total = unaskable = kept = 0
    for batch in made.source.batches(columns):
        ended = journal.ended_in(batch.start, batch.start + batch.table.num_rows)
        for row in rows(batch, made.needs, key_column):
            total += 1
            asked = made.first(row)
            if not isinstance(asked, Prompt):
                unaskable += 1
                continue
            key, body = made.shape.key(asked), made.shape.body(asked)
            had = ended.get(row.position)
            if had is not None and had.key == made.shape.identity(asked) and had.status is not Status.IN_DOUBT:
                kept += 1
                if had.bought:
                    bought.offer(_bought(had, size_of(body)))
                continue
            prefixes.append(int.from_bytes(key[:8], "little"))
            sizes.append(size_of(body))
            worsts.append(worst(body) or 0.0)
            asked_about.offer(asked)
    keys = np.frombuffer(prefixes, dtype=np.uint64)
    there = journal.has(keys)
    _, first = np.unique(keys, return_index=True)
    new = np.zeros(len(keys), dtype=np.bool_)
    new[first] = True
    new &= ~there
    dearest = np.frombuffer(worsts, dtype=np.float64)[new]
    priced = made.prices.known(made.job.model.name) and len(dearest) > 0
    return Survey(
        rows=total,
        unaskable=unaskable,
        kept=kept,
        paid=int(there.sum()),
        repeated=len(keys) - int(there.sum()) - int(new.sum()),
        sizes=np.frombuffer(sizes, dtype=np.uint32)[new].astype(np.float64),
        worst_usd=float(dearest.sum()) if priced else None,
        worst_request_usd=float(dearest.max()) if priced else None,
        bought=bought.items,
        sample=asked_about.items,
        spent=journal.spent(),
    )


def size(made: Loaded) -> Callable[[dict[str, JSON]], int]:
    """Bytes of a row's own part of a request, about; pictures and documents as the text that counts as many tokens."""
    bound = Bound.of(made.shape.fixed, made.shape.messages, "5m")

    def size_of(body: dict[str, JSON]) -> int:
        texts, tokens = apart(body)
        return bound.usage(texts).input_tokens + CHARACTERS_A_TOKEN * tokens

    return size_of


def _bought(ended: Ended, size: int) -> Bought:
    return Bought(size, ended.usage, max(ended.asks, 1), ended.latency_s)
