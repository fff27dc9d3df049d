"""What happened, for whoever listens: the core tells, it never prints.

A listener is any callable that takes an Event; wiring joins the log, the progress display and whoever else
wants to hear. Events carry figures and words of ours, never documents, prompts or keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.records import Outcome


@dataclass(frozen=True, slots=True)
class Planned:
    """The keys of the input were read: so many rows there are."""

    rows: int


@dataclass(frozen=True, slots=True)
class Kept:
    """So many more rows have an outcome from an earlier run that still holds."""

    rows: int


@dataclass(frozen=True, slots=True)
class RowEnded:
    """A row has its outcome, and the journal has been told."""

    key: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """A reply was no answer and the row is asked once more."""

    key: str
    ask: int
    error: str
    reused: bool = False
    """Whether that reply was bought for an identical request of another row."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt failed and another will be made after `wait_s`."""

    key: str
    attempt: int
    wait_s: float
    error: str
    billed: bool = False
    """Whether the failed attempt may have been billed."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A request, of this run or of an earlier one that was interrupted, may have been paid and its reply is lost: the ask is
    sent again just now."""

    key: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many requests are out just now, and how many may be."""

    now: int
    limit: int


@dataclass(frozen=True, slots=True)
class AtService:
    """What is in batches just now, and so with the service."""

    batches: int
    requests: int
    oldest_s: float
    """Since the oldest of them was sent."""


@dataclass(frozen=True, slots=True)
class Spending:
    """How much of the budget is gone: by this run, and by those before it that did not finish. In USD."""

    paid_usd: float
    doubtful_usd: float
    """For requests that may have been paid and whose reply is lost: their worst case."""
    budget_usd: float


@dataclass(frozen=True, slots=True)
class Stopping:
    """No new request is sent; `why` is for a person."""

    why: str


@dataclass(frozen=True, slots=True)
class Publishing:
    """The output table is being written."""

    path: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know, in a sentence."""

    text: str


Event: TypeAlias = (
    Planned
    | Kept
    | RowEnded
    | AskedAgain
    | Retrying
    | InDoubt
    | InFlight
    | AtService
    | Spending
    | Stopping
    | Publishing
    | Notice
)
Listener: TypeAlias = Callable[[Event], None]
