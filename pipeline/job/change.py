"""What was paid for and would be bought again: refused until someone says that it may be.

Either the request has changed, by prompt, schema, model or setting, or the replies were forgotten (`pipeline purge`), or their
file is gone. A nightly run must not spend a corpus' money twice because a file was edited or removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import ConfigInvalid
from pipeline.job.work import LONG, PAGES, REQUEST, Work
from pipeline.read.rows import rows
from pipeline.records import JSON, Pieces, Prompt, Row
from pipeline.show.text import dollars
from pipeline.write.journal import Journal
from pipeline.write.purge import PURGED, PURGED_AT

SEEN = 200_000
"""Rows whose requests are compared, some ten seconds' work; beyond them the same share is taken for granted."""
PARTS = "parts"
"""Key of job.json: config key → digest of what it brought into every request. Without it nothing has been paid for."""
ACCEPT = "pay again with --accept-change"


@dataclass(frozen=True, slots=True)
class Again:
    """What the rows of an input would cost under the present request, having been paid for under an earlier one."""

    replies: int
    """Paid for, and the answer to nothing that is asked now. Re-asks about the same row are not counted apart."""
    requests: int
    """Distinct ones that no stored reply answers: a reply from before an earlier change counts, too."""
    exact: bool = True
    """False where not all rows were compared."""


def refuse_loss(work: Work) -> None:
    """Before the journal is opened, which would make a new one: raises ConfigInvalid where there was one and it is gone."""
    last = work.folder.read_json(work.folder.job) or {}
    if PURGED_AT in last:
        raise ConfigInvalid(
            f"the stored replies of {work.folder.path} were forgotten at {last[PURGED_AT]} ({last.get(PURGED)}): "
            "a run asks about every row again and pays for it",
            todo=ACCEPT,
        )
    refuse_gone(work)


def refuse_gone(work: Work) -> None:
    """Of a job that was not purged: raises ConfigInvalid where its journal is gone."""
    last = work.folder.read_json(work.folder.job) or {}
    journal = work.folder.journal
    if PURGED_AT not in last and PARTS in last and not (journal.exists() and journal.stat().st_size):
        raise ConfigInvalid(
            f"the journal {journal} is gone, and with it all that was paid for: a run would pay for it again",
            todo=f"bring it back, with what lies beside it, or {ACCEPT}",
        )


def refuse_change(work: Work, journal: Journal, sizes: Sequence[int]) -> None:
    """Raises ConfigInvalid where something would be bought again; what changed without that is let pass.

    `sizes`: rows of each file.
    """
    parts = (work.folder.read_json(work.folder.job) or {}).get(PARTS)
    changed = _changed(parts, work.parts) if isinstance(parts, dict) else []
    stored, row_cost_usd = journal.paid() if changed else (0, None)
    if not stored:
        return
    again = bought_again(work, journal, sum(sizes))
    if again.requests:
        raise ConfigInvalid(
            f"{', '.join(changed)} changed since {work.folder.path} was paid for: {_told(again, row_cost_usd)}",
            todo=f"undo the change, or give the job another name, or {ACCEPT}",
        )


def _changed(before: Mapping[str, JSON], now: Mapping[str, str]) -> list[str]:
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    # The whole request changes with any part of it; alone, it is this program that asks differently.
    return [name for name in names if name != REQUEST] or names


def bought_again(work: Work, journal: Journal, total: int) -> Again:
    """Compares the rows in their order; `total`: how many there are."""
    replies: set[bytes] = set()
    requests: set[bytes] = set()
    seen = 0
    # Of several turns, or pieces, the journal holds the requests one by one, not the row's identity: what an answered row cost
    # is lost as soon as any of them is another.
    several = _several(work)
    for row, paid in _rows(work, journal, several=several):
        seen += 1
        if paid is not None and (several or journal.holds(paid)):
            asked = work.asked(row)
            now = None if asked is None else work.shape.identity(asked)
            if asked is not None and now is not None and now != paid and (new := _unpaid(work, journal, asked, now)):
                replies.add(paid)
                requests.update(new)
        if seen == SEEN:
            break
    if seen >= total:
        return Again(len(replies), len(requests))
    return Again(len(replies) * total // seen, len(requests) * total // seen, exact=False)


def _several(work: Work) -> bool:
    """Whether what a row asks, now or when it was paid for, may be more than one request."""
    before = (work.folder.read_json(work.folder.job) or {}).get(PARTS)
    parts = {*work.parts, *(before if isinstance(before, dict) else ())}
    return bool(work.shape.earlier) or not parts.isdisjoint((LONG, PAGES))


def _unpaid(work: Work, journal: Journal, asked: Prompt | Pieces, now: bytes) -> list[bytes]:
    """The requests of a row, whose identity is `now`, that no stored reply answers; of several turns, that identity."""
    if isinstance(asked, Pieces):
        new = [key for key in map(work.shape.key, asked.prompts) if not journal.holds(key)]
        return [*new, now] if new or work.shape.combining is not None else []  # what combines them depends on their answers
    if work.shape.earlier:
        return [now]
    key = work.shape.key(asked)
    return [] if journal.holds(key) else [key]


def _rows(work: Work, journal: Journal, *, several: bool) -> Iterator[tuple[Row, bytes | None]]:
    """Each row with the request that was made about the row at its position; of several, their identity."""
    left = {} if several else {position: opened.key for (position, ask), opened in journal.opened.items() if ask == 1}
    for batch in work.source.batches(work.columns_read):
        had = journal.ended_in(batch.start, batch.start + batch.table.num_rows)
        for row in rows(batch, work.needs, work.key):
            yield row, had[row.position][0] if row.position in had else left.get(row.position)


def _told(again: Again, row_cost_usd: float | None) -> str:
    about = "" if again.exact else "about "
    replies = f"{about}{again.replies:,} paid {'reply does' if again.replies == 1 else 'replies do'} not apply any more"
    requests = f"{about}{again.requests:,} {'request' if again.requests == 1 else 'requests'}"
    cost = "at a price that is not known" if row_cost_usd is None else f"some {dollars(again.requests * row_cost_usd)}"
    return f"{replies}; to buy their answers again takes {requests}, {cost} going by what they cost so far"
