"""A row that is asked about in pieces: what each piece ended as → what the row ends as. Pure.

    pieces ─► asked side by side ─► each one's Outcome ─► combined ─► the row's Outcome, its figures summed
                                                           by rules, or by one more question

A row with a piece that has no answer has none: it says which piece, and why. No further piece of it is bought then; what is
paid for is looked up all the same, so that the row shows all that it has taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pipeline.records import JSON, Answer, Outcome, Pieces, Prompt, Rejection, Row, Status, Turn, Usage
from pipeline.render.prompt import Unaskable

Combine: TypeAlias = "Callable[[Pieces, Sequence[Mapping[str, JSON]]], Answer | Rejection | Prompt | Unaskable]"
"""The answers to all pieces → the answer about the row, why there is none, or the question that asks for it."""


@dataclass(slots=True)
class Gathering:
    row: Row
    pieces: Pieces
    combine: Combine
    _given: int = field(default=0, init=False)
    """Pieces that are being asked or have ended."""
    _ended: dict[int, Outcome | None] = field(default_factory=dict, init=False)
    """Piece → what it ended as; None: it is as if never sent."""
    _is_lost: bool = field(default=False, init=False)
    """Whether a piece has no answer."""
    _looked_up: set[int] = field(default_factory=set, init=False)
    """Pieces that came after that."""

    def next(self) -> Prompt | None:
        """The next piece to be asked about; None where there is none."""
        if self._given == len(self.pieces.prompts):
            return None
        self._given += 1
        asked = self.pieces.prompts[self._given - 1]
        if not self._is_lost:
            return asked
        self._looked_up.add(asked.piece)
        return replace(asked, use="paid")

    def ended(self, prompt: Prompt, outcome: Outcome | None, *, is_out: bool = False) -> Prompt | Outcome | None:
        """What follows once a piece, or the question that combines them, has ended: that question, the row's end, or nothing
        yet. `outcome` None: what was asked is as if never sent, and so is the row. `is_out`: that piece is in a batch, and the
        row waits for it, for it will be paid."""
        if prompt.combines:
            return None if outcome is None else self._summed(outcome)
        self._ended[prompt.piece] = outcome
        if is_out:
            self._looked_up.discard(prompt.piece)
        self._is_lost = self._is_lost or (outcome is not None and not outcome.status.answered)
        if len(self._ended) < len(self.pieces.prompts):
            return None
        if any(ended is None for piece, ended in self._ended.items() if piece not in self._looked_up):
            return self._unasked() if self.row.use == "paid" else None
        return self._lost() if self._is_lost else self._combined()

    def _answers(self) -> list[Outcome]:
        return [outcome for _, outcome in sorted(self._ended.items()) if outcome is not None]

    def _lost(self) -> Outcome:
        """By the first piece that has no answer; before all others by one in doubt, which only such a row is remembered for."""
        ended = ((piece, one) for piece, one in self._ended.items() if one is not None and not one.status.answered)
        failed, outcome = min(ended, key=lambda each: (each[1].status is not Status.IN_DOUBT, each[0]))
        unasked = sum(one is None for one in self._ended.values())
        left = f"; {unasked} further pieces were not asked" if unasked else ""
        told = f"piece {failed} of {len(self._ended)}: {outcome.error}{left}"
        return replace(self._summed(outcome, but=failed), error=told)

    def _unasked(self) -> Outcome:
        """Where only what is paid for may answer, and not all of it is."""
        number = sum(outcome is None for outcome in self._ended.values())
        told = (
            f"{number} of its {len(self.pieces.prompts)} pieces have no stored answer that stands since the check changed; "
            "--retry invalid_output asks about them"
        )
        return self._summed(Outcome(self.row.position, Status.INVALID_OUTPUT, told), but=None)

    def _combined(self) -> Prompt | Outcome:
        answers = self._answers()
        if len(answers) == 1:
            return self._summed(answers[0], but=1)
        made = self.combine(self.pieces, [json.loads(outcome.answer or "{}") for outcome in answers])
        last = max(answers, key=lambda outcome: outcome.answered_at or 0.0)
        kept = replace(last, answer=None, repairs=(), raw=None, asks=0, attempts=0, usage=Usage(), cost_usd=0.0)
        match made:
            case Prompt():
                return replace(made, use=self.row.use)
            case Answer():
                value = json.dumps(made.value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
                return self._summed(replace(kept, status=Status.OK, answer=value))
            case Rejection():
                return self._summed(replace(kept, status=made.status, error=made.error))
            case Unaskable():
                return self._summed(replace(kept, status=Status.INPUT_ERROR, error=made.reason))

    def _summed(self, outcome: Outcome, *, but: int | None = None) -> Outcome:
        """The same with all that the pieces took; piece `but` is that outcome itself."""
        ended = [(piece, one) for piece, one in sorted(self._ended.items()) if one is not None]
        each = [
            *_paid_once([(self.pieces.prompts[piece - 1], one) for piece, one in ended]),
            *([outcome] if but is None else []),
        ]
        costs = [one.cost_usd for one in each]
        mends = [f"piece {piece}: {mend}" for piece, one in ended if piece != but for mend in one.repairs]
        mends = mends if outcome.answer is not None else []
        asked = [one for one in each if one.asks]
        return replace(
            outcome,
            status=Status.OK_REPAIRED if mends and outcome.status is Status.OK else outcome.status,
            repairs=(*mends, *outcome.repairs),
            asks=sum(one.asks for one in each),
            attempts=sum(one.attempts for one in each),
            reused=bool(asked) and all(one.reused for one in asked),
            usage=sum((one.usage for one in each), start=Usage()),
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            pieces=len(self.pieces.prompts),
        )


def _paid_once(ended: Sequence[tuple[Prompt, Outcome]]) -> Iterator[Outcome]:
    """Pieces that are alike have the same replies, which one of them has paid for."""
    seen: set[tuple[Turn, ...]] = set()
    for prompt, outcome in sorted(ended, key=lambda each: each[1].reused):
        yield replace(outcome, attempts=0, usage=Usage(), cost_usd=0.0) if prompt.turns in seen else outcome
        seen.add(prompt.turns)
