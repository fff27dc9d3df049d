"""The one place where the stages meet: rows in, outcomes out.

    Row ─ prompt ─► Prompt ─ caller ─► Reply | Failure ─ judge ─► Answer | Prose | Rejection ─► Outcome
                       ▲                                              │
                       └───────────── follow, again ──────────────────┘

A row whose text is too long for one request goes this way in pieces, each of which ends as an Outcome; gathering.py makes one
of them.

A stage receives values, never the run. A rejected reply becomes the next ask, a reply that stands before the last turn of
`prompt.user` the next turn; both go back into the stream of prompts, so the same loop serves a caller that answers at once and
one that answers tomorrow.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from pipeline.call.caller import Caller
from pipeline.events import AskedAgain, Listener
from pipeline.gathering import Combine, Gathering
from pipeline.records import JSON, Answer, Failure, Origin, Outcome, Pieces, Prompt, Prose, Rejection, Reply, Row, Status, Usage
from pipeline.render.prompt import Unaskable

BREATH = 256
"""Rows that make no prompt in a row before the loop lets others run."""


@dataclass(frozen=True, slots=True)
class Stages:
    prompt: Callable[[Row], Prompt | Pieces | Unaskable]
    """The first question about a row, or about each piece of it."""
    follow: Callable[[Row, Prompt, Reply, Sequence[JSON]], Prompt | Unaskable]
    """The next turn, after a reply that stands; with the replies to all turns so far."""
    again: Callable[[Prompt, Reply, Rejection], Prompt | None]
    """The same turn once more; None where it has been asked often enough, or where that would not help."""
    caller: Caller
    judges: Sequence[Callable[[Reply], Answer | Prose | Rejection]]
    """One for each turn of `prompt.user`; the last gives an Answer, never Prose."""
    price: Callable[[Reply], float | None]
    """USD of one reply, asked once for each; None when its model has no price."""
    tell: Listener
    combine: Combine | None = None
    """Of the answers to the pieces of a row; needed where `prompt` gives Pieces."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a row has taken so far."""

    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    attempts: int = 0
    bought: bool = False
    """Whether any of its replies was paid for on its own account."""

    def plus(self, reply: Reply, cost_usd: float | None) -> _Taken:
        if reply.origin is Origin.ELSEWHERE:
            return self
        cost = None if self.cost_usd is None or cost_usd is None else self.cost_usd + cost_usd
        return _Taken(self.usage + reply.usage, cost, self.attempts + reply.attempts, bought=True)


@dataclass(slots=True)
class _Open:
    """A row that is being asked about, or one of its pieces."""

    row: Row
    first: Prompt
    turn: Prompt
    """The first question of the present turn."""
    taken: _Taken = field(default_factory=_Taken)
    before: _Taken = field(default_factory=_Taken)
    """Taken by the turns that are done."""
    replies: tuple[JSON, ...] = ()
    """To those turns: a text, or the answer's value."""
    repairs: tuple[str, ...] = ()
    """Mends of those."""
    last: tuple[Prompt, Reply, Rejection] | None = None
    """The last reply to the present turn that was no answer."""
    whole: Gathering | None = None
    """The row, where this is a piece of it, or the question that combines them."""

    def looks(self, prompt: Prompt) -> bool:
        """Whether a person asked to try this row again, and this question only looks what of it is paid for and stands."""
        return self.row.use == "new" and prompt.use == "paid"

    def begin(self, turn: Prompt, turns: int) -> Prompt:
        """The first question of a turn as it is to be asked. What is tried again is only what did not stand: a turn before
        the last is looked up first, and so is a piece."""
        if self.row.use == "new":
            turn = replace(turn, use="paid" if turn.step + 1 < turns or turn.piece else "new")
        self.turn, self.before, self.last = turn, self.taken, None
        return turn

    def anew(self) -> Prompt:
        """The present turn from its first question, bought."""
        self.taken, self.last = self.before, None
        return replace(self.turn, use="new")


