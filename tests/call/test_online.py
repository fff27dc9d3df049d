"""The online caller, over fakes at its two ports; the jitter always draws zero."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

import pytest

from pipeline.call.caller import Broken, Budget
from pipeline.call.online import Limits, Online
from pipeline.errors import AccountRefused, ComeBackLater, InputUnreadable, PipelineError, ServiceDown, StorageFailed
from pipeline.events import Event, InDoubt, Retrying, Stopping
from pipeline.records import Failure, Origin, Prompt, Recall, Reply, Use
from tests.api import Canned, error, message
from tests.call.fakes import SHAPE, Book, Line, free, prompt, prompts


class Run:
    """What came of asking about some texts."""

    def __init__(
        self,
        texts: Sequence[str],
        script: Callable[[str, int], Canned | Broken],
        *,
        book: Book | None = None,
        concurrency: int = 4,
        attempts: int = 3,
        budget: Budget | None = None,
    ) -> None:
        self.book = book or Book()
        self.line = Line(script, self.book)
        self.events: list[Event] = []
        self.results: dict[int, Reply | Failure] = {}
        self.error: PipelineError | None = None
        self.halt = asyncio.Event()
        limits = Limits(concurrency, attempts, 900.0)
        self.caller = Online(
            self.line, self.book, SHAPE, limits, self.halt, self.events.append, lambda: 1000.0, lambda: 0.0, budget or free()
        )
        asyncio.run(asyncio.wait_for(self._run(texts), 10))

    async def _run(self, texts: Sequence[str]) -> None:
        try:
            async for asked, result in self.caller.replies(prompts(texts)):
                assert asked.position not in self.results
                self.results[asked.position] = result
        except PipelineError as raised:
            self.error = raised

    def statuses(self) -> list[str]:
        return [result.status.value if isinstance(result, Failure) else "reply" for _, result in sorted(self.results.items())]


def echo(text: str, _: int) -> Canned:
    return message(text)


def test_every_prompt_has_its_own_reply() -> None:
    run = Run([f"t{number}" for number in range(50)], echo)
    replies = [result.text for _, result in sorted(run.results.items()) if isinstance(result, Reply)]
    assert replies == [f"t{number}" for number in range(50)]


def test_one_canary_goes_first_and_then_no_more_than_allowed_are_out() -> None:
    run = Run([f"t{number}" for number in range(30)], echo, concurrency=4)
    assert run.line.peaks[0] == 1
    assert run.line.peaks[-1] == 4


def test_what_is_sent_is_remembered_before_and_after() -> None:
    run = Run(["a"], echo)
    assert run.book.events == ["sent 0", "out a", "replied 0"]


def test_a_failure_that_costs_nothing_is_closed_in_the_book() -> None:
    run = Run(["a"], lambda text, number: error(529, "overloaded_error") if number == 1 else message(text))
    assert run.book.events == ["sent 0", "out a", "unpaid 0", "sent 0", "out a", "replied 0"]
    assert run.statuses() == ["reply"]
    reply = run.results[0]
    assert isinstance(reply, Reply)
    assert reply.attempts == 2
    assert run.caller.requests == 2


def test_a_failure_that_may_be_billed_stays_open_in_the_book() -> None:
    run = Run(["a"], lambda text, number: Broken(True, "ReadTimeout", 1.0) if number == 1 else message(text))
    assert "unpaid 0" not in run.book.events
    told = [event for event in run.events if isinstance(event, Retrying)]
    assert [event.billed for event in told] == [True]


def test_a_row_is_given_up_after_its_attempts_and_the_others_go_on() -> None:
    run = Run(["bad", "good"], lambda text, _: error(500, "api_error") if text == "bad" else message(text))
    assert run.statuses() == ["failed", "reply"]
    assert run.line.texts.count("bad") == 3


def test_a_bad_row_is_asked_once() -> None:
    run = Run(["bad", "good"], lambda text, _: error(400, "invalid_request_error") if text == "bad" else message(text))
    assert run.statuses() == ["request_error", "reply"]
    assert run.line.texts.count("bad") == 1


def test_an_ambiguous_failure_is_repeated_once_and_then_in_doubt() -> None:
    run = Run(["a"], lambda text, number: Broken(True, "ReadTimeout", 1.0), attempts=6)
    assert run.statuses() == ["in_doubt"]
    assert len(run.line.texts) == 2


@pytest.mark.parametrize("body", [b"<html>proxy</html>", b'{"id": "msg', b"{}", b"[]", b""])
def test_a_200_that_is_no_message_is_kept_repeated_once_and_then_in_doubt(body: bytes) -> None:
    run = Run(["a"], lambda text, number: Canned(200, body))
    assert run.statuses() == ["in_doubt"]
    assert run.book.events.count("replied 0") == 2


def test_trouble_with_the_account_stops_the_run_at_the_canary() -> None:
    run = Run([f"t{number}" for number in range(50)], lambda text, _: error(401, "authentication_error"))
    assert isinstance(run.error, AccountRefused)
    assert len(run.line.texts) == 1
    assert run.statuses() == ["pending"]
    assert run.halt.is_set()
    assert any(isinstance(event, Stopping) for event in run.events)


def test_trouble_in_the_middle_keeps_the_replies_in_flight() -> None:
    def script(text: str, _: int) -> Canned:
        return error(402, "billing_error") if text == "t7" else message(text)

    run = Run([f"t{number}" for number in range(50)], script)
    assert isinstance(run.error, AccountRefused)
    assert len(run.line.texts) <= 8 + 4
    assert set(run.statuses()) == {"reply", "pending"}
    answered = {position for position, result in run.results.items() if isinstance(result, Reply)}
    assert set(range(7)) <= answered


def test_a_service_that_cannot_be_reached_stops_the_run_and_no_row_is_marked() -> None:
    run = Run(["a", "b"], lambda text, _: Broken(False, "ConnectError", 0.0))
    assert isinstance(run.error, ServiceDown)
    assert run.statuses() == ["pending"]
    assert len(run.line.texts) == 3


def test_a_wait_beyond_the_longest_ends_the_run() -> None:
    run = Run(["a"], lambda text, _: error(429, "rate_limit_error", retry_after="3600"))
    assert isinstance(run.error, ComeBackLater)
    assert len(run.line.texts) == 1


def test_a_retry_after_of_one_stops_all_who_wait_for_a_place() -> None:
    """20 asks queue for 2 places; when t5 is told to wait, only what was out with it may still go."""
    order: list[str] = []
    loop_times: dict[str, float] = {}

    def script(text: str, number: int) -> Canned:
        order.append(text)
        loop_times[text] = asyncio.get_running_loop().time()
        return error(429, "rate_limit_error", retry_after="1") if text == "t5" and number == 1 else message(text)

    run = Run([f"t{number}" for number in range(20)], script, concurrency=2)
    assert run.statuses() == ["reply"] * 20
    limited = order.index("t5")
    told = loop_times["t4"]
    soon = [text for text in order[limited + 1 :] if loop_times[text] < told + 0.9]
    assert len(soon) <= 1


def test_trouble_upstream_comes_after_what_is_in_flight() -> None:
    book = Book()
    line = Line(echo, book)
    got: list[str] = []

    async def broken_off() -> AsyncGenerator[Prompt]:
        for position in range(6):
            yield prompt(f"t{position}", position)
        raise InputUnreadable("the file is gone")

    async def drive() -> None:
        caller = Online(
            line, book, SHAPE, Limits(4, 3, 900.0), asyncio.Event(), lambda _: None, lambda: 0.0, lambda: 0.0, free()
        )
        async for _, result in caller.replies(broken_off()):
            assert isinstance(result, Reply)
            got.append(result.text)

    with pytest.raises(InputUnreadable):
        asyncio.run(asyncio.wait_for(drive(), 10))
    assert sorted(got) == [f"t{position}" for position in range(6)]


def test_a_reply_that_was_paid_for_is_used_and_not_bought_again() -> None:
    paid = message("paid")
    run = Run(["a"], echo, book=Book({0: Recall(2, False, paid.body, "req_9", 0.7, 500.0)}))
    reply = run.results[0]
    assert isinstance(reply, Reply)
    assert (reply.text, reply.request_id, reply.at, reply.attempts) == ("paid", "req_9", 500.0, 2)
    assert run.line.texts == []
    assert run.caller.requests == 0


def test_identical_asks_in_flight_are_made_once() -> None:
    run = Run(["canary", "a", "b", "a", "a", "b"], echo, concurrency=8)
    assert sorted(run.line.texts) == ["a", "b", "canary"]
    replies = [result for _, result in sorted(run.results.items()) if isinstance(result, Reply)]
    assert [reply.text for reply in replies] == ["canary", "a", "b", "a", "a", "b"]
    assert sorted(reply.origin for reply in replies) == ["elsewhere"] * 3 + ["now"] * 3
    assert [reply.attempts for reply in replies if reply.origin is Origin.ELSEWHERE] == [0, 0, 0]


def test_an_identical_ask_that_fails_leaves_the_others_to_try_themselves() -> None:
    run = Run(["a", "a"], lambda text, number: error(500, "api_error") if number <= 3 else message(text))
    assert run.statuses() == ["failed", "reply"]


def test_what_only_paid_replies_may_answer_is_never_sent() -> None:
    line, book = Line(echo), Book()

    async def drive() -> list[Reply | Failure]:
        async def one() -> AsyncGenerator[Prompt]:
            yield replace(prompt("a"), use="paid")

        caller = Online(
            line, book, SHAPE, Limits(4, 3, 900.0), asyncio.Event(), lambda _: None, lambda: 0.0, lambda: 0.0, free()
        )
        return [result async for _, result in caller.replies(one())]

    (result,) = asyncio.run(drive())
    assert isinstance(result, Failure)
    assert line.texts == []


@pytest.mark.parametrize(("use", "sent"), [("any", 0), ("new", 1)])
def test_a_doubt_that_is_held_waits_for_a_person(use: Use, sent: int) -> None:
    line, book = Line(echo), Book({0: Recall(1, True)})

    async def drive() -> list[Reply | Failure]:
        async def one() -> AsyncGenerator[Prompt]:
            yield replace(prompt("a"), use=use)

        limits = Limits(4, 3, 900.0, hold=True)
        caller = Online(line, book, SHAPE, limits, asyncio.Event(), lambda _: None, lambda: 0.0, lambda: 0.0, free())
        return [result async for _, result in caller.replies(one())]

    (result,) = asyncio.run(drive())
    assert len(line.texts) == sent
    assert isinstance(result, Reply) or result.status == "in_doubt"


def test_an_ask_in_doubt_is_sent_again_and_said_so() -> None:
    run = Run(["a"], echo, book=Book({0: Recall(1, True)}))
    assert [event for event in run.events if isinstance(event, InDoubt)] == [InDoubt("k0")]
    reply = run.results[0]
    assert isinstance(reply, Reply)
    assert reply.attempts == 2


def test_nothing_is_sent_when_it_cannot_be_remembered() -> None:
    run = Run(["a", "b"], echo, book=Book(broken=StorageFailed("disk full")))
    assert isinstance(run.error, StorageFailed)
    assert run.line.texts == []


def test_a_halted_run_sends_nothing_new() -> None:
    halted: list[Run] = []

    def script(text: str, _: int) -> Canned:
        halted[0].halt.set()
        return message(text)

    class Halting(Run):
        def __init__(self) -> None:
            halted.append(self)
            super().__init__([f"t{number}" for number in range(20)], script)

    run = Halting()
    assert run.line.texts == ["t0"]
    assert run.statuses()[0] == "reply"
    assert set(run.statuses()[1:]) <= {"pending"}
