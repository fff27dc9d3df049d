"""What a run is given and what it gives back. Made by wiring; everything is a value or a port."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from pipeline.call.caller import BatchServer
from pipeline.call.online import Limits
from pipeline.call.terms import Pace, Terms
from pipeline.call.wire import Shape
from pipeline.errors import PipelineError
from pipeline.events import Listener
from pipeline.gathering import Combine
from pipeline.measure.gold import Agreed
from pipeline.measure.summary import Summary
from pipeline.read.fingerprint import Fingerprint
from pipeline.read.media import Media
from pipeline.read.source import Source
from pipeline.records import JSON, Answer, Pieces, Prompt, Prose, Rejection, Reply, Row
from pipeline.remote import Place
from pipeline.render.prompt import Unaskable
from pipeline.write.rundir import RunFolder
from pipeline.write.table_columns import Columns

REQUEST = "request"
"""The part that stands for all of a request, with what this program puts into it."""
LONG, PAGES = "prompt.long", "input.pages_per_request"
"""The parts of a job that asks about long texts in pieces or without their end, and about long PDFs in several requests."""


@dataclass(frozen=True, slots=True)
class Work:
    """All that wiring has made of a config."""

    source: Source
    key: str | None
    """The key column."""
    limit: int | None
    """Rows that the source was cut to."""
    needs: tuple[str, ...]
    """Columns that a prompt takes."""
    media: Media | None
    """Reads a row's pictures and documents; None where rows hold texts only."""
    prompt: Callable[[Row], Prompt | Pieces | Unaskable]
    """Of a row with its media."""
    follow: Callable[[Row, Prompt, Reply, Sequence[JSON]], Prompt | Unaskable]
    again: Callable[[Prompt, Reply, Rejection], Prompt | None]
    shape: Shape
    judges: Sequence[Callable[[Reply], Answer | Prose | Rejection]]
    """One for each turn of `prompt.user`."""
    judged_by: str
    """Digest of schema and check: replies are judged again, free, when it changes."""
    price: Callable[[Reply], float | None]
    worst_usd: Callable[[Mapping[str, JSON]], float | None]
    """The most that a request with this body can cost; None where the model has no price."""
    budget_usd: float | None
    """What all runs up to the next that finishes may spend together; None: whatever it takes."""
    enums: Mapping[str, Sequence[str]]
    """Answer properties with few values, and those values."""
    columns: Columns
    output: Place
    folder: RunFolder
    described: Mapping[str, JSON]
    """The job in plain values, for job.json."""
    parts: Mapping[str, str]
    """Config key → digest of what it brings into every request: what may not change unnoticed."""
    connect: Callable[[], AbstractContextManager[Callable[[Listener], BatchServer]]]
    """Entered only when there is something to ask: starts what must run beside the job, gives what makes the transport.
    That in turn is called once, inside the event loop, with whoever is told of the transport's own troubles."""
    limits: Limits
    reserve_bytes: int
    """Disk for the replies that may be out at once, at their longest."""
    max_failed: int | str
    drain_s: float
    terms: Terms = field(default_factory=Terms)
    """Of batches."""
    pace: Pace = field(default_factory=Pace)
    combine: Combine | None = None
    """Of the answers to the pieces of a row; None where no row is asked about in pieces."""

    @property
    def columns_read(self) -> list[str]:
        """Columns that make a Row: those that a prompt takes, and the key."""
        return list(dict.fromkeys([*self.needs, *([self.key] if self.key is not None else [])]))

    def request_key(self, row: Row) -> bytes | None:
        """Of all that is asked about the row; None where nothing is."""
        prompt = self.asked(row)
        return None if prompt is None else self.shape.identity(prompt)

    def asked(self, row: Row) -> Prompt | Pieces | None:
        """The first question about a row as it was read, fit to be told from others but not to be sent; None where nothing is
        asked."""
        prompt = self.prompt(row if self.media is None else self.media.named().of(row))
        return None if isinstance(prompt, Unaskable) else prompt


@dataclass(frozen=True, slots=True)
class Result:
    summary: Summary
    answers: Mapping[str, Mapping[str, int]]
    """Property → value → rows."""
    agreements: Sequence[Agreed]
    note: str | None
    """A sentence about the published file that a person should know."""
    error: PipelineError | None = None
    """Why the run could not finish; nothing was published then."""


@dataclass(frozen=True, slots=True)
class Input:
    """The corpus as this run found it."""

    seen: Fingerprint
    rows: Sequence[int]
    """Of each file."""
