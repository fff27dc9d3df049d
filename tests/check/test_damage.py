"""What the ladder makes of damaged answers whose truth is known; `python -m tests.check.damage` draws many more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.check.answer import Repair
from pipeline.records import Answer
from tests.check.damage import CLASSES, CUT, SCHEMA, SYNTAX, VALUES, WRAPPED, alike, corpus, cut_short, scored, total, truth
from tests.check.replies import judge, reply

EACH = 10
ALWAYS_REFUSED = {
    *("array around", "object around", "ellipsis in a list", "ellipsis for the rest", "NaN", "Infinity", "percent"),
    *("thousands", "leading zero", "bad escape, tabs?", "underscore escaped", "halves", "date, both ways"),
    *("people joined", "topics joined", "extra property", "property left out", "boolean as a number", "null as n/a"),
}
"""Classes whose texts lack the truth or could mean something else."""


def test_there_are_many_classes_of_damage_and_each_differs_from_a_clean_answer() -> None:
    assert len(CLASSES) >= 100
    texts: dict[str, set[str]] = {}
    for name, value, text in corpus({**CLASSES, **CUT}, 3, 1):
        texts.setdefault(name, set()).add(text)
        assert name == "clean" or text != json.dumps(value, ensure_ascii=False), name
    assert all(texts.values())


@pytest.mark.parametrize(("repair", "exact"), [("off", 0.03), ("wrappers", 0.40), ("full", 0.66)])
def test_no_damaged_answer_becomes_another_one(repair: Repair, exact: float) -> None:
    scores = scored(CLASSES, EACH, 0, repair)
    assert {name for name, score in scores.items() if score.silent} == set()
    every = total(scores)
    assert every.exact / (every.exact + every.refused) >= exact
    assert {name for name in ALWAYS_REFUSED if scores[name].exact} == set()


@pytest.mark.parametrize("repair", ["wrappers", "full"])
def test_every_wrapping_comes_off(repair: Repair) -> None:
    scores = scored(WRAPPED, EACH, 0, repair)
    assert {name for name, score in scores.items() if score.exact < EACH} == {"array around", "object around"}


def test_syntax_is_left_alone_below_full() -> None:
    scores = scored(SYNTAX, EACH, 0, "wrappers")
    assert {name for name, score in scores.items() if score.exact} == {"smart quotes inside", "extra brace"}


def test_forms_of_values_are_mended_without_a_word_lost() -> None:
    mended = {name for name, score in scored(VALUES, EACH, 0, "wrappers").items() if score.exact == EACH}
    assert {name for name, score in scored(VALUES, EACH, 0, "full").items() if score.exact == EACH} == {
        *mended,
        "date in words",
        "one topic",
    }


@pytest.mark.parametrize("repair", ["off", "wrappers", "full"])
def test_an_answer_that_was_cut_is_truncated_wherever_it_was_cut(repair: Repair) -> None:
    """`python -m tests.check.damage --cuts 1000` does so to a thousand."""
    assert cut_short(10, 0, repair).keys() == {"truncated"}


def test_a_cut_answer_that_claims_to_be_whole_is_not_completed_with_wrong_words() -> None:
    for name, value, text in corpus(CUT, 50, 0):
        verdict = judge("full", SCHEMA).judge(reply(text))
        if isinstance(verdict, Answer):  # only braces were missing; what came before stands as it was said
            assert "json_repair" in verdict.repairs, name
            assert all(alike(held) == alike(value[key]) for key, held in verdict.value.items() if key != "place"), name


AROUND = ["%s", "\ufeff%s", "```json\n%s\n```", "```\n%s", "So {x}: %s", "%s\nThat's it.", "<think>{}</think>%s", "a = %s;"]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A truth, and a text out of which characters were taken, doubled or swapped, in a wrapping."""
    value = truth(draw(st.randoms(use_true_random=False)))
    text = draw(st.sampled_from([json.dumps(value, ensure_ascii=False), json.dumps(value, indent=1)]))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text) - 1))
        match draw(st.sampled_from(["lose", "double", "quote", "space", "comma"])):
            # Without the point or the sign of a number, or the escape in \u96f7, there is another value, and nobody can tell.
            case "lose" if not (text[at].isalnum() or text[at] in "\\.-"):
                text = text[:at] + text[at + 1 :]
            case "double" if text[at] in '{}[]",: ':
                text = text[:at] + text[at] + text[at:]
            case "quote" if text[at] == '"':
                text = text[:at] + "'" + text[at + 1 :]
            case "space" if text[at] == " ":
                text = text[:at] + "\n" + text[at + 1 :]
            case "comma" if text[at] in "]}":
                text = text[:at] + "," + text[at:]
            case _:
                pass
    return value, draw(st.sampled_from(AROUND)).replace("%s", text)


@settings(max_examples=150, deadline=None)
@given(damaged())
def test_damage_to_the_syntax_never_changes_a_value_at_wrappers(drawn: tuple[dict[str, Any], str]) -> None:
    """Characters inside strings may go unnoticed, since such a text is JSON; nothing else may change."""
    value, text = drawn
    verdict = judge("wrappers", SCHEMA).judge(reply(text))
    if isinstance(verdict, Answer):
        assert _bare(verdict.value) == _bare(value)


def _bare(value: Any) -> Any:
    """Without what the damage can do inside a string."""
    match value:
        case dict():
            return {name: _bare(value[name]) for name in sorted(value)}
        case list():
            return [_bare(child) for child in value]
        case str():
            return "".join(filter(str.isalnum, value))
        case _:
            return alike(value)
