"""What a reply that is no answer is asked again with, and when."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipeline.records import Complaint, Constant, Prompt, Rejection, Reply, Status, Text, Turn, Usage, Verbatim
from pipeline.render.prompt import NOTHING_CAME, Asks, again

FIRST = Prompt(7, "k7", Constant("s"), (Turn("user", (Text("Fine."),)),))
WRONG = Rejection(Status.INVALID_OUTPUT, "not JSON", "Only JSON.")
FINAL = Rejection(Status.INVALID_OUTPUT, "nothing", None)
ASKS = Asks(3, grown=2048)


def reply(text: str, stop_reason: str = "end_turn") -> Reply:
    return Reply(text, json.dumps([{"type": "text", "text": text}]), stop_reason, "m", "i", None, Usage(), 0.1, 0.0, 1)


def told(asked: Prompt | None) -> str:
    assert asked is not None
    (block,) = asked.turns[-1].blocks
    assert isinstance(block, Complaint)
    return block.text


def test_asking_again_continues_the_conversation() -> None:
    second = again(FIRST, reply("no json"), WRONG, ASKS)
    assert second is not None
    assert (second.ask, second.question, second.position, second.key, second.max_tokens) == (2, 2, 7, "k7", None)
    assert second.turns == (
        *FIRST.turns,
        Turn("assistant", (Verbatim(reply("no json").content),)),
        Turn("user", (Complaint("Only JSON."),)),
    )


def test_no_more_than_so_many_questions() -> None:
    asked: Prompt | None = FIRST
    for _ in range(2):
        assert asked is not None
        asked = again(asked, reply("no json"), WRONG, ASKS)
    assert asked is not None
    assert again(asked, reply("no json"), WRONG, ASKS) is None
    assert again(FIRST, reply("no json"), WRONG, Asks(1, 2048)) is None
    assert again(FIRST, reply("{", "max_tokens"), FINAL, Asks(1, 2048)) is None


@pytest.mark.parametrize("rejection", [WRONG, FINAL])
@pytest.mark.parametrize("stop_reason", ["refusal", "max_tokens"])
def test_refused_or_cut_where_there_is_no_more_room_is_final(stop_reason: str, rejection: Rejection) -> None:
    """Whatever the judge has to say to the model."""
    assert again(FIRST, reply("x", stop_reason), rejection, Asks(9)) is None


@pytest.mark.parametrize("stop_reason", ["model_context_window_exceeded", "pause_turn", "end_turn", "new_reason"])
def test_what_the_judge_calls_final_is_final(stop_reason: str) -> None:
    assert again(FIRST, reply("x", stop_reason), FINAL, ASKS) is None


def test_a_cut_answer_gets_more_room_once_in_the_conversation_as_it_was() -> None:
    second = again(FIRST, reply("{", "max_tokens"), FINAL, ASKS)
    assert second == replace(FIRST, ask=2, question=2, max_tokens=2048)
    assert again(second, reply("{", "max_tokens"), FINAL, ASKS) is None


def test_a_question_after_more_room_keeps_it() -> None:
    grown = again(FIRST, reply("{", "max_tokens"), FINAL, ASKS)
    assert grown is not None
    third = again(grown, reply("no json"), WRONG, ASKS)
    assert third is not None
    assert (third.question, third.max_tokens) == (3, 2048)


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_reply_is_told_so_once(text: str) -> None:
    second = again(FIRST, reply(text), FINAL, ASKS)
    assert told(second) == NOTHING_CAME
    assert second is not None
    assert again(second, reply(text), FINAL, ASKS) is None
    assert told(again(FIRST, reply(text), WRONG, ASKS)) == "Only JSON.", "the judge may know better words"


def test_an_empty_reply_after_more_room_is_still_told() -> None:
    grown = again(FIRST, reply("{", "max_tokens"), FINAL, ASKS)
    assert grown is not None
    assert told(again(grown, reply(""), FINAL, ASKS)) == NOTHING_CAME


def test_a_complaint_that_quotes_half_a_surrogate_pair_can_be_sent() -> None:
    wrong = Rejection(Status.INVALID_OUTPUT, "x", "not \ud83d but \ud83d\ude00")
    assert told(again(FIRST, reply("x"), wrong, ASKS)) == "not \ufffd but \U0001f600"
