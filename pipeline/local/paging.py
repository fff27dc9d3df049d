"""Pages of a list, as the API cuts them: `limit`, `after_id`, `before_id`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.local.errors import invalid

USUAL = 20
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Which entries, as a slice of all, and whether there are more the way one is going."""

    start: int
    end: int
    has_more: bool


def page(ids: Sequence[str], query: Mapping[str, str], what: str, most: int = MOST) -> Page:
    """The page that `query` asks of a list whose entries, each a `what`, have these ids; no longer than `most`.

    Raises ApiError 400 where the query makes no sense.
    """
    limit = min(_limit(query.get("limit", str(USUAL))), most)
    after, before = query.get("after_id"), query.get("before_id")
    start, end = 0, len(ids)
    if after is not None:
        start = _index(ids, after, "after_id", what) + 1
    if before is not None:
        end = _index(ids, before, "before_id", what)
        start = max(start, end - limit)
    more = start > 0 if before is not None else start + limit < end
    return Page(start, min(end, start + limit), more)


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise invalid(f"limit: Input should be a whole number from 1 to {MOST}")
    return int(text)


def _index(ids: Sequence[str], name: str, field: str, what: str) -> int:
    if name not in ids:
        raise invalid(f"{field}: no {what} has the id {name!r}")
    return ids.index(name)