Emit = Callable[[Row, Outcome, Prompt | Pieces | None], None]
"""Takes a row's outcome and the first prompt about it, or about each of its pieces (None where it made none)."""


def _nothing(_: Row) -> None: ...


async def analyse(
    rows: Iterator[Row | None], stages: Stages, emit: Emit, halt: asyncio.Event, left: Callable[[Row], None] = _nothing
) -> None:
    """Drives every row to its outcome, given to `emit` in order of completion. A None among the rows lets others run: whoever
    has long work to do between two rows gives one now and then.

    `halt` stops the taking of rows; those in flight still end. Rows that the run could not finish get no outcome: they are
    pending, and `left` is told of those that the caller has given back. Raises what the caller raises when the account or the
    service stops the run, after the last emit.
    """
    opened: dict[tuple[int, int], _Open] = {}
    """By position and piece."""
    waiting: deque[Prompt] = deque()
    moved = asyncio.Event()

    async def prompts() -> AsyncGenerator[Prompt]:
        """Re-asks first, then the pieces of a row that was begun, then new rows; ends when nothing is open any more."""
        unasked = 0
        more = True
        whole: Gathering | None = None
        while not halt.is_set():
            if waiting:
                yield waiting.popleft()
                continue
            if whole is not None:
                piece = whole.next()
                if piece is not None:
                    yield begun(whole.row, piece, whole)
                    continue
                whole = None
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
            if isinstance(prompt, Pieces):
                assert stages.combine is not None, "who makes pieces can combine them"
                whole = Gathering(row, prompt, stages.combine)
                continue
            yield begun(row, prompt)

    def begun(row: Row, prompt: Prompt, whole: Gathering | None = None) -> Prompt:
        row = replace(row, use="paid") if prompt.use == "paid" else row  # no more is bought of a row that has no answer
        opened[prompt.position, prompt.piece] = state = _Open(row, prompt, prompt, whole=whole)
        return state.begin(prompt, len(stages.judges))

    def gathered(whole: Gathering, prompt: Prompt, outcome: Outcome | None, *, is_out: bool) -> None:
        follows = whole.ended(prompt, outcome, is_out=is_out)
        if isinstance(follows, Prompt):
            waiting.append(begun(whole.row, follows, whole))
        elif follows is not None:
            emit(whole.row, follows, whole.pieces)
        elif outcome is None:
            left(whole.row)

    async with aclosing(prompts()) as asked, aclosing(stages.caller.replies(asked)) as replies:
        async for prompt, result in replies:
            state = opened[prompt.position, prompt.piece]
            if isinstance(result, Reply):
                state.taken = state.taken.plus(result, stages.price(result))
                ended: Prompt | Outcome | None = _judged(prompt, result, state, stages)
            else:
                ended = _unanswered(prompt, result, state)
            if isinstance(ended, Prompt):
                waiting.append(ended)
            else:
                del opened[prompt.position, prompt.piece]
                if state.whole is not None:
                    gathered(state.whole, prompt, ended, is_out=isinstance(result, Failure) and result.is_out)
                elif ended is None:
                    left(state.row)
                else:
                    emit(state.row, ended, state.first)
            moved.set()


def _judged(prompt: Prompt, reply: Reply, state: _Open, stages: Stages) -> Prompt | Outcome:
    """What follows from a reply: the row's next question, or its end."""
    verdict = stages.judges[prompt.step](reply)
    if isinstance(verdict, Rejection):
        asked = stages.again(prompt, reply, verdict)
        if state.looks(prompt):
            return asked or state.anew()
        if asked is None:
            return _rejected(prompt, reply, verdict, state)
        stages.tell(AskedAgain(prompt.key, asked.ask, verdict.error, reused=reply.origin is Origin.ELSEWHERE))
        state.last = (prompt, reply, verdict)
        return asked
    if prompt.step + 1 == len(stages.judges):
        assert not isinstance(verdict, Prose), "the last turn is judged under the schema"
        return _answered(prompt, reply, verdict, state)
    if isinstance(verdict, Prose):
        state.replies += (verdict.text,)
    else:
        state.replies += (verdict.value,)
        state.repairs += tuple(f"turn {prompt.step + 1}: {repair}" for repair in verdict.repairs)
    follows = stages.follow(state.row, prompt, reply, state.replies)
    if isinstance(follows, Unaskable):
        return _outcome(prompt, state, Status.INPUT_ERROR, follows.reason, reply=reply)
    return state.begin(follows, len(stages.judges))


