"""One pass over the input of a job and its journal: which rows are still to be bought, how long they are, what others took."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.call.budget import Bound
from pipeline.call.media import CHARACTERS_A_TOKEN, apart
from pipeline.commands.wiring import Loaded, worst_usd
from pipeline.measure.estimate import Sizes, answer_size
from pipeline.measure.forecast import Bought
from pipeline.measure.pick import Pick
from pipeline.read.rows import rows
from pipeline.records import JSON, Pieces, Prompt, Status, Usage
from pipeline.render.prompt import Unaskable
from pipeline.write.glance import Spent
from pipeline.write.known import Ended, Known

AROUND_AN_ANSWER = 24
"""Bytes of what names a piece beside its answer."""
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
    to_buy: int
    split: int
    """Rows without an outcome whose text goes in pieces."""
    pieces: int
    sizes: Sizes
    """Of the requests to buy: one for each row, or for each of its pieces and for what combines them."""
    worst_usd: float | None
    worst_request_usd: float | None
    bought: list[Bought]
    sample: list[Prompt]
    """Of the rows without an outcome."""
    spent: Spent | None


def survey(made: Loaded, journal: Known, sample: int) -> Survey:
    """Per request: 20 bytes."""
    key_column = made.job.input.key
    columns = list(dict.fromkeys([*made.needs, *([key_column] if key_column is not None else [])]))
    worst, size_of = worst_usd(made), size(made)
    prefixes, sizes, worsts = array("Q"), array("I"), array("d")
    bought, asked_about = Pick[Bought](MOST_BOUGHT), Pick[Prompt](sample)
    split: list[tuple[int, int]] = []
    """Of each row in pieces: where its requests begin and end."""
    total = unaskable = kept = 0
    for batch in made.source.batches(columns):
        ended = journal.ended_in(batch.start, batch.start + batch.table.num_rows)
        for row in rows(batch, made.needs, key_column):
            total += 1
            asked = made.first(row)
            if isinstance(asked, Unaskable):
                unaskable += 1
                continue
            had = ended.get(row.position)
            if had is not None and had.key == made.shape.identity(asked) and had.status is not Status.IN_DOUBT:
                kept += 1
                if had.bought and isinstance(asked, Prompt):  # what a row in pieces took says nothing of the others
                    bought.offer(_bought(had, size_of(made.shape.body(asked))))
                continue
            prompts = asked.prompts if isinstance(asked, Pieces) else (asked,)
            for prompt in prompts:
                body = made.shape.body(prompt)
                prefixes.append(int.from_bytes(made.shape.key(prompt)[:8], "little"))
                sizes.append(size_of(body))
                worsts.append(worst(body) or 0.0)
            if isinstance(asked, Pieces):
                split.append((len(prefixes) - len(prompts), len(prefixes)))
            asked_about.offer(prompts[0])
    keys = np.frombuffer(prefixes, dtype=np.uint64)
    there = journal.has(keys)
    _, first = np.unique(keys, return_index=True)
    new = np.zeros(len(keys), dtype=np.bool_)
    new[first] = True
    new &= ~there
    dearest = np.concatenate([np.frombuffer(worsts, dtype=np.float64)[new], _worst_of_combining(made, split)])
    priced = made.prices.known(made.job.model.name) and len(dearest) > 0
    ends = _ends(split, new, there, combines=made.shape.combining is not None)
    return Survey(
        rows=total,
        unaskable=unaskable,
        kept=kept,
        paid=ends["paid"],
        repeated=ends["repeated"],
        to_buy=ends["to buy"],
        split=len(split),
        pieces=sum(after - first_of for first_of, after in split),
        sizes=np.concatenate([np.frombuffer(sizes, dtype=np.uint32)[new].astype(np.float64), _combining(made, split)]),
        worst_usd=float(dearest.sum()) if priced else None,
        worst_request_usd=float(dearest.max()) if priced else None,
        bought=bought.items,
        sample=asked_about.items,
        spent=journal.spent(),
    )


def _ends(
    split: list[tuple[int, int]], new: NDArray[np.bool_], there: NDArray[np.bool_], *, combines: bool
) -> Mapping[str, int]:
    """Rows by what becomes of their requests. `combines`: pieces are followed by a question that depends on their answers."""
    whole = np.ones(len(new), dtype=np.bool_)
    ends = Counter[str]()
    for first, after in split:
        whole[first:after] = False
        buys = combines or new[first:after].any()
        ends["to buy" if buys else "paid" if there[first:after].all() else "repeated"] += 1
    ends["to buy"] += int((whole & new).sum())
    ends["paid"] += int((whole & there).sum())
    ends["repeated"] += int((whole & ~new & ~there).sum())
    return ends


def _combining(made: Loaded, split: list[tuple[int, int]]) -> Sizes:
    """About how many bytes the answers to the pieces of each row have, where one more question combines them."""
    if made.shape.combining is None:
        return np.array([], dtype=np.float64)
    each = answer_size(made.schema.document) + AROUND_AN_ANSWER
    return np.array([(after - first) * each for first, after in split], dtype=np.float64)


def _worst_of_combining(made: Loaded, split: list[tuple[int, int]]) -> NDArray[np.float64]:
    """The most that such a question can cost: each answer as long as it may be."""
    asks = made.shape.combining
    if asks is None:
        return np.array([], dtype=np.float64)
    most = Bound.of(asks.fixed, asks.messages, asks.form.cache).usage({"messages": [], "max_tokens": asks.form.max_tokens})
    name = made.job.model.name
    usages = (most + Usage(input_tokens=(after - first) * asks.form.max_tokens) for first, after in split)
    return np.array([made.prices.worst_usd(name, usage) or 0.0 for usage in usages], dtype=np.float64)


def size(made: Loaded) -> Callable[[dict[str, JSON]], int]:
    """Bytes of a row's own part of a request, about; pictures and documents as the text that counts as many tokens."""
    bound = Bound.of(made.shape.fixed, made.shape.messages, "5m")

    def size_of(body: dict[str, JSON]) -> int:
        texts, tokens = apart(body)
        return bound.usage(texts).input_tokens + CHARACTERS_A_TOKEN * tokens

    return size_of


def _bought(ended: Ended, size: int) -> Bought:
    return Bought(size, ended.usage, max(ended.asks, 1), ended.latency_s)
