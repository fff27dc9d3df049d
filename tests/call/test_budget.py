"""What a request can cost at most, and the account that it is counted in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.call.budget import FORM_TOKENS, IMAGE_TOKENS, MOST_TOKENS, Account, Bound
from pipeline.call.caller import Broken
from pipeline.call.purse import Purse
from pipeline.call.wire import shape
from pipeline.errors import BudgetSpent
from pipeline.events import Event, Notice
from pipeline.records import Constant, Text, Turn, Usage
from tests.api import Canned, error, message
from tests.call.fakes import FORM, SHAPE, Book, prompt
from tests.call.test_online import Run


def bound(body: dict[str, Any], constant_messages: int = 0) -> Usage:
    messages = body.pop("messages")
    fixed = {"max_tokens": 100, **body}
    made = Bound.of(fixed, messages[:constant_messages], "off")
    return made.usage({**fixed, "messages": messages})


def said(content: Any) -> Usage:
    return bound({"messages": [{"role": "user", "content": content}]})


@given(st.text())
def test_a_text_never_has_more_tokens_than_bytes_and_the_bound_knows(text: str) -> None:
    assert said([{"type": "text", "text": text}]).input_tokens >= len(text.encode("utf-8", "surrogatepass"))


def test_a_letter_that_is_written_out_before_it_is_counted_is_bounded_as_it_is_written_out() -> None:
    plain = said([{"type": "text", "text": "abc"}]).input_tokens
    assert said([{"type": "text", "text": "\ufdfa"}]).input_tokens == plain + 30, "3 bytes, 33 after normalisation"


def test_each_kind_of_content_is_bounded() -> None:
    nothing = said([]).input_tokens
    assert said([{"type": "image", "source": {}}]).input_tokens >= nothing + IMAGE_TOKENS
    assert said([{"type": "document", "source": {"type": "base64", "data": ""}}]).input_tokens == MOST_TOKENS
    thought = {"type": "thinking", "thinking": "", "signature": "s" * 500}
    assert said([thought]).input_tokens >= nothing + 500 + 100, "the seal, and all of max_tokens behind it"
    call = {"type": "tool_use", "id": "t", "name": "n", "input": {"a": "b" * 300}}
    assert said([call]).input_tokens >= nothing + 300


def test_no_prompt_is_longer_than_the_largest_window() -> None:
    usage = Bound.of(SHAPE.fixed, SHAPE.messages, "5m").usage(SHAPE.body(prompt("x" * 5_000_000)))
    assert usage.prompt_tokens == MOST_TOKENS


@pytest.mark.parametrize("cache", ["5m", "1h", "off"])
def test_the_constant_part_is_bounded_as_written_to_the_cache_and_the_row_as_read_anew(cache: Any) -> None:
    constant = Constant("s" * 1000, (Turn("user", (Text("q" * 100),)), Turn("assistant", (Text("a" * 100),))))
    made = shape(constant, FORM)
    usage = Bound.of(made.fixed, made.messages, cache).usage(made.body(prompt("r" * 400)))
    assert usage.output_tokens == FORM.max_tokens
    written = {"5m": usage.cache_write_5m_tokens, "1h": usage.cache_write_1h_tokens, "off": 0}[cache]
    assert usage.cache_write_tokens == written
    assert usage.prompt_tokens - usage.input_tokens == written
    if cache == "off":
        assert usage.input_tokens >= 1600 + FORM_TOKENS
    else:
        assert written >= 1200 + FORM_TOKENS
        assert 400 <= usage.input_tokens < 500


def test_a_schema_that_is_sent_counts_twice_and_one_that_is_not_does_not() -> None:
    schema = {"type": "object", "title": "t" * 1000}
    native = bound({"messages": [], "output_config": {"format": {"type": "json_schema", "schema": schema}}})
    effort = bound({"messages": [], "output_config": {"effort": "low"}})
    assert native.input_tokens >= effort.input_tokens + 2 * len(json.dumps(schema)) + FORM_TOKENS
    assert effort.input_tokens < 100


# The account -------------------------------------------------------------------------------------------------------------


@given(
    limit=st.floats(0, 2),
    steps=st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["settle", "give_back", "doubt"]), st.floats(0, 1)), max_size=40),
)
def test_whatever_becomes_of_requests_the_limit_is_kept(limit: float, steps: list[tuple[float, str, float]]) -> None:
    account, charged = Account(limit), 0.0
    out: list[tuple[float, str, float]] = []
    for worst, end, share in steps:
        if account.fits(worst):
            account.set_aside(worst)
            out.append((worst, end, share))
        elif out:
            held, how, part = out.pop(0)
            charged += end_one(account, held, how, part)
    for held, how, part in out:
        charged += end_one(account, held, how, part)
    assert charged <= limit * (1 + 1e-9) + 1e-12
    assert account.out == 0
    assert account.paid_usd + account.doubtful_usd >= charged * (1 - 1e-9)


def end_one(account: Account, held: float, how: str, share: float) -> float:
    """What the server charges for it."""
    match how:
        case "settle":
            account.settle(held, held * share)
            return held * share
        case "doubt":
            account.doubt(held)
            return held * share
        case _:
            account.give_back(held)
            return 0.0


# The purse in the caller -------------------------------------------------------------------------------------------------


def purse(limit: float | None, *, paid: float = 0.0, worst: float = 1.0, cost: float | None = 0.25) -> Purse:
    return Purse(Account(limit, paid), lambda _: worst, lambda _: cost, lambda _: None)


def texts(number: int) -> list[str]:
    return [f"t{n}" for n in range(number)]


def echo(text: str, _: int) -> Canned:
    return message(text)


def test_what_is_set_aside_comes_back_with_the_reply_so_that_a_budget_is_used_up() -> None:
    money = purse(3.0)
    run = Run(texts(100), echo, budget=money)
    # 0.25 a reply, and the last one leaves only while 1.00 is left.
    assert len(run.line.texts) == 9
    assert (money.account.paid_usd, money.account.out) == (2.25, 0)
    assert isinstance(run.error, BudgetSpent)
    assert run.statuses().count("reply") == 9
    assert set(run.statuses()[9:]) <= {"pending"}
    assert run.caller.requests == 9
    assert run.error.message == (
        "run.budget_usd ($3.0000) is used up: $2.2500 spent, $0.7500 left, and the next request may cost $1.0000"
    )


def test_so_many_are_out_as_fit_at_their_worst_and_the_others_wait() -> None:
    run = Run(texts(6), echo, budget=purse(2.6), concurrency=6)
    assert run.line.peak == 2
    assert run.statuses() == ["reply"] * 6
    assert run.error is None


def test_a_request_that_never_fits_is_not_sent_and_said_so() -> None:
    run = Run(texts(3), echo, budget=purse(0.5))
    assert run.line.texts == []
    assert isinstance(run.error, BudgetSpent)
    assert run.error.message.startswith("one request may cost $1.0000, more than all of run.budget_usd ($0.5000)")


def test_what_earlier_runs_spent_counts() -> None:
    run = Run(texts(3), echo, budget=purse(3.0, paid=2.5))
    assert run.line.texts == []
    assert isinstance(run.error, BudgetSpent)


def test_a_refused_request_gives_its_money_back() -> None:
    money = purse(1.0)
    run = Run(["a"], lambda text, number: error(529, "overloaded_error") if number <= 2 else message(text), budget=money)
    assert run.statuses() == ["reply"]
    assert (money.account.paid_usd, money.account.doubtful_usd) == (0.25, 0.0)


def test_a_lost_reply_counts_at_its_worst_and_what_is_sent_again_counts_too() -> None:
    money = purse(10.0)
    Run(["a"], lambda text, number: Broken(True, "ReadTimeout", 1.0) if number == 1 else message(text), budget=money)
    assert (money.account.paid_usd, money.account.doubtful_usd) == (0.25, 1.0)


def test_what_was_lost_is_not_sent_again_where_that_would_pass_the_limit() -> None:
    run = Run(["a"], lambda text, number: Broken(True, "ReadTimeout", 1.0), budget=purse(1.5))
    assert run.line.texts == ["a"]
    assert isinstance(run.error, BudgetSpent)
    assert "$0.0000 spent, $1.0000 perhaps (requests whose reply was lost), $0.5000 left" in run.error.message


def test_a_200_that_cannot_be_read_counts_at_its_worst() -> None:
    money, book = purse(10.0), Book()
    Run(["a"], lambda text, number: Canned(200, b"<html>") if number == 1 else message(text), budget=money, book=book)
    assert money.account.paid_usd == 1.25
    assert book.prices == [(0, 1.0), (0, 0.25)]


def test_the_price_of_each_reply_is_written_down() -> None:
    book = Book()
    Run(["a", "b"], echo, budget=purse(None), book=book)
    assert sorted(book.prices) == [(0, 0.25), (1, 0.25)]


def test_a_model_without_a_price_is_asked_without_an_account() -> None:
    book, money = Book(), Purse(Account(None), lambda _: None, lambda _: None, lambda _: None)
    run = Run(["a"], echo, budget=money, book=book)
    assert run.statuses() == ["reply"]
    assert (book.prices, money.account.paid_usd) == ([], 0.0)


def test_a_reply_dearer_than_its_worst_case_is_told() -> None:
    told: list[Event] = []
    money = Purse(Account(5.0), lambda _: 1.0, lambda _: 1.5, told.append)
    Run(["a"], echo, budget=money)
    assert [event.text for event in told if isinstance(event, Notice)] == [
        "a reply cost $1.5000, more than the worst case of its request ($1.0000): run.budget_usd may be passed by as much"
    ]
    assert money.account.paid_usd == 1.5


def test_a_request_that_is_cut_off_does_not_keep_the_others_waiting() -> None:
    money = purse(1.0)

    async def one(wait: asyncio.Event) -> None:
        async with money.holding({}) as stake:
            stake.leaves()
            await wait.wait()

    async def drive() -> str:
        first = asyncio.create_task(one(asyncio.Event()))
        await asyncio.sleep(0)
        second = asyncio.create_task(one(asyncio.Event()))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(BudgetSpent) as caught:
            await asyncio.wait_for(second, 5)
        return caught.value.message

    assert "$1.0000 perhaps" in asyncio.run(drive())


def test_only_the_first_word_about_a_request_counts() -> None:
    money = purse(5.0)

    async def drive() -> None:
        async with money.holding({}) as stake:
            stake.leaves()
            stake.settle(None)
            stake.give_back()

    asyncio.run(drive())
    assert (money.account.paid_usd, money.account.doubtful_usd, money.account.out) == (1.0, 0.0, 0)


def test_a_request_that_never_left_costs_nothing() -> None:
    money = purse(5.0)

    async def drive() -> None:
        async with money.holding({}):
            assert money.account.aside_usd == 1.0

    asyncio.run(drive())
    assert (money.account.paid_usd, money.account.doubtful_usd, money.account.out) == (0.0, 0.0, 0)
