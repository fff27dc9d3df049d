"""What a row ends as whose text was asked about in pieces."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.gathering import Gathering
from pipeline.records import (
    JSON,
    Answer,
    Constant,
    Outcome,
    Pieces,
    Prompt,
    Rejection,
    Row,
    Status,
    Text,
    Turn,
    Usage,
    Use,
)
from pipeline.render.prompt import Unaskable

CONSTANT = Constant("s")


def piece(number: int, text: str) -> Prompt:
    return Prompt(7, "k", CONSTANT, (Turn("user", (Text(text),)),), piece=number)


def last(pieces: Pieces, answers: Sequence[Mapping[str, JSON]]) -> Answer | Rejection | Prompt | Unaskable:
    return Answer(dict(answers[-1]))


def asks(pieces: Pieces, answers: Sequence[Mapping[str, JSON]]) -> Prompt:
    return Prompt(7, "k", CONSTANT, (Turn("user", (Text(json.dumps(answers)),)),), combines=True)


def gathering(texts: str = "abc", combine: Any = last, use: Use = "any") -> Gathering:
    made = Pieces(tuple(piece(number, text) for number, text in enumerate(texts, start=1)))
    return Gathering(Row(7, "k", {}, use=use), made, combine)


def ended(number: int, status: Status = Status.OK, **changes: Any) -> Outcome:
    answer = json.dumps({"n": number}) if status.answered else None
    taken = {"asks": 1, "attempts": 2, "usage": Usage(10, 1), "cost_usd": 0.5, "message_id": f"m{number}", "answered_at": 1.0}
    return Outcome(7, status, answer=answer, **{**taken, **changes})


def end_all(row: Gathering, *outcomes: Outcome | None) -> Prompt | Outcome | None:
    """All pieces are asked, then end, the last one first."""
    asked = [row.next() for _ in outcomes]
    assert row.next() is None
    follows: list[Prompt | Outcome | None] = []
    for prompt, outcome in reversed(list(zip(asked, outcomes, strict=True))):
        assert prompt is not None
        follows.append(row.ended(prompt, outcome))
    assert follows[:-1] == [None] * (len(outcomes) - 1), "not before the last"
    return follows[-1]


def test_all_answers_make_one_and_all_figures_are_summed() -> None:
    one = end_all(gathering(), ended(1, answered_at=5.0), ended(2), ended(3))
    assert one == Outcome(
        7,
        Status.OK,
        answer='{"n":3}',
        asks=3,
        attempts=6,
        usage=Usage(30, 3),
        cost_usd=1.5,
        message_id="m1",
        answered_at=5.0,
        pieces=3,
    )


def test_mends_of_pieces_are_named() -> None:
    one = end_all(gathering(), ended(1), ended(2, Status.OK_REPAIRED, repairs=("trimmed /n",)), ended(3))
    assert isinstance(one, Outcome)
    assert (one.status, one.repairs) == (Status.OK_REPAIRED, ("piece 2: trimmed /n",))


def test_the_first_piece_without_an_answer_is_the_reason() -> None:
    refused = ended(3, Status.REFUSED, error="refused", raw="no")
    one = end_all(gathering(), ended(1), ended(2, Status.TRUNCATED, error="cut", raw="{"), refused)
    assert isinstance(one, Outcome)
    assert (one.status, one.error, one.raw, one.answer) == (Status.TRUNCATED, "piece 2 of 3: cut", "{", None)
    assert (one.asks, one.usage, one.cost_usd, one.pieces) == (3, Usage(30, 3), 1.5, 3)


def test_a_piece_in_doubt_leaves_the_row_in_doubt() -> None:
    """Of any other row it would be forgotten that it may have been paid."""
    one = end_all(gathering(), ended(1), ended(2, Status.REFUSED, error="no"), ended(3, Status.IN_DOUBT, error="lost"))
    assert isinstance(one, Outcome)
    assert (one.status, one.error) == (Status.IN_DOUBT, "piece 3 of 3: lost")


def test_after_that_nothing_more_is_bought_and_what_is_paid_still_counts() -> None:
    row = gathering("abcd")
    first = row.next()
    assert first is not None
    assert row.ended(first, ended(1, Status.REFUSED, error="refused")) is None
    rest = [row.next() for _ in range(3)]
    assert [prompt.use for prompt in rest if prompt is not None] == ["paid"] * 3
    follows = [row.ended(prompt, outcome) for prompt, outcome in zip(rest, (None, ended(3), None), strict=True) if prompt]
    assert follows[:2] == [None, None]
    one = follows[2]
    assert isinstance(one, Outcome)
    assert one.error == "piece 1 of 4: refused; 2 further pieces were not asked"
    assert (one.asks, one.usage) == (2, Usage(20, 2))


def test_a_row_that_is_lost_waits_for_what_of_it_is_in_a_batch_and_counts_it() -> None:
    row = gathering("ab")
    first = row.next()
    assert first is not None
    row.ended(first, ended(1, Status.REFUSED, error="refused"))
    second = row.next()
    assert second is not None
    assert second.use == "paid"
    assert row.ended(second, None, is_out=True) is None


def test_a_piece_that_is_as_if_never_sent_leaves_the_row_so() -> None:
    assert end_all(gathering(), ended(1), None, ended(3)) is None
    assert end_all(gathering(), ended(1), None, ended(3, Status.REFUSED, error="no")) is None


def test_where_only_what_is_paid_may_answer_the_row_says_what_is_missing() -> None:
    one = end_all(gathering(use="paid"), ended(1), None, None)
    assert isinstance(one, Outcome)
    assert one.status is Status.INVALID_OUTPUT
    assert str(one.error).startswith("2 of its 3 pieces have no stored answer that stands since the check changed")


def test_a_question_that_combines_ends_the_row_with_all_that_came_before() -> None:
    row = gathering(combine=asks, use="new")
    prompt = end_all(row, ended(1), ended(2), ended(3))
    assert isinstance(prompt, Prompt)
    assert (prompt.use, prompt.piece, prompt.place) == ("new", 0, 1)
    assert row.ended(prompt, None) is None
    one = row.ended(prompt, ended(4, Status.INVALID_OUTPUT, error="no", asks=2))
    assert isinstance(one, Outcome)
    assert (one.status, one.error, one.asks, one.usage, one.cost_usd, one.message_id) == (
        Status.INVALID_OUTPUT,
        "no",
        5,
        Usage(40, 4),
        2.0,
        "m4",
    )


@pytest.mark.parametrize(
    ("made", "status"),
    [(Rejection(Status.INVALID_OUTPUT, "why", None), Status.INVALID_OUTPUT), (Unaskable("why"), Status.INPUT_ERROR)],
)
def test_answers_that_cannot_be_combined_make_none(made: Rejection | Unaskable, status: Status) -> None:
    one = end_all(gathering(combine=lambda *_: made), ended(1), ended(2), ended(3))
    assert isinstance(one, Outcome)
    assert (one.status, one.error, one.answer, one.usage) == (status, "why", None, Usage(30, 3))


def test_pieces_that_are_alike_have_cost_once_whoever_paid() -> None:
    free: dict[str, Any] = {"usage": Usage(), "cost_usd": 0.0, "attempts": 0, "reused": True}
    one = end_all(gathering("aab"), ended(1, **free), ended(1), ended(2))
    again = end_all(gathering("aab"), ended(1), ended(1), ended(2))
    assert isinstance(one, Outcome)
    assert isinstance(again, Outcome)
    assert (one.usage, one.cost_usd, one.attempts, one.asks, one.reused) == (Usage(20, 2), 1.0, 4, 3, False)
    assert (again.usage, again.cost_usd, again.attempts, again.asks) == (Usage(20, 2), 1.0, 4, 3)


def test_a_row_is_reused_where_all_its_pieces_are() -> None:
    one = end_all(gathering(), *(ended(number, reused=True) for number in (1, 2, 3)))
    assert isinstance(one, Outcome)
    assert one.reused


def test_without_a_price_the_sum_has_none() -> None:
    one = end_all(gathering(), ended(1, cost_usd=None), ended(2), ended(3))
    assert isinstance(one, Outcome)
    assert one.cost_usd is None


def test_one_piece_alone_is_the_row() -> None:
    one = end_all(gathering("a", combine=asks), ended(1))
    assert one == ended(1, pieces=1)
