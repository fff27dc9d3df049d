"""Whether rows fail for their own sake, or all alike. Pure.

A bad schema, a parameter that the model does not take, a model that lost a feature: the API answers them as it answers a bad
row. So a row that failed is held back until the rows after it have shown which it was: let go with the next success, or given
back as never asked when the run stops. What is held is bounded by the window.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace

from pipeline.call.classify import Verdict
from pipeline.call.conditions import Concerns
from pipeline.errors import ConfigInvalid, PipelineError, ServiceDown
from pipeline.records import Failure, Prompt, Status

CANARIES = 3
"""So many rows are tried one at a time before the first success; if all are refused in the same words, it is not the rows."""
WINDOW = 100
SHARE = 0.9
DENSE = 0.75
"""Share of the requests from the first that failed alike to the last that must have failed so. Refusals come back at once and
answers take their time: of a thousand requests that are out together, those of a few bad rows come first, one after the other,
and are no row of failures."""
FEW = 10
"""A failure that more successes than these came after can be one of too many no longer."""
SERVICE = "service"
TODO = (
    "mend the config, then run the same command again; if these rows really are at fault, "
    "--set run.max_alike=null lets each end for itself"
)


@dataclass(slots=True)
class _Held:
    prompt: Prompt
    failure: Failure
    request: int
    later: int = 0
    """Successes of requests that left after this one. Refusals come fast: those that were out before it say nothing."""


@dataclass(slots=True)
class Alike:
    """How rows have ended, whoever holds them."""

    most: int | None
    """Rows in a row that may fail alike: `run.max_alike`; None: any number."""
    proven: bool
    """Whether an earlier request of this form was answered, so that a refusal is more likely the row's own."""
    first: int = field(default=0, init=False)
    """The request of the first of those that fail alike."""
    _ended: deque[str | None] = field(default_factory=deque)
    """How the last rows ended; None: with a reply."""
    _counts: Counter[str | None] = field(default_factory=Counter)
    _alike: int = 0
    """Rows in a row, up to the last one, that failed alike."""
    _requests: int = 0
    """What they asked: of a text in pieces one row asks several times."""
    _kind: str | None = None
    _last: int = 0
    """The last of their requests, as they left."""
    _words: str | None = None
    _in_one_voice: int = 0
    """Of these, rows that were told the very same."""

    def answered(self, request: int) -> None:
        """A row got its reply. Requests are numbered as they leave: one that was out already when the first of those that
        fail alike left says nothing of what came after it."""
        self._end(None)
        self.proven = True
        if request > self.first:
            self._alike = self._in_one_voice = 0
            self._words = None

    def failed(self, words: str, verdict: Verdict, request: int) -> PipelineError | None:
        """A row ended without. What the run ends with, if too many failed alike."""
        self._in_one_voice = self._in_one_voice + 1 if words == self._words else 1
        self._words = words
        kind = SERVICE if verdict.concerns is Concerns.SERVICE else verdict.kind or verdict.condition
        if kind != self._kind or not self._alike:
            self._kind, self.first, self._last, self._alike, self._requests = kind, request, request, 0, 0
        self._alike += 1
        self.failed_too(request)
        self._end(kind)
        if self.most is None or verdict.ends is None:
            return None
        canaries = not self.proven and verdict.plain and self._in_one_voice >= CANARIES
        share = len(self._ended) == WINDOW and self._counts[kind] >= SHARE * WINDOW
        # Of a row that found no service only the last of several requests is known.
        dense = kind == SERVICE or self._requests >= DENSE * (self._last - self.first + 1)
        if not (canaries or share or (self._alike >= self.most and dense)):
            return None
        rows = f"the first {self._alike}" if canaries else f"the last {self._alike}" if self._alike > 1 else "most"
        todo = TODO if issubclass(verdict.ends, ConfigInvalid) else None
        how = "found no service" if issubclass(verdict.ends, ServiceDown) else "were refused alike"
        return verdict.ends(f"{rows} rows {how}, so it is not the rows, and none of them is marked: {words}", todo=todo)

    def failed_too(self, request: int) -> None:
        """One more request of the row that failed last."""
        self._requests += 1
        self.first, self._last = min(self.first, request), max(self._last, request)

    def _end(self, kind: str | None) -> None:
        self._ended.append(kind)
        self._counts[kind] += 1
        if len(self._ended) > WINDOW:
            gone = self._ended.popleft()
            self._counts[gone] -= 1
            if not self._counts[gone]:
                del self._counts[gone]


@dataclass(slots=True)
class Streak:
    """The same, with the rows that are held back."""

    most: int | None
    proven: bool
    _alike: Alike = field(init=False)
    _held: deque[_Held] = field(default_factory=deque, init=False)
    _row: int = field(default=-1, init=False)
    """The position of the last row that failed."""
    _further: list[tuple[Prompt, Failure]] = field(default_factory=list, init=False)
    """Other pieces of a row that failed: its first one is held, and with it the row."""

    def __post_init__(self) -> None:
        self._alike = Alike(self.most, self.proven)

    def answered(self, request: int) -> None:
        """A row got its reply."""
        for held in self._held:
            held.later += held.request < request
        self._alike.answered(request)

    def failed(self, prompt: Prompt, failure: Failure, verdict: Verdict, request: int) -> PipelineError | None:
        """A row ended without; it is held back. What the run ends with, if too many failed alike. The pieces of one text count
        as one row: what is wrong with one of them may well be wrong with all."""
        if prompt.piece and prompt.position == self._row and verdict.concerns is not Concerns.SERVICE:
            self._further.append((prompt, failure))
            self._alike.failed_too(request)
            return None
        self._row = prompt.position
        self._held.append(_Held(prompt, failure, request))
        return self._alike.failed(failure.error, verdict, request)

    def released(self) -> list[tuple[Prompt, Failure]]:
        """Rows that need not be held back any more: they failed for their own sake."""
        if self.most is None:
            return self.all()
        gone, self._further = self._further, []
        while self._held and (self._held[0].later > FEW or len(self._held) > WINDOW):
            held = self._held.popleft()
            gone.append((held.prompt, held.failure))
        return gone

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def taken_back(self) -> list[tuple[Prompt, Failure]]:
        """Everything held, as never asked."""
        return [(prompt, replace(failure, status=Status.PENDING)) for prompt, failure in self.all()]

    def all(self) -> list[tuple[Prompt, Failure]]:
        """Everything held, which then is not held any more."""
        gone = [*self._further, *((held.prompt, held.failure) for held in self._held)]
        self._further = []
        self._held.clear()
        return gone
