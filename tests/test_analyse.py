"""The loop in which the stages meet, over a caller that answers from a table."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import replace
from functools import partial

import pytest

from pipeline.analyse import Stages, analyse
from pipeline.errors import AccountRefused
from pipeline.events import AskedAgain, Event
from pipeline.records import (
    Answer,
    Complaint,
    Constant,
    Failure,
    Origin,
    Outcome,
    Pieces,
    Prompt,
    Prose,
    Rejection,
    Reply,
    Row,
    Status,
    Text,
    Usage,
    Verbatim,
)
from pipeline.render.prompt import Asks, again, follow, prompt
from pipeline.render.template import compiled

CONSTANT = Constant("s")


def row(position: int, text: str) -> Row:
    return Row(position, f"k{position}", {"text": text})


def reply(text: str, stop_reason: str = "end_turn") -> Reply:
    return Reply(text, json.dumps([{"type": "text", "text": text}]), stop_reason, "m", "i", "r", Usage(1, 2), 0.5, 9.0, 1)


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
    if got.stop_reason != "end_turn":
        return Rejection(Status.TRUNCATED if got.stop_reason == "max_tokens" else Status.REFUSED, "cut", None)
    return Answer({"got": got.text}, ("stripped_fence",) if got.text == "fenced" else ())


def free(got: Reply) -> Prose | Rejection:
    verdict = judge(got)
    return verdict if isinstance(verdict, Rejection) else Prose(got.text)


def outcomes(
    rows: Iterable[Row],
    caller: Table,
    *users: str,
    asks: int = 2,
    halt_after: int | None = None,
    before: Callable[[Reply], Answer | Prose | Rejection] = free,
) -> tuple[dict[int, Outcome], list[Event]]:
    """Of a job with these turns; `before` judges all but the last."""
    templates = compiled(None, *(users or ("{{ text }}",)))
    events: list[Event] = []
    ended: dict[int, Outcome] = {}
    halt = asyncio.Event()

    def emit(of: Row, outcome: Outcome, first: Prompt | Pieces | None) -> None:
        assert of.position == outcome.position
        assert (first is None) == (outcome.asks == 0)
        ended[outcome.position] = outcome
        if halt_after is not None and len(ended) >= halt_after:
            halt.set()

    stages = Stages(
        prompt=partial(prompt, templates=templates, constant=CONSTANT),
        follow=partial(follow, templates=templates),
        again=partial(again, asks=Asks(asks, grown=200)),
        caller=caller,
        judges=[*[before] * (len(templates.users) - 1), judge],
        price=lambda _: 0.25,
        tell=events.append,
    )
    asyncio.run(asyncio.wait_for(analyse(iter(rows), stages, emit, halt), 10))
    return ended, events


def said(one: Prompt) -> str:
    block = one.turns[-1].blocks[0]
    assert isinstance(block, Text | Complaint)
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
    assert (ended[0].status, ended[0].attempts) == (Status.INPUT_ERROR, 0)
    assert "came out empty" in str(ended[0].error)
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


def test_a_refusal_is_not_asked_again() -> None:
    caller = Table(lambda _: reply("no", "refusal"))
    ended, _ = outcomes([row(0, "x")], caller, asks=9)
    assert (ended[0].status, ended[0].raw, len(caller.asked)) == (Status.REFUSED, "no", 1)


def test_a_cut_answer_is_asked_for_once_more_with_more_room_and_summed() -> None:
    caller = Table(lambda one: reply('{"a', "max_tokens") if one.max_tokens is None else reply("whole"))
    ended, events = outcomes([row(0, "x")], caller)
    assert (ended[0].status, ended[0].asks, ended[0].attempts, ended[0].usage) == (Status.OK, 2, 2, Usage(2, 4))
    assert [one.max_tokens for one in caller.asked] == [None, 200]
    assert caller.asked[1].turns == caller.asked[0].turns, "the same conversation, not the cut text continued"
    assert events == [AskedAgain("k0", 2, "cut")]


def test_an_answer_cut_twice_stays_truncated() -> None:
    caller = Table(lambda _: reply('{"a', "max_tokens"))
    ended, _ = outcomes([row(0, "x")], caller, asks=9)
    assert (ended[0].status, ended[0].asks, ended[0].raw, len(caller.asked)) == (Status.TRUNCATED, 2, '{"a', 2)


def test_where_the_service_has_no_such_room_the_cut_answer_is_what_there_is() -> None:
    def answers(one: Prompt) -> Reply | Failure:
        if one.max_tokens is None:
            return reply('{"a', "max_tokens")
        return Failure(Status.REQUEST_ERROR, "HTTP 400 max_tokens: 200 > 150", "r", 1)

    ended, _ = outcomes([row(0, "x")], Table(answers))
    assert (ended[0].status, ended[0].asks, ended[0].attempts, ended[0].raw) == (Status.TRUNCATED, 2, 2, '{"a')
    assert "200 > 150" in str(ended[0].error)


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


TALK = ("{{ text }}", "And why?", "Label it.")


def test_the_turns_of_a_conversation_are_asked_in_order_and_summed() -> None:
    caller = Table(lambda one: reply(f"{said(one)} yes"))
    ended, events = outcomes([row(0, "x")], caller, *TALK)
    assert [said(one) for one in caller.asked] == ["x", "And why?", "Label it."]
    assert [(one.step, one.ask, one.question) for one in caller.asked] == [(0, 1, 1), (1, 2, 1), (2, 3, 1)]
    assert [turn.role for turn in caller.asked[2].turns] == ["user", "assistant", "user", "assistant", "user"]
    assert caller.asked[2].turns[1].blocks == (Verbatim(reply("x yes").content),)
    assert json.loads(str(ended[0].answer)) == {"got": "Label it. yes"}
    assert (ended[0].asks, ended[0].attempts, ended[0].usage, ended[0].cost_usd) == (3, 3, Usage(3, 6), 0.75)
    assert events == [], "a further turn is no re-ask"


def test_each_turn_may_be_asked_as_often_as_a_question() -> None:
    caller = Table(lambda one: reply("bad" if one.question == 1 else "good"))
    ended, events = outcomes([row(0, "x")], caller, *TALK)
    assert (ended[0].status, ended[0].asks) == (Status.OK, 6)
    assert [(one.step, one.question) for one in caller.asked] == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert [event.ask for event in events if isinstance(event, AskedAgain)] == [2, 4, 6]


@pytest.mark.parametrize(
    ("stop_reason", "status", "asks"), [("refusal", Status.REFUSED, 2), ("max_tokens", Status.TRUNCATED, 3)]
)
def test_a_turn_that_brings_nothing_ends_the_row(stop_reason: str, status: Status, asks: int) -> None:
    caller = Table(lambda one: reply("half", stop_reason if one.step == 1 else "end_turn"))
    ended, _ = outcomes([row(0, "x")], caller, *TALK)
    assert (ended[0].status, ended[0].error, ended[0].asks, ended[0].raw) == (status, "turn 2: cut", asks, "half")
    assert ended[0].usage == Usage(asks, 2 * asks), "what was paid before is told"


def test_more_room_is_given_to_the_turn_that_needs_it_only() -> None:
    caller = Table(lambda one: reply("x", "max_tokens" if one.step == 0 and one.max_tokens is None else "end_turn"))
    outcomes([row(0, "x")], caller, *TALK)
    assert [one.max_tokens for one in caller.asked] == [None, 200, None, None]


def test_later_turns_may_take_earlier_replies_as_values() -> None:
    caller = Table(lambda one: reply("{{ 7 * 7 }}" if one.step == 0 else "fine"))
    outcomes([row(0, "x")], caller, "{{ text }}", "You said: {{ replies[0] }}", "{{ replies | length }}")
    assert [said(one) for one in caller.asked] == ["x", "You said: {{ 7 * 7 }}", "2"]


def test_an_earlier_answer_under_a_schema_is_a_value_too_and_its_mends_are_told() -> None:
    caller = Table(lambda one: reply("fenced" if one.step == 0 else "fine"))
    ended, _ = outcomes([row(0, "x")], caller, "{{ text }}", "{{ replies[0].got }}!", before=judge)
    assert said(caller.asked[1]) == "fenced!"
    assert (ended[0].status, ended[0].repairs) == (Status.OK_REPAIRED, ("turn 1: stripped_fence",))


def test_a_turn_that_cannot_be_made_of_a_reply_ends_the_row_with_what_it_cost() -> None:
    caller = Table(lambda _: reply("half \ud83d"))
    ended, _ = outcomes([row(0, "x")], caller, "{{ text }}", "{{ replies[0] }}")
    assert (ended[0].status, ended[0].asks, ended[0].usage) == (Status.INPUT_ERROR, 1, Usage(1, 2))
    assert "surrogate" in str(ended[0].error)


def test_a_row_whose_later_turn_cannot_be_made_costs_nothing() -> None:
    caller = Table(echo)
    ended, _ = outcomes([row(0, "x")], caller, "{{ text }}", "{{ text.a.b }}")
    assert (ended[0].status, ended[0].asks, caller.asked) == (Status.INPUT_ERROR, 0, [])
    assert "prompt.user[1], line 1" in str(ended[0].error)


def test_a_conversation_that_was_never_finished_is_not_finished_for_nothing() -> None:
    """All rows are judged anew, with what is paid; then the second turn is new."""
    unpaid = Failure(Status.PENDING, "nothing that is paid for answers this", None, 0)
    first = [reply("bad"), reply("fine")]
    caller = Table(lambda one: first[one.question - 1] if one.step == 0 else unpaid)
    ended, _ = outcomes([replace(row(0, "x"), use="paid")], caller, "{{ text }}", "Label it.")
    assert (ended[0].status, ended[0].asks, ended[0].usage) == (Status.INVALID_OUTPUT, 2, Usage(2, 4))
    assert "turn 2 has not been asked" in str(ended[0].error)


def test_a_copy_pays_for_its_own_turns_only() -> None:
    def answers(one: Prompt) -> Reply:
        return replace(reply("fine"), origin=Origin.ELSEWHERE if one.step == 0 else Origin.NOW)

    ended, _ = outcomes([row(0, "x")], Table(answers), "{{ text }}", "Label it.")
    assert (ended[0].reused, ended[0].usage, ended[0].attempts, ended[0].asks) == (False, Usage(1, 2), 1, 2)


def test_what_is_tried_again_is_the_turn_that_did_not_stand() -> None:
    """Turn 1 stands after a re-ask, turn 2 does not, turn 3 was never asked."""

    def answers(one: Prompt) -> Reply | Failure:
        if one.use == "new":
            return reply("good")
        paid = {(0, 1): "bad", (0, 2): "fine", (1, 1): "bad", (1, 2): "bad"}
        text = paid.get((one.step, one.question))
        return reply(text) if text is not None else Failure(Status.PENDING, "nothing that is paid for", None, 0)

    caller = Table(answers)
    ended, events = outcomes([replace(row(0, "x"), use="new")], caller, *TALK)
    assert [(one.step, one.question, one.ask) for one in caller.asked if one.use == "new"] == [(1, 1, 3), (2, 1, 4)]
    assert [(one.step, one.question) for one in caller.asked if one.use == "paid"] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert (ended[0].status, ended[0].asks) == (Status.OK, 4)
    assert ended[0].usage == Usage(4, 8), "without the replies to turn 2 that did not stand"
    assert events == [], "nothing that was looked up is asked again"


def test_a_conversation_that_brought_nothing_at_all_is_tried_again() -> None:
    """Its first turn failed: nothing of it is paid for."""
    nothing = Failure(Status.PENDING, "nothing that is paid for answers this", None, 0)
    caller = Table(lambda one: reply("good") if one.use == "new" else nothing)
    ended, _ = outcomes([replace(row(0, "x"), use="new")], caller, *TALK)
    assert ended[0].status is Status.OK
    assert [(one.step, one.use) for one in caller.asked] == [(0, "paid"), (0, "new"), (1, "paid"), (1, "new"), (2, "new")]


def test_a_single_turn_that_is_tried_again_is_bought() -> None:
    caller = Table(echo)
    outcomes([replace(row(0, "x"), use="new")], caller)
    assert [one.use for one in caller.asked] == ["new"]
