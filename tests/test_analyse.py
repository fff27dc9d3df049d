"""The loop in which the stages meet, over a caller that answers from a table."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable

import pytest

from pipeline.analyse import Stages, analyse
from pipeline.errors import AccountRefused
from pipeline.events import AskedAgain, Event
from pipeline.records import Answer, Constant, Failure, Outcome, Prompt, Rejection, Reply, Row, Status, Text, Turn, Usage
from pipeline.render.prompt import Unaskable

CONSTANT = Constant("s")


def row(position: int, text: str) -> Row:
    return Row(position, f"k{position}", {"text": text})


def reply(text: str) -> Reply:
    return Reply(text, json.dumps([{"type": "text", "text": text}]), "end_turn", "m", "i", "r", Usage(1, 2), 0.5, 9.0, 1)


def prompt(of: Row) -> Prompt | Unaskable:
    text = str(of.values["text"])
    return Prompt(of.position, of.key, CONSTANT, (Turn("user", (Text(text),)),)) if text else Unaskable("empty")


class Table:
    """A caller that answers one prompt after the other."""

    def __init__(self, answers: Callable[[Prompt], Reply | Failure], stop_after: int | None = None) -> None:
        self.answers = answers
        self.stop_after = stop_after
        self.asked: list[Prompt] = []

    async def replies(self, prompts: AsyncIterator[Prompt]) -> AsyncGenerator[tuple[Prompt, Reply | Failure]]:
        async for one in prompts:
            self.asked.append(one)
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise AccountRefused("no money")
            yield one, self.answers(one)


def judge(got: Reply) -> Answer | Rejection:
    if got.text.startswith("bad"):
        return Rejection(Status.INVALID_OUTPUT, "not json", "Only JSON.")
    if got.text == "hopeless":
        return Rejection(Status.TRUNCATED, "cut", None)
    return Answer({"got": got.text}, ("stripped_fence",) if got.text == "fenced" else ())


def outcomes(
    rows: Iterable[Row], caller: Table, *, asks: int = 2, halt_after: int | None = None
) -> tuple[dict[int, Outcome], list[Event]]:
    events: list[Event] = []
    ended: dict[int, Outcome] = {}
    halt = asyncio.Event()

    def emit(of: Row, outcome: Outcome, first: Prompt | None) -> None:
        assert of.position == outcome.position
        assert (first is None) == (outcome.status is Status.INPUT_ERROR)
        ended[outcome.position] = outcome
        if halt_after is not None and len(ended) >= halt_after:
            halt.set()

    stages = Stages(prompt, caller, judge, lambda _: 0.25, asks, events.append)
    asyncio.run(asyncio.wait_for(analyse(iter(rows), stages, emit, halt), 10))
    return ended, events


def said(one: Prompt) -> str:
    block = one.turns[-1].blocks[0]
    assert isinstance(block, Text)
    return block.text


def echo(one: Prompt) -> Reply:
    return reply(said(one))


def test_every_row_has_one_outcome() -> None:
    ended, _ = outcomes([row(number, f"t{number}") for number in range(20)], Table(echo))
    assert [json.loads(str(ended[number].answer))["got"] for number in range(20)] == [f"t{number}" for number in range(20)]
    assert {outcome.status for outcome in ended.values()} == {Status.OK}


def test_a_row_without_a_prompt_is_not_asked_about() -> None:
    caller = Table(echo)
    ended, _ = outcomes([row(0, ""), row(1, "x")], caller)
    assert (ended[0].status, ended[0].error, ended[0].attempts) == (Status.INPUT_ERROR, "empty", 0)
    assert len(caller.asked) == 1


def test_only_rows_without_a_prompt_end_too() -> None:
    ended, _ = outcomes([row(number, "") for number in range(1000)], Table(echo))
    assert len(ended) == 1000


def test_a_rejected_reply_is_asked_again_and_all_is_summed() -> None:
    caller = Table(lambda one: reply("bad") if one.ask == 1 else reply("now good"))
    ended, events = outcomes([row(0, "x")], caller)
    assert (ended[0].status, ended[0].asks, ended[0].attempts) == (Status.OK, 2, 2)
    assert (ended[0].usage, ended[0].cost_usd) == (Usage(2, 4), 0.5)
    assert said(caller.asked[1]) == "Only JSON."
    assert events == [AskedAgain("k0", 2, "not json")]


@pytest.mark.parametrize("asks", [1, 2, 3])
def test_no_more_questions_are_asked_than_allowed(asks: int) -> None:
    caller = Table(lambda _: reply("bad again"))
    ended, _ = outcomes([row(0, "x")], caller, asks=asks)
    assert (ended[0].status, ended[0].asks, ended[0].raw) == (Status.INVALID_OUTPUT, asks, "bad again")
    assert len(caller.asked) == asks


def test_what_asking_again_would_not_help_is_not_asked_again() -> None:
    caller = Table(lambda _: reply("hopeless"))
    ended, _ = outcomes([row(0, "x")], caller)
    assert (ended[0].status, ended[0].raw, len(caller.asked)) == (Status.TRUNCATED, "hopeless", 1)


def test_a_mend_makes_the_status() -> None:
    ended, _ = outcomes([row(0, "fenced")], Table(echo))
    assert (ended[0].status, ended[0].repairs, ended[0].raw) == (Status.OK_REPAIRED, ("stripped_fence",), None)


def test_a_failure_keeps_what_was_paid_before_it() -> None:
    def answers(one: Prompt) -> Reply | Failure:
        return reply("bad") if one.ask == 1 else Failure(Status.FAILED, "HTTP 500", "req_5", 6)

    ended, _ = outcomes([row(0, "x")], Table(answers))
    assert (ended[0].status, ended[0].attempts, ended[0].asks) == (Status.FAILED, 7, 2)
    assert (ended[0].usage, ended[0].cost_usd, ended[0].request_id) == (Usage(1, 2), 0.25, "req_5")


def test_a_pending_row_has_no_outcome() -> None:
    ended, _ = outcomes([row(0, "x")], Table(lambda _: Failure(Status.PENDING, "halted", None, 0)))
    assert ended == {}


def test_what_stops_the_caller_stops_the_run() -> None:
    with pytest.raises(AccountRefused):
        outcomes([row(number, "x") for number in range(9)], Table(echo, stop_after=4))


def test_a_halted_run_takes_no_more_rows() -> None:
    ended, _ = outcomes([row(number, "x") for number in range(100)], Table(echo), halt_after=7)
    assert len(ended) == 7
