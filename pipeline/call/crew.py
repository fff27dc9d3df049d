"""Who sends the next request where several send for one run, and what it means when one of them ends. Pure.

The run's own process decides everything (rows, limits, budget, journal, answers); members of a crew only send what they are
given and bring back what came. They may be processes here or actors on other machines: this file knows them by number.

They are started when there is work for them: five new rows a night need one. A member that ends takes the requests that it had
with it. Each may have reached the service and been billed, which is a doubt like that after a lost connection, and is judged by
the same rules; but it says nothing of the service. One that has ended is replaced as it was started, when there is work. Where
member after member ends before it has brought anything back, more of them will not help.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from pipeline.call.caller import Broken
from pipeline.errors import WorkersLost

FULL = 8
"""Requests at once for which one more is worth its start, about a second of CPU and 170 MB."""
FRUITLESS = 5
"""Members in a row that end before they have brought back anything."""
MOST_FED = 3
"""What is left to the run's own process costs about half of what a request costs its sender (measured 2026-11: 0.5 and 1.2 ms
of CPU a row): it can feed so many, and no more."""
REPLY_S = 1.0
"""Few replies of a model come sooner."""
REQUESTS_A_SECOND = 500.0
"""What one process sends at ease, with all else that a row takes."""
BUSY = 0.7
"""Share of a core."""


def useful(cores: int) -> int:
    """Members that one process can keep busy on so many cores; 0: it is better off sending itself."""
    return min(cores, MOST_FED) if cores > 1 else 0


def enough(concurrency: int, requests_per_minute: int | None, *, cores: int) -> int:
    """How many processes send so much at ease, never more than there are cores; where that must be known beforehand."""
    at_most = concurrency / REPLY_S
    if requests_per_minute is not None:
        at_most = min(at_most, requests_per_minute / 60)
    return max(1, min(cores, ceil(at_most / REQUESTS_A_SECOND)))


def is_busy(cpu_s: float, wall_s: float) -> bool:
    """Whether a process that used so much CPU in so long is likely what a run waits for, and not the service."""
    return wall_s > 0 and cpu_s / wall_s >= BUSY


@dataclass(slots=True, eq=False)
class Member:
    """One of a crew."""

    number: int
    """From 1; no two of a run have the same."""
    ready: bool = False
    """It takes requests."""
    out: int = 0
    """Requests that it has."""
    fruitful: bool = False
    """It has brought back something."""


@dataclass(slots=True)
class Crew:
    most: int
    """Members at a time; 0: none are wanted yet."""
    members: list[Member] = field(default_factory=list)
    """Those that were started and have not ended, the oldest first."""
    started: int = 0
    """All that were ever started."""
    fruitless: int = 0
    """Members in a row, up to the last one that ended, that brought back nothing; while no other did either."""

    @property
    def over(self) -> bool:
        """Nothing more can be sent."""
        return self.fruitless >= FRUITLESS

    @property
    def ready(self) -> bool:
        """Whether any member takes requests."""
        return any(member.ready for member in self.members)

    def join(self, requests: int) -> Member | None:
        """One more, if it is wanted for so many requests, those with a member and those that wait for one: start it."""
        if self.over or len(self.members) >= min(self.most, ceil(requests / FULL)):
            return None
        self.started += 1
        member = Member(self.started)
        self.members.append(member)
        return member

    def least(self) -> Member | None:
        """Who has the fewest requests; None: nobody is ready."""
        return min((one for one in self.members if one.ready), key=_load, default=None)

    def took(self, member: Member) -> None:
        """It has one more request."""
        member.out += 1

    def gave(self, member: Member) -> None:
        """It has brought back one, with whatever result."""
        member.out -= 1
        member.fruitful = True
        self.fruitless = 0

    def lost(self, member: Member, how: str) -> str:
        """It has ended; how, in a few words, if known. What a person is told. The requests that it had are `lost_with_it`, all
        that come after are `nobody_left` if it was one too many."""
        self.members.remove(member)
        self.fruitless += not member.fruitful
        had = f"{member.out:,} requests that it had may have been paid" if member.out else "it had no request"
        return f"a worker ended ({how}): {had}; " + (
            f"{self.fruitless} have ended one after the other without a reply" if self.over else "others go on with its work"
        )


def _load(member: Member) -> int:
    return member.out


def lost_with_it(how: str, latency_s: float) -> Broken:
    """What has become of a request that a member had when it ended, `latency_s` after it was given to it."""
    return Broken(sent=True, error=f"the worker that sent it ended ({how})", latency_s=latency_s, ours=True)


def nobody_left(how: str) -> Broken:
    """What becomes of a request when nothing can be sent any more; how the last member ended."""
    error = f"{FRUITLESS} workers ended one after the other before a reply came, the last one so: {how}"
    return Broken(sent=False, error=error, latency_s=0.0, ours=True, stop=WorkersLost)
