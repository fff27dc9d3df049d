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
SHARES = 16
"""Requests are told apart in so many shares, by how their keys begin: what that takes for a moment is so much smaller."""
AT_ONCE = 1 << 20


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
    """Per request: 12 bytes, and some 5 more at the end."""
    key_column = made.job.input.key
    columns = list(dict.fromkeys([*made.needs, *([key_column] if key_column is not None else [])]))
    worst, size_of = worst_usd(made), size(made)
    prefixes, takes = array("Q"), array("I")
    kinds: dict[tuple[int, float], int] = {}
    """Size and worst case of a request, of which a corpus has few → its number in `takes`."""
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
                takes.append(kinds.setdefault((size_of(body), worst(body) or 0.0), len(kinds)))
            if isinstance(asked, Pieces):
                split.append((len(prefixes) - len(prompts), len(prefixes)))
            asked_about.offer(prompts[0])
    keys = np.frombuffer(prefixes, dtype=np.uint64)
    new, there = _told_apart(keys, journal)
    counts = _counts(np.frombuffer(takes, dtype=np.uint32), new, len(kinds))
    sizes = Sizes(np.array([each for each, _ in kinds], dtype=np.float64), counts) + Sizes.of(_combining(made, split))
    worsts, combining = np.array([usd for _, usd in kinds], dtype=np.float64), _worst_of_combining(made, split)
    priced = made.prices.known(made.job.model.name) and len(sizes) > 0
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
        sizes=sizes,
        worst_usd=float(worsts @ counts + combining.sum()) if priced else None,
        worst_request_usd=float(max([*worsts[counts > 0], *combining])) if priced else None,
        bought=bought.items,
        sample=asked_about.items,
        spent=journal.spent(),
    )


def _told_apart(keys: NDArray[np.uint64], journal: Known) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each request: whether it is to be bought, of equal ones once; and whether a reply to it is there."""
    new, there = np.zeros(len(keys), dtype=np.bool_), np.zeros(len(keys), dtype=np.bool_)
    begins = keys.view(np.uint8)[0::8] % SHARES
    for share in range(SHARES):
        (at,) = np.nonzero(begins == share)
        of_share, first = np.unique(keys[at], return_index=True)
        there[at] = journal.has(keys[at])
        new[at[first]] = ~journal.has(of_share)
    return new, there


def _counts(takes: NDArray[np.uint32], new: NDArray[np.bool_], kinds: int) -> NDArray[np.int64]:
    """How many new requests there are of each kind."""
    counts = np.zeros(kinds, dtype=np.int64)
    for first in range(0, len(takes), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        counts += np.bincount(takes[part][new[part]], minlength=kinds)
    return counts


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


def _combining(made: Loaded, split: list[tuple[int, int]]) -> NDArray[np.float64]:
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
