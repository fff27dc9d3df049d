"""The online caller, over fakes at its two ports; the jitter always draws zero."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from pipeline.call.caller import Broken, Budget, Response
from pipeline.call.classify import broken
from pipeline.call.crew import lost_with_it, nobody_left
from pipeline.call.online import Limits, Online, gate
from pipeline.errors import (
    AccountRefused,
    ComeBackLater,
    ConfigInvalid,
    InputUnreadable,
    PipelineError,
    ServiceDown,
    StorageFailed,
    WorkersLost,
)
from pipeline.events import Event, InDoubt, Notice, Retrying, Stopping
from pipeline.records import Failure, Image, Origin, Prompt, Recall, Reply, Turn, Use
from tests.api import Canned, error, message
from tests.call import virtual
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
        random: Callable[[], float] | float = 0.0,
        proven: bool = False,
        max_alike: int | None = 20,
        hold: bool = False,
    ) -> None:
        self.book = book or Book()
        self.line = Line(script, self.book)
        self.events: list[Event] = []
        self.results: dict[int, Reply | Failure] = {}
        self.error: PipelineError | None = None
        self.halt = asyncio.Event()
        limits = Limits(concurrency, attempts, 900.0, hold=hold, max_alike=max_alike)
        draw = random if callable(random) else lambda: random
        self.door = gate(limits, self.events.append, draw)
        ports = self.line, self.book, SHAPE, limits
        self.caller = Online(*ports, self.halt, self.events.append, lambda: 1000.0, draw, budget or free(), self.door, proven)
        virtual.run(self._run(texts))

    async def _run(self, texts: Sequence[str]) -> None:
        try:
            async for asked, result in self.caller.replies(prompts(texts)):
                assert asked.position not in self.results
                self.results[asked.position] = result
        except PipelineError as raised:
            self.error = raised

    def statuses(self) -> list[str]:
        return [result.status.value if isinstance(result, Failure) else "reply" for _, result in sorted(self.results.items())]


def notices(run: Run) -> list[str]:
    return [event.text for event in run.events if isinstance(event, Notice)]


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


def test_of_large_pictures_only_few_are_held_at_once() -> None:
    """However many requests may be out: their pictures must fit into memory, and one that does not fit goes alone."""
    for data_bytes, most in ((400, 2), (2_000, 1), (10, 8)):
        picture = Image("image/png", bytes(data_bytes), "d", 1)

        async def shown(picture: Image = picture) -> AsyncIterator[Prompt]:
            for position in range(12):
                text = prompt(f"text {position}", position)
                yield replace(text, turns=(Turn("user", (*text.turns[0].blocks, picture)),))

        run = Run([], echo, concurrency=8)
        run.caller.most_held_bytes = 1_000

        async def ask(caller: Online = run.caller, given: AsyncIterator[Prompt] = shown()) -> int:  # noqa: B008 one each
            return len([1 async for _ in caller.replies(given)])

        assert virtual.run(ask()) == 12
        assert run.line.peak == most


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


@pytest.mark.parametrize(("latency_s", "requests"), [(1.0, 6), (120.0, 2)])
def test_what_may_have_been_paid_is_repeated_often_if_it_broke_early_once_if_late(latency_s: float, requests: int) -> None:
    run = Run(["a"], lambda text, number: Broken(True, "ReadTimeout", latency_s), attempts=6)
    assert run.statuses() == ["in_doubt"]
    assert len(run.line.texts) == requests
    assert sum(isinstance(event, Retrying) and event.billed for event in run.events) == requests - 1


@pytest.mark.parametrize("body", [b"<html>proxy</html>", b'{"id": "msg', b"{}", b"[]", b""])
def test_a_200_that_is_no_message_is_kept_repeated_and_then_in_doubt(body: bytes) -> None:
    run = Run(["a"], lambda text, number: Canned(200, body), attempts=2)
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
    assert run.error.message == "the service was away for 10 minutes; at last: ConnectError"
    assert run.statuses() == ["pending"]


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
        virtual.run(drive())
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

    (result,) = virtual.run(drive())
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

    (result,) = virtual.run(drive())
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
    assert run.door.concurrency.out == 0


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


def test_a_service_that_comes_back_finds_every_row_and_no_attempt_used_up() -> None:
    """Away for five minutes: a probe every 30 s, whatever failed meanwhile counts for nothing."""
    times: list[float] = []

    def script(text: str, _: int) -> Canned:
        times.append(asyncio.get_running_loop().time())
        away = len(times) > 20 and times[-1] < times[19] + 300
        return error(500, "api_error") if away else message(text)

    run = Run([f"t{number}" for number in range(60)], script, attempts=6, random=0.5)
    assert run.statuses() == ["reply"] * 60
    probes = [now for now in times if times[19] + 30 < now < times[19] + 290]
    assert all(later - earlier >= 29.9 for earlier, later in pairwise(probes))
    assert len(probes) <= 10
    assert [said for said in notices(run) if "the service" in said] == [
        "the service is away; one request every 30 s until it is back: HTTP 500 api_error: no",
        "the service is back",
    ]


def test_a_service_that_goes_away_for_good_leaves_no_row_marked() -> None:
    run = Run([f"t{n:03}" for n in range(200)], lambda text, _: error(500, "api_error") if text > "t019" else message(text))
    assert isinstance(run.error, ServiceDown)
    assert set(run.statuses()) == {"reply", "pending"}


def test_a_service_that_fails_a_quarter_of_all_requests_is_of_use() -> None:
    draw = Random(1)  # noqa: S311 a simulation

    def script(text: str, _: int) -> Canned | Broken:
        fault = draw.random()
        if fault < 0.10:
            return error(529, "overloaded_error")
        if fault < 0.15:
            return error(500, "api_error")
        if fault < 0.26:
            return Broken(True, "ReadError", 0.1)
        return message(text)

    run = Run([f"t{number}" for number in range(2000)], script, attempts=6, concurrency=50, random=draw.random)
    assert run.error is None
    assert run.statuses() == ["reply"] * 2000
    assert not [said for said in notices(run) if "the service" in said]


def test_a_request_that_all_rows_share_and_that_is_refused_stops_at_the_canaries() -> None:
    run = Run([f"t{number}" for number in range(50)], lambda text, _: error(400, "invalid_request_error", "schema"))
    assert isinstance(run.error, ConfigInvalid)
    assert "the first 3 rows were refused alike" in run.error.message
    assert run.line.texts == ["t0", "t1", "t2"]
    assert set(run.statuses()) == {"pending"}


@pytest.mark.parametrize("canned", [error(400, "invalid_request_error"), error(413, "request_too_large")])
def test_canaries_that_are_bad_rows_stop_nothing(canned: Canned) -> None:
    run = Run([f"t{n}" for n in range(50)], lambda text, _: canned if text in ("t0", "t1") else message(text))
    assert run.error is None
    assert run.statuses()[2:] == ["reply"] * 48
    assert run.statuses()[0] == run.statuses()[1] != "pending"
    assert run.line.peaks[:3] == [1, 1, 1], "until one is through, they go one at a time"


def test_canaries_that_are_each_told_something_else_are_bad_rows() -> None:
    run = Run([f"t{n}" for n in range(10)], lambda text, _: error(400, "invalid_request_error", f"{text} is too long"))
    assert run.error is None
    assert run.statuses() == ["request_error"] * 10


def test_a_few_rows_refused_alike_are_bad_rows_where_the_request_is_proven() -> None:
    run = Run([f"t{n}" for n in range(10)], lambda text, _: error(400, "invalid_request_error"), proven=True)
    assert run.error is None
    assert run.statuses() == ["request_error"] * 10


def test_a_request_that_is_refused_from_the_middle_on_stops_and_marks_nothing() -> None:
    run = Run(
        [f"t{number:03}" for number in range(500)],
        lambda text, _: error(400, "invalid_request_error", f"about {text}") if text >= "t100" else message(text),
        concurrency=16,
    )
    assert isinstance(run.error, ConfigInvalid)
    assert "run.max_alike" in run.error.next_step
    assert run.statuses()[:100] == ["reply"] * 100
    assert set(run.statuses()[100:]) == {"pending"}
    assert len(run.line.texts) <= 100 + 16 + 20


def test_most_rows_refused_alike_stop_the_run_even_if_some_are_answered() -> None:
    run = Run(
        [f"t{number:03}" for number in range(500)],
        lambda text, _: message(text) if text < "t100" or text.endswith("9") else error(400, "invalid_request_error"),
    )
    assert isinstance(run.error, ConfigInvalid)
    assert set(run.statuses()) == {"reply", "pending"}
    assert len(run.line.texts) < 300


def test_bad_rows_among_good_ones_end_as_bad_rows() -> None:
    run = Run(
        [f"t{number}" for number in range(300)],
        lambda text, _: error(400, "invalid_request_error") if text.endswith("3") else message(text),
    )
    assert run.error is None
    assert run.statuses() == ["request_error" if number % 10 == 3 else "reply" for number in range(300)]


def test_any_number_may_fail_alike_where_the_job_says_so() -> None:
    run = Run([f"t{n}" for n in range(60)], lambda text, _: error(400, "invalid_request_error"), max_alike=None)
    assert run.error is None
    assert run.statuses() == ["request_error"] * 60


@pytest.mark.parametrize(
    ("trouble", "raised"),
    [
        (error(401, "authentication_error"), AccountRefused),
        (error(402, "billing_error"), AccountRefused),
        (error(403, "permission_error"), AccountRefused),
        (error(404, "not_found_error"), ConfigInvalid),
        (error(429, "rate_limit_error", code="enforced_spend_limit_reached"), AccountRefused),
        (error(400, "invalid_request_error", "You have reached your specified API usage limits."), AccountRefused),
        (error(400, "invalid_request_error", "Your credit balance is too low to access the API."), AccountRefused),
        (error(429, "rate_limit_error"), AccountRefused),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_trouble_with_the_account_marks_no_row_and_costs_few_requests(trouble: Canned, raised: type[PipelineError]) -> None:
    at_once = Run(["t0", "t1"], lambda text, _: trouble)
    assert isinstance(at_once.error, raised)
    endless = trouble.status == 429 and b"error_code" not in trouble.body
    assert len(at_once.line.texts) == (2 if endless else 1)
    later = Run([f"t{n:03}" for n in range(500)], lambda text, _: trouble if text >= "t100" else message(text), concurrency=16)
    assert isinstance(later.error, raised)
    assert later.statuses()[:100] == ["reply"] * 100
    assert set(later.statuses()[100:]) == {"pending"}
    assert len(later.line.texts) <= 100 + 16 + 20


def test_a_limit_without_end_that_has_an_end_stops_nothing() -> None:
    """Those that were out together are one, and all wait before the next is sent."""
    times: list[float] = []

    def script(text: str, number: int) -> Canned:
        times.append(asyncio.get_running_loop().time())
        limited = text in ("t8", "t9", "t10") and number == 1
        return error(429, "rate_limit_error") if limited else message(text)

    run = Run([f"t{n}" for n in range(20)], script)
    assert run.error is None
    assert run.statuses() == ["reply"] * 20
    assert max(later - earlier for earlier, later in pairwise(times)) >= 1.0


def test_the_lines_of_a_retry_after_go_on_together() -> None:
    """While the door is shut nobody sends, and then a fifth fewer are out."""
    times: dict[str, list[float]] = {}

    def script(text: str, number: int) -> Canned:
        times.setdefault(text, []).append(asyncio.get_running_loop().time())
        return error(429, "rate_limit_error", retry_after="30") if text == "t25" and number == 1 else message(text)

    run = Run([f"t{number}" for number in range(100)], script, concurrency=20)
    assert run.statuses() == ["reply"] * 100
    told = times["t25"][0]
    assert not [now for sent in times.values() for now in sent if told < now < told + 30]
    assert any(said.startswith("16 requests at once instead of 20") for said in notices(run))


def test_two_callers_share_one_gate() -> None:
    async def both() -> tuple[int, list[Reply | Failure]]:
        events: list[Event] = []
        limits = Limits(6, 3, 900.0)
        shared = gate(limits, events.append, lambda: 0.0)
        line, book, halt = Line(echo), Book(), asyncio.Event()

        async def one(first: int) -> list[Reply | Failure]:
            caller = Online(line, book, SHAPE, limits, halt, events.append, lambda: 0.0, lambda: 0.0, free(), shared)
            return [result async for _, result in caller.replies(prompts([f"{first} {n}" for n in range(50)]))]

        first, second = await asyncio.gather(one(1), one(2))
        return line.peak, [*first, *second]

    peak, results = virtual.run(both())
    assert peak == 6
    assert len([result for result in results if isinstance(result, Reply)]) == 100


def test_an_ask_that_is_given_up_while_it_waits_takes_no_place_with_it() -> None:
    async def gives_up() -> None:
        door = gate(Limits(1, 3, 900.0), lambda _: None, lambda: 0.0)
        first = await door.enter(door, 10, again=False)
        waiting = asyncio.create_task(door.enter(door, 10, again=False))
        await asyncio.sleep(0)
        waiting.cancel()
        door.abandoned(first)
        await asyncio.gather(waiting, return_exceptions=True)
        await door.enter(door, 10, again=False)

    virtual.run(gives_up())


def test_a_retry_goes_before_new_asks() -> None:
    async def order() -> list[str]:
        door = gate(Limits(1, 3, 900.0), lambda _: None, lambda: 0.0)
        let_in: list[str] = []

        async def enters(name: str, again: bool) -> None:
            place = await door.enter(door, 10, again=again)
            let_in.append(name)
            door.abandoned(place)

        first = await door.enter(door, 10, again=False)
        waiting = [asyncio.create_task(enters("new", False))]
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(enters("retry", True)))
        await asyncio.sleep(0)
        door.abandoned(first)
        await asyncio.gather(*waiting)
        return let_in

    assert virtual.run(order()) == ["retry", "new"]


def test_an_ask_that_is_given_up_just_as_it_is_let_in_gives_its_place_back() -> None:
    async def gives_up() -> int:
        door = gate(Limits(1, 3, 900.0), lambda _: None, lambda: 0.0)
        first = await door.enter(door, 10, again=False)
        waiting = asyncio.create_task(door.enter(door, 10, again=False))
        await asyncio.sleep(0)
        door.abandoned(first)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return door.concurrency.out

    assert virtual.run(gives_up()) == 0


def test_what_nobody_can_send_yet_waits_at_the_door_and_leaves_at_the_pace() -> None:
    """Kept back behind the door, it would leave all at once when somebody can send."""

    async def left_at_s() -> list[float]:
        door = gate(Limits(64, 3, 900.0, requests_per_minute=600), lambda _: None, lambda: 0.0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        left: list[float] = []

        async def enters() -> None:
            place = await door.enter(door, 10, again=False, ready=lambda: loop.time() - began >= 60)
            left.append(loop.time() - began)
            await asyncio.sleep(60)
            door.abandoned(place)

        await asyncio.gather(*(enters() for _ in range(20)))
        return left

    first, *others = virtual.run(left_at_s())
    assert first == 0.0, "one is let in, so that somebody is started"
    assert others[0] == pytest.approx(60, abs=0.1)
    assert others[-1] - others[0] == pytest.approx(1.8, abs=0.2), "ten a second"


def test_what_comes_while_nobody_can_send_leaves_at_the_pace_once_somebody_can() -> None:
    class Lost(Line):
        """Those who send are lost at the 30th request, and others are there after a minute."""

        def __init__(self) -> None:
            super().__init__(lambda text, _: message(text))
            self.left: list[float] = []
            self.back = 0.0

        @property
        def ready(self) -> bool:
            return asyncio.get_running_loop().time() >= self.back

        async def send(self, body: Mapping[str, Any]) -> Response | Broken:
            loop = asyncio.get_running_loop()
            if len(self.left) == 30 and not self.back:
                self.back = loop.time() + 60
            await asyncio.sleep(max(0.0, self.back - loop.time()))
            self.left.append(loop.time())
            await asyncio.sleep(1)
            return await super().send(body)

    async def drive() -> list[float]:
        line, limits = Lost(), Limits(64, 3, 900.0, requests_per_minute=600)
        caller = Online(line, Book(), SHAPE, limits, asyncio.Event(), lambda _: None, lambda: 0.0, lambda: 0.0, free())
        results = [result async for _, result in caller.replies(prompts([f"t{number}" for number in range(120)]))]
        assert all(isinstance(result, Reply) for result in results)
        return line.left

    left = virtual.run(drive())
    assert len(left) == 120
    assert left[-1] - left[0] < 60 + 120 / 10 + 3
    assert all(bisect_right(left, start + 1.0) - number <= 13 for number, start in enumerate(left)), "ten a second"


def test_a_request_that_never_left_costs_no_part_of_a_limit() -> None:
    async def waits_s() -> list[float]:
        door = gate(Limits(4, 3, 900.0, requests_per_minute=60), lambda _: None, lambda: 0.0)
        now = asyncio.get_running_loop().time()
        place = await door.enter(door, 10, again=False)
        before = door.limiter.wait_s(now, 10)
        door.failed(place, broken(Broken(False, "ConnectError", 0.0)), {})
        return [before, door.limiter.wait_s(now, 10)]

    assert virtual.run(waits_s()) == [pytest.approx(0.5), 0.0]


def test_rows_held_back_are_given_when_all_else_waits_for_them() -> None:
    """Whoever gives the prompts may want to know of the first row before there is a second."""

    async def drive() -> list[str]:
        known = asyncio.Event()
        got: list[str] = []

        async def one_after_the_other() -> AsyncGenerator[Prompt]:
            yield prompt("bad", 0)
            await known.wait()
            yield prompt("good", 1)

        line = Line(lambda text, _: error(400, "invalid_request_error") if text == "bad" else message(text))
        caller = Online(
            line,
            Book(),
            SHAPE,
            Limits(4, 3, 900.0),
            asyncio.Event(),
            lambda _: None,
            lambda: 0.0,
            lambda: 0.0,
            free(),
            proven=True,
        )
        async for _, result in caller.replies(one_after_the_other()):
            got.append(result.text if isinstance(result, Reply) else result.status)
            known.set()
        return got

    assert virtual.run(drive()) == ["request_error", "good"]


def test_copies_that_wait_for_one_another_do_not_keep_other_rows_waiting() -> None:
    class Slow(Line):
        out_now = most = 0

        async def send(self, body: Mapping[str, Any]) -> Response | Broken:
            self.out_now += 1
            self.most = max(self.most, self.out_now)
            await asyncio.sleep(0.3)
            self.out_now -= 1
            return await super().send(body)

    async def drive() -> int:
        line = Slow(lambda text, _: message(text))
        ports = line, Book(), SHAPE, Limits(8, 3, 900.0)
        caller = Online(*ports, asyncio.Event(), lambda _: None, lambda: 0.0, lambda: 0.0, free())
        texts = [f"t{number // 60}" for number in range(600)]
        results = [result async for _, result in caller.replies(prompts(texts))]
        assert all(isinstance(result, Reply) for result in results)
        assert set(line.texts) == set(texts)
        return line.most

    assert virtual.run(drive()) >= 7, "60 copies of each, one after the other"


def test_after_a_limit_without_an_end_one_request_finds_out_for_all() -> None:
    run = Run(
        [f"t{number:03}" for number in range(300)],
        lambda text, _: error(429, "rate_limit_error") if text >= "t100" else message(text),
        concurrency=32,
    )
    assert isinstance(run.error, AccountRefused)
    assert len(run.line.texts) <= 100 + 32 + 1


def test_what_was_held_is_given_back_when_the_run_halts_while_whoever_asks_waits_for_it() -> None:
    async def drive() -> list[str]:
        known, halt = asyncio.Event(), asyncio.Event()

        async def only_one() -> AsyncGenerator[Prompt]:
            yield prompt("bad", 0)
            halt.set()
            await known.wait()

        line = Line(lambda text, _: error(400, "invalid_request_error"))
        ports = line, Book(), SHAPE, Limits(4, 3, 900.0)
        caller = Online(*ports, halt, lambda _: None, lambda: 0.0, lambda: 0.0, free(), proven=True)
        got: list[str] = []
        async for _, result in caller.replies(only_one()):
            got.append(result.status if isinstance(result, Failure) else "reply")
            known.set()
        return got

    assert virtual.run(drive()) == ["pending"]


def test_rows_that_a_person_wants_tried_again_may_all_fail_again() -> None:
    async def drive() -> list[str]:
        async def again() -> AsyncGenerator[Prompt]:
            for number in range(40):
                yield replace(prompt(f"t{number}", number), use="new")

        line = Line(lambda text, _: error(400, "invalid_request_error"))
        ports = line, Book(), SHAPE, Limits(4, 3, 900.0)
        caller = Online(*ports, asyncio.Event(), lambda _: None, lambda: 0.0, lambda: 0.0, free())
        return [result.status async for _, result in caller.replies(again()) if isinstance(result, Failure)]

    assert virtual.run(drive()) == ["request_error"] * 40


def test_nothing_that_cannot_be_sent_is_tried_twice() -> None:
    unsendable = Broken(False, "UnicodeEncodeError: surrogates not allowed", 0.0, unsendable=True)
    run = Run([f"t{n}" for n in range(10)], lambda text, _: unsendable if text == "t5" else message(text))
    assert run.statuses() == ["reply"] * 5 + ["input_error"] + ["reply"] * 4
    assert run.line.texts.count("t5") == 1


def test_a_worker_that_ends_with_many_requests_says_nothing_of_the_service() -> None:
    """More than it takes in a row to call the service away."""
    lost = lost_with_it("killed", 0.5)
    texts = [f"t{number}" for number in range(300)]
    run = Run(texts, lambda text, number: lost if number == 1 and text != "t0" else message(text), concurrency=300)
    assert run.statuses() == ["reply"] * 300
    assert [text for text in notices(run) if "service" in text] == []
    assert sum(isinstance(event, InDoubt) for event in run.events) == 299


def test_where_a_doubt_is_held_a_worker_that_ends_leaves_its_rows_in_doubt_and_the_others_go_on() -> None:
    """More of them than may fail alike."""
    texts = [f"t{number}" for number in range(60)]
    lost = {f"t{number}" for number in range(10, 40)}
    run = Run(texts, lambda text, _: lost_with_it("killed", 0.5) if text in lost else message(text), hold=True, concurrency=60)
    assert run.error is None
    assert Counter(run.statuses()) == {"reply": 30, "in_doubt": 30}


def test_when_no_worker_is_left_the_run_ends_and_nothing_is_in_doubt() -> None:
    run = Run(["a", "b"], lambda text, _: nobody_left("exit code 1"))
    assert isinstance(run.error, WorkersLost)
    assert run.statuses() == ["pending"] * len(run.results)
    assert run.book.events == ["sent 0", "out a", "unpaid 0"]
