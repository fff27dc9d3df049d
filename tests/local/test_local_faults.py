"""Which requests draw which fault, and what a spoiled reply is: pure, seeded."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from pipeline.local.faults import KINDS, Effect, Misworded, Moment, Refused, Rule, drawn
from pipeline.local.reply import Began, Ended, Part, Piece, Thought
from pipeline.local.spoil import spoiled

MOMENT = Moment(number=1, elapsed_s=0.0, attempt=1, stream=False, calls_tool=False)


def named(*rules: Rule, chance: float = 0.0, **changes: Any) -> str | None:
    rule = drawn(rules, replace(MOMENT, **changes), chance)
    return rule.fault if rule else None


def test_each_rule_takes_its_share_of_all_requests() -> None:
    rules = (Rule("overloaded", 0.1), Rule("internal", 0.05), Rule("hang", 0.02))
    found = Counter(named(*rules, chance=(step + 0.5) / 1000) for step in range(1000))
    assert found == {"overloaded": 100, "internal": 50, "hang": 20, None: 830}


def test_a_rule_that_is_not_in_force_leaves_its_share_to_the_next() -> None:
    rules = (Rule("unavailable", until_request=5), Rule("overloaded", 0.5))
    assert named(*rules, chance=0.4, number=5) == "unavailable"
    assert named(*rules, chance=0.4, number=6) == "overloaded"
    assert named(*rules, chance=0.5, number=6) is None


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        (Rule("overloaded", from_request=3), [{"number": 3}, {"number": 99}], [{"number": 2}]),
        (Rule("overloaded", from_request=3, until_request=4), [{"number": 4}], [{"number": 5}]),
        (Rule("overloaded", from_s=10), [{"elapsed_s": 10.0}, {"elapsed_s": 1e6}], [{"elapsed_s": 9.9}]),
        (Rule("overloaded", from_s=10, for_s=5), [{"elapsed_s": 14.9}], [{"elapsed_s": 15.0}, {"elapsed_s": 0.0}]),
        (Rule("overloaded", attempts=2), [{"attempt": 2}], [{"attempt": 3}]),
        (Rule("stream_error"), [{"stream": True}], [{"stream": False}]),
        (Rule("no_usage"), [{"stream": False}], [{"stream": True}]),
        (Rule("fenced"), [{"calls_tool": False}], [{"calls_tool": True}]),
    ],
)
def test_a_window_has_a_beginning_and_an_end(rule: Rule, inside: list[dict[str, Any]], outside: list[dict[str, Any]]) -> None:
    assert [named(rule, **changes) for changes in inside] == [rule.fault] * len(inside)
    assert [named(rule, **changes) for changes in outside] == [None] * len(outside)


def test_what_was_answered_is_billed_and_what_was_refused_is_not() -> None:
    assert {name for name in KINDS if Rule(name).billed} == {
        *("reset_late", "hang", "cut", "cut_clean", "stream_error", "slow", "no_usage", "no_stop_reason"),
        *("truncated", "empty", "fenced", "prose", "damaged", "invalid"),
        *("lost_line", "double_line", "archived"),
    }
    assert not any(kind.billed for kind in KINDS.values() if isinstance(kind.effect, Refused))
    assert Rule("internal", says_billed=True).billed
    assert not Rule("hang", says_billed=False).billed


@pytest.mark.parametrize(
    ("category", "billed"), [("bio", True), ("reasoning_extraction", True), ("cyber", False), (None, False)]
)
def test_a_refusal_is_billed_by_its_category(category: str | None, billed: bool) -> None:
    assert Rule("refusal", category=category).billed is billed


ANSWER = '{"label":"invoice","sure":true}'
REPLY: list[Part] = [Began(10), Thought(""), Piece(ANSWER[:16]), Piece(ANSWER[16:]), Ended("end_turn", 40, None, 30)]


def text(parts: list[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Piece))


def said(effect: Effect, number: int = 0) -> list[Part]:
    return spoiled(REPLY, effect, "cyber", Random(number))  # noqa: S311 nothing is kept secret with it


def test_fences_and_prose_keep_the_answer_whole() -> None:
    for how in ("fenced", "prose"):
        for number in range(20):
            worded = text(said(Misworded(how), number))
            assert ANSWER in worded
            assert worded != ANSWER


def test_damaged_json_is_no_json() -> None:
    for number in range(60):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text(said(Misworded("damaged"), number)))


def test_invalid_json_is_json_and_another_value() -> None:
    for number in range(60):
        assert json.loads(text(said(Misworded("invalid"), number))) != json.loads(ANSWER)


def test_a_truncated_reply_says_so_and_counts_what_it_wrote() -> None:
    parts = said(KINDS["truncated"].effect)
    assert text(parts) == ANSWER[: len(ANSWER) // 2]
    assert parts[-1] == Ended("max_tokens", 35, None, 30)


def test_a_refusal_has_no_content_and_names_its_category() -> None:
    began, ended = said(KINDS["refusal"].effect)
    assert began == Began(10)
    assert isinstance(ended, Ended)
    assert (ended.stop_reason, ended.output_tokens, ended.category) == ("refusal", 0, "cyber")


def test_an_empty_reply_ended_well() -> None:
    assert said(KINDS["empty"].effect) == [Began(10), REPLY[-1]]


def test_a_reply_without_a_stop_reason_is_otherwise_whole() -> None:
    parts = said(KINDS["no_stop_reason"].effect)
    assert text(parts) == ANSWER
    assert parts[-1] == Ended(None, 40, None, 30)


def test_what_strikes_elsewhere_leaves_the_reply_alone() -> None:
    for name in ("overloaded", "cut", "slow", "hang", "html", "reset_late", "no_usage", "stream_error"):
        assert said(KINDS[name].effect) == REPLY
