"""The one place where the stages meet: rows in, outcomes out.

    Row ─ prompt ─► Prompt ─ caller ─► Reply | Failure ─ judge ─► Answer | Rejection ─► Outcome
                       ▲                                              │
                       └──────────────── again ───────────────────────┘

A stage receives values, never the run. A rejected reply becomes the next ask and goes back into the stream of prompts, so the
same loop serves a caller that answers at once and one that answers tomorrow.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field

from pipeline.call.caller import Caller
from pipeline.events import AskedAgain, Listener
from pipeline.records import Answer, Failure, Origin, Outcome, Prompt, Rejection, Reply, Row, Status, Usage
from pipeline.render.prompt import Unaskable, again

BREATH = 256
"""Rows that make no prompt in a row before the loop lets others run."""


@dataclass(frozen=True, slots=True)
class Stages:
    prompt: Callable[[Row], Prompt | Unaskable]
    caller: Caller
    judge: Callable[[Reply], Answer | Rejection]
    price: Callable[[Reply], float | None]
    """USD of one reply, asked once for each; None when its model has no price."""
    asks: int
    """Questions a row may take: `check.asks`."""
    tell: Listener


@dataclass(slots=True)
class _Open:
    """A row that is being asked about, with what it has taken so far."""

    row: Row
    first: Prompt
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    attempts: int = 0

    bought: bool = False
    """Whether any of its replies was paid for on its own account."""
    last: tuple[Prompt, Reply, Rejection] | None = None
    """The last reply that was no answer."""

    def add(self, reply: Reply, cost_usd: float | None) -> None:
        if reply.origin is Origin.ELSEWHERE:
            return
        self.bought = True
        self.usage += reply.usage
        self.attempts += reply.attempts
        self.cost_usd = None if self.cost_usd is None or cost_usd is None else self.cost_usd + cost_usd


Emit = Callable[[Row, Outcome, Prompt | None], None]
"""Takes a row's outcome and the first prompt about it (None where it made none)."""


async def analyse(rows: Iterator[Row | None], stages: Stages, emit: Emit, halt: asyncio.Event) -> None:
    """Drives every row to its outcome, given to `emit` in order of completion. A None among the rows lets others run: whoever
    has long work to do between two rows gives one now and then.

    `halt` stops the taking of rows; those in flight still end. Rows that the run could not finish get no outcome: they are
    pending. Raises what the caller raises when the account or the service stops the run, after the last emit.
    """
    opened: dict[int, _Open] = {}
    waiting: deque[Prompt] = deque()
    moved = asyncio.Event()

    async def prompts() -> AsyncGenerator[Prompt]:
        """Re-asks first, then new rows; ends when nothing is open any more."""
        unasked = 0
        more = True
        while not halt.is_set():
            if waiting:
                yield waiting.popleft()
                continue
            if not more:
                if not opened:
                    return
                moved.clear()
                await moved.wait()
                continue
            try:
                row = next(rows)
            except StopIteration:
                more = False
                continue
            if row is None:
                await asyncio.sleep(0)
                continue
            prompt = stages.prompt(row)
            if isinstance(prompt, Unaskable):
                emit(row, Outcome(row.position, Status.INPUT_ERROR, prompt.reason), None)
                unasked += 1
                if unasked % BREATH == 0:
                    await asyncio.sleep(0)
                continue
            opened[row.position] = _Open(row, prompt)
            yield prompt

    async with aclosing(prompts()) as asked, aclosing(stages.caller.replies(asked)) as replies:
        async for prompt, result in replies:
            state = opened[prompt.position]
            if isinstance(result, Reply):
                state.add(result, stages.price(result))
                verdict = stages.judge(result)
                if isinstance(verdict, Rejection) and verdict.complaint is not None and prompt.ask < stages.asks:
                    stages.tell(AskedAgain(prompt.key, prompt.ask + 1, verdict.error))
                    state.last = (prompt, result, verdict)
                    waiting.append(again(prompt, result, verdict.complaint))
                    moved.set()
                    continue
                emit(state.row, _judged(prompt, result, verdict, state), state.first)
            elif prompt.use == "paid" and state.last is not None:
                emit(state.row, _judged(*state.last, state), state.first)
            elif result.status is not Status.PENDING:
                emit(state.row, _failed(prompt, result, state), state.first)
            del opened[prompt.position]
            moved.set()


def _judged(prompt: Prompt, reply: Reply, verdict: Answer | Rejection, state: _Open) -> Outcome:
    answered = isinstance(verdict, Answer)
    if isinstance(verdict, Answer):
        repaired = bool(verdict.repairs)
        status, error, repairs = Status.OK_REPAIRED if repaired else Status.OK, None, verdict.repairs
        # The standard library's encoder: it carries integers of any size, which a schema may admit.
        value = json.dumps(verdict.value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    else:
        status, error, repairs, value = verdict.status, verdict.error, (), None
    return Outcome(
        position=prompt.position,
        status=status,
        error=error,
        answer=value,
        repairs=repairs,
        asks=prompt.ask,
        attempts=state.attempts,
        reused=not state.bought,
        model=reply.model,
        stop_reason=reply.stop_reason,
        message_id=reply.message_id,
        request_id=reply.request_id,
        usage=state.usage,
        cost_usd=state.cost_usd,
        latency_s=reply.latency_s,
        answered_at=reply.at,
        raw=None if answered else reply.text,
    )


def _failed(prompt: Prompt, failure: Failure, state: _Open) -> Outcome:
    return Outcome(
        position=prompt.position,
        status=failure.status,
        error=failure.error,
        asks=prompt.ask,
        attempts=state.attempts + failure.attempts,
        request_id=failure.request_id,
        usage=state.usage,
        cost_usd=state.cost_usd,
    )
