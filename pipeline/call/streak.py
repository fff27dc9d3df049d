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
class Streak:
    most: int | None
    """Rows in a row that may fail alike: `run.max_alike`; None: any number."""
    proven: bool
    """Whether an earlier request of this form was answered, so that a refusal is more likely the row's own."""
    _held: deque[_Held] = field(default_factory=deque)
    _ended: deque[str | None] = field(default_factory=deque)
    """How the last rows ended; None: with a reply."""
    _counts: Counter[str | None] = field(default_factory=Counter)
    _alike: int = 0
    """Rows in a row, up to the last one, that failed alike."""
    _kind: str | None = None
    _first: int = 0
    _last: int = 0
    """Their requests, as they left: the first and the last of them."""
    _words: str | None = None
    _in_one_voice: int = 0
    """Of these, rows that were told the very same."""
    _row: int = -1
    """The position of the last row that failed."""

    def answered(self, request: int) -> None:
        """A row got its reply. Requests are numbered as they leave: one that was out already when the first of those that
        fail alike left says nothing of what came after it."""
        self._end(None)
        self.proven = True
        for held in self._held:
            held.later += held.request < request
        if request > self._first:
            self._alike = self._in_one_voice = 0
            self._words = None

    def failed(self, prompt: Prompt, failure: Failure, verdict: Verdict, request: int) -> PipelineError | None:
        """A row ended without; it is held back. What the run ends with, if too many failed alike. The pieces of one text count
        as one row: what is wrong with one of them may well be wrong with all."""
        if prompt.piece and prompt.position == self._row and verdict.concerns is not Concerns.SERVICE:
            self._held.append(_Held(prompt, failure, request))
            return None
        self._row = prompt.position
        self._in_one_voice = self._in_one_voice + 1 if failure.error == self._words else 1
        self._words = failure.error
        kind = SERVICE if verdict.concerns is Concerns.SERVICE else verdict.kind or verdict.condition
        if kind != self._kind or not self._alike:
            self._kind, self._first, self._last, self._alike = kind, request, request, 0
        self._alike += 1
        self._first, self._last = min(self._first, request), max(self._last, request)
        self._end(kind)
        self._held.append(_Held(prompt, failure, request))
        if self.most is None or verdict.ends is None:
            return None
        canaries = not self.proven and verdict.plain and self._in_one_voice >= CANARIES
        share = len(self._ended) == WINDOW and self._counts[kind] >= SHARE * WINDOW
        # Of a row that found no service only the last of several requests is known.
        dense = kind == SERVICE or self._alike >= DENSE * (self._last - self._first + 1)
        if not (canaries or share or (self._alike >= self.most and dense)):
            return None
        rows = f"the first {self._alike}" if canaries else f"the last {self._alike}" if self._alike > 1 else "most"
        todo = TODO if issubclass(verdict.ends, ConfigInvalid) else None
        how = "found no service" if issubclass(verdict.ends, ServiceDown) else "were refused alike"
        return verdict.ends(f"{rows} rows {how}, so it is not the rows, and none of them is marked: {failure.error}", todo=todo)

    def released(self) -> list[tuple[Prompt, Failure]]:
        """Rows that need not be held back any more: they failed for their own sake."""
        if self.most is None:
            return self.all()
        gone = []
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
        gone = [(held.prompt, held.failure) for held in self._held]
        self._held.clear()
        return gone

    def _end(self, kind: str | None) -> None:
        self._ended.append(kind)
        self._counts[kind] += 1
        if len(self._ended) > WINDOW:
            gone = self._ended.popleft()
            self._counts[gone] -= 1
            if not self._counts[gone]:
                del self._counts[gone]
