"""What is set about batches: by a person, and for how often they are asked about. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.call.parcel import MOST_REQUESTS


@dataclass(frozen=True, slots=True)
class Pace:
    first_s: float = 5.0
    longest_s: float = 60.0
    growth: float = 1.5
    settle_s: float = 60.0
    """A batch may appear in the list so long after its request was lost."""
    told_s: float = 900.0
    """The longest time between two lines of progress."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person has set."""

    share: float = 0.5
    """Price in a batch, as a share of the price online."""
    size: int = MOST_REQUESTS
    queue: int = 2 * MOST_REQUESTS
    """Requests in all batches that are out together."""
    after_expiry: Literal["batch", "online"] = "batch"
    attempts: int = 6
    longest_wait_s: float = 900.0
    hold: bool = False
    """What may have been paid is not sent again."""
    max_alike: int | None = 20
    """Rows in a row that may fail alike before the run stops; None: any number."""
    passing: bool = False
    """The server ends with the run, and all its batches with it: none of an earlier run is there any more."""
    online: bool = False
    """Nothing new is put into a batch: those of an earlier run are collected, the rest is asked online."""