def _unanswered(prompt: Prompt, failure: Failure, state: _Open) -> Prompt | Outcome | None:
    """What follows from a question that brought no reply; None where the row is as if never sent."""
    if state.looks(prompt):
        return state.anew()
    if prompt.use == "paid":
        if state.last is not None:
            return _rejected(*state.last, state)
        if state.replies or (prompt.combines and state.row.use == "paid"):
            what = "its pieces have not been combined" if prompt.combines else f"turn {prompt.step + 1} has not been asked"
            error = f"{what}: what comes before it stands only since the check changed"
            told = f"{error}; --retry invalid_output asks the row again"
            return replace(_outcome(prompt, state, Status.INVALID_OUTPUT, told), asks=prompt.ask - 1)
    if failure.status is Status.PENDING:
        return None
    if prompt.max_tokens is not None and failure.status is Status.REQUEST_ERROR and state.last is not None:
        # The service does not take so large a reply: what it cut off before is what there is.
        cut = _rejected(*state.last, state)
        error = f"{cut.error}; asked again with room for {prompt.max_tokens} tokens: {failure.error}"
        return replace(cut, asks=prompt.ask, attempts=cut.attempts + failure.attempts, error=error)
    ended = _outcome(prompt, state, failure.status, failure.error)
    return replace(ended, attempts=ended.attempts + failure.attempts, request_id=failure.request_id)


def _answered(prompt: Prompt, reply: Reply, answer: Answer, state: _Open) -> Outcome:
    repairs = (*state.repairs, *answer.repairs)
    # The standard library's encoder: it carries integers of any size, which a schema may admit.
    value = json.dumps(answer.value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    status = Status.OK_REPAIRED if repairs else Status.OK
    return _outcome(prompt, state, status, None, reply=reply, answer=value, repairs=repairs)


def _rejected(prompt: Prompt, reply: Reply, rejection: Rejection, state: _Open) -> Outcome:
    turn = f"turn {prompt.step + 1}: " if state.first.beyond else ""
    return _outcome(prompt, state, rejection.status, f"{turn}{rejection.error}", reply=reply)


def _outcome(
    prompt: Prompt,
    state: _Open,
    status: Status,
    error: str | None,
    *,
    reply: Reply | None = None,
    answer: str | None = None,
    repairs: tuple[str, ...] = (),
) -> Outcome:
    """Of a row that ends with this question; `reply` is the last one, None where the question brought none."""
    taken = state.taken
    return Outcome(
        position=prompt.position,
        status=status,
        error=None if error is None else _fileable(error),
        answer=answer,
        repairs=repairs,
        asks=prompt.ask,
        attempts=taken.attempts,
        reused=reply is not None and not taken.bought,
        model=reply.model if reply is not None else None,
        stop_reason=reply.stop_reason if reply is not None else None,
        message_id=reply.message_id if reply is not None else None,
        request_id=reply.request_id if reply is not None else None,
        usage=taken.usage,
        cost_usd=taken.cost_usd,
        latency_s=reply.latency_s if reply is not None else None,
        answered_at=reply.at if reply is not None else None,
        raw=_fileable(reply.text) if reply is not None and answer is None else None,
        left_out=state.first.left_out,
    )


def _fileable(text: str) -> str:
    """The text without halves of surrogate pairs: a reply may bring them, and no file of ours can hold them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
