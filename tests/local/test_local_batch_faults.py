"""What can go wrong with batches, through the real SDK, and what the server's own account says of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import anthropic
import httpx2
import pytest

from pipeline.local.errors import ApiError
from pipeline.local.faults import CANCEL, CREATE, DELETE, ITEM, KINDS, LIST, RESULTS, RETRIEVE, Refused, Rule, places
from tests.local.batching import Server, Starts, ended, results, some
from tests.local.running import stats

BROKEN = (httpx2.HTTPError, anthropic.APIConnectionError)


async def lines(server: Server, batch_id: str) -> list[bytes]:
    """The results as they come over the wire, without the SDK's decoder."""
    async with server.client() as client:
        answer = await client.get(f"/v1/messages/batches/{batch_id}/results", cast_to=httpx2.Response)
        return answer.content.splitlines(keepends=True)


async def created(server: Server, count: int = 20, prefix: str = "r") -> str:
    """The id of a batch that has ended."""
    async with server.client() as client:
        made = await client.messages.batches.create(requests=some(count, prefix))
        await ended(client, made.id)
        return str(made.id)


# -- create ----------------------------------------------------------------------------------------------------------------


CREATES: list[tuple[Rule, type[Exception], bool]] = [
    (Rule("reset", at=CREATE), anthropic.APIConnectionError, False),
    (Rule("overloaded", at=CREATE), anthropic.OverloadedError, False),
    (Rule("bad_gateway", at=CREATE), anthropic.InternalServerError, False),
    (Rule("own_spend_limit", at=CREATE), anthropic.BadRequestError, False),
    (Rule("reset_late", at=CREATE), anthropic.APIConnectionError, True),
    (Rule("hang", at=CREATE), anthropic.APITimeoutError, True),
    (Rule("slow", at=CREATE, wait_s=60.0), anthropic.APITimeoutError, True),
    (Rule("cut", at=CREATE), anthropic.APIConnectionError, True),
    (Rule("cut_clean", at=CREATE), json.JSONDecodeError, True),
    (Rule("gateway_timeout", at=CREATE, says_billed=True), anthropic.GatewayTimeoutError, True),
]
"""What meets the n-th create, what its client sees, and whether the batch is made."""


def test_a_create_that_fails_and_whether_it_took_effect(serving_batches: Starts) -> None:
    server = serving_batches(*(replace(rule, from_request=n, until_request=n) for n, (rule, *_) in enumerate(CREATES, 1)))

    async def asked() -> None:
        made = 0
        async with server.client(patience_s=1.0) as client:
            for rule, kind, is_made in CREATES:
                with pytest.raises(kind):
                    await client.messages.batches.create(requests=some(3, rule.fault))
                made += is_made
                assert len((await client.messages.batches.list()).data) == made, rule.fault

    asyncio.run(asked())
    told, made = server.batches(), sum(is_made for *_, is_made in CREATES)
    assert (told["created"], told["unseen"], told["requests"]) == (made, made, 3 * made)
    assert stats(server.url)["by_fault"] == {rule.fault: 1 for rule, *_ in CREATES}


def test_a_fault_of_the_first_attempt_heals_at_the_second(serving_batches: Starts) -> None:
    server = serving_batches(Rule("reset", at=CREATE, attempts=1))

    async def asked() -> None:
        async with server.client() as client:
            for prefix in ("one", "two"):
                with pytest.raises(anthropic.APIConnectionError):
                    await client.messages.batches.create(requests=some(3, prefix))
                await client.messages.batches.create(requests=some(3, prefix))

    asyncio.run(asked())
    assert server.batches()["created"] == 2


def test_a_batch_that_gets_nowhere_can_be_canceled(serving_batches: Starts) -> None:
    server = serving_batches(Rule("stuck"))

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=some(3))
            await client.messages.batches.cancel(made.id)
            assert (await ended(client, made.id)).request_counts.canceled == 3

    asyncio.run(asked())
    assert server.batches()["unseen"] == 0


def test_results_past_their_29_days(serving_batches: Starts) -> None:
    server = serving_batches(Rule("archived"))

    async def asked() -> None:
        batch_id = await created(server)
        async with server.client() as client:
            batch = await client.messages.batches.retrieve(batch_id)
            assert (batch.processing_status, batch.results_url) == ("ended", None)
            assert batch.archived_at == batch.ended_at
            assert batch.request_counts.succeeded == 20
            with pytest.raises(anthropic.NotFoundError, match="no longer available"):
                await client.get(f"/v1/messages/batches/{batch_id}/results", cast_to=object)

    asyncio.run(asked())


# -- single requests -------------------------------------------------------------------------------------------------------


def test_an_errored_request_says_why(serving_batches: Starts) -> None:
    effects = {name: kind.effect for name, kind in KINDS.items() if isinstance(kind.effect, Refused)}
    server = serving_batches(*(Rule(name, at=ITEM, from_request=n, until_request=n) for n, name in enumerate(effects, 1)))

    async def asked() -> list[Any]:
        batch_id = await created(server, len(effects))
        async with server.client() as client:
            assert (await client.messages.batches.retrieve(batch_id)).request_counts.errored == len(effects)
            return [each.result.error.error for each in await results(client, batch_id)]

    told = sorted((each.type, each.message) for each in asyncio.run(asked()))
    expected = [
        (ApiError(effect.status, "").type, effect.message.replace("{model}", "claude-haiku-5-5")) for effect in effects.values()
    ]
    assert told == sorted(expected)
    assert stats(server.url)["billed"]["requests"] == 0


def test_requests_that_nobody_worked_on_are_not_billed(serving_batches: Starts) -> None:
    server = serving_batches(Rule("expired", 0.3), Rule("canceled", 0.3))

    async def asked() -> Any:
        batch_id = await created(server, 200)
        async with server.client() as client:
            found = [each.result.type for each in await results(client, batch_id)]
            counts = (await client.messages.batches.retrieve(batch_id)).request_counts
            told = {state: getattr(counts, state) for state in ("expired", "canceled", "succeeded")}
            assert told == {state: found.count(state) for state in told}
            return told

    told = asyncio.run(asked())
    assert all(20 < told[state] < 120 for state in told)
    assert server.batches()["by_result"] == told
    assert stats(server.url)["billed"]["requests"] == told["succeeded"]


def test_what_expired_passes_in_the_next_batch(serving_batches: Starts) -> None:
    server = serving_batches(Rule("expired", attempts=1))

    async def asked() -> None:
        async with server.client() as client:
            for state in ("expired", "succeeded"):
                batch_id = await created(server, 5)
                assert {each.result.type for each in await results(client, batch_id)} == {state}

    asyncio.run(asked())
    told = stats(server.url)
    assert (told["billed"]["requests"], told["duplicates"]["replies"]) == (5, 0)


@pytest.mark.parametrize(
    ("name", "reason", "text"), [("refusal", "refusal", None), ("truncated", "max_tokens", '{"'), ("fenced", "end_turn", "```")]
)
def test_an_answer_that_goes_wrong_succeeds(serving_batches: Starts, name: str, reason: str, text: str | None) -> None:
    server = serving_batches(Rule(name, at=ITEM))

    async def asked() -> None:
        batch_id = await created(server, 1)
        async with server.client() as client:
            (found,) = await results(client, batch_id)
            message = found.result.message
            assert message.stop_reason == reason
            assert (message.content[0].text.startswith(text) if message.content else None) == (True if text else None)

    asyncio.run(asked())


@pytest.mark.parametrize(("name", "copies"), [("lost_line", 0), ("double_line", 2)])
def test_lines_that_are_missing_or_come_twice(serving_batches: Starts, name: str, copies: int) -> None:
    server = serving_batches(Rule(name, until_request=3))

    async def asked() -> list[str]:
        return [json.loads(line)["custom_id"] for line in await lines(server, await created(server, 20))]

    ids = asyncio.run(asked())
    often = [ids.count(f"r{number}") for number in range(20)]
    assert sorted(often) == sorted([copies] * 3 + [1] * 17)
    told = stats(server.url)
    assert (told["batches"]["by_result"], told["billed"]["requests"]) == ({"succeeded": 20}, 20)
    assert told["billed"]["unread"] == (3 if copies == 0 else 0)


def test_one_seed_gives_the_same_results_in_the_same_order_and_another_gives_others(serving_batches: Starts) -> None:
    def told(seed: int) -> list[tuple[str, str]]:
        server = serving_batches(Rule("expired", 0.2), Rule("internal", 0.2, at=ITEM), seed=seed)

        async def asked() -> list[bytes]:
            return await lines(server, await created(server, 50))

        found = [json.loads(line) for line in asyncio.run(asked())]
        return [(each["custom_id"], each["result"]["type"]) for each in found]

    first = told(1)
    assert told(1) == first
    other = told(2)
    assert [each for each, _ in other] != [each for each, _ in first]
    assert dict(other) != dict(first)


# -- other calls -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [RETRIEVE, LIST, RESULTS, CANCEL, DELETE])
def test_any_call_can_fail_and_pass_later(serving_batches: Starts, place: str) -> None:
    failing = [("internal", anthropic.InternalServerError), ("overloaded", anthropic.OverloadedError)]
    rules = [Rule(name, at=place, from_request=n, until_request=n) for n, (name, _) in enumerate(failing, 1)]
    server = serving_batches(*rules, batch_time_s=1_000 if place == CANCEL else 0)

    async def asked() -> None:
        async with server.client() as client:
            batches = client.messages.batches
            made = await batches.create(requests=some(2))
            if place in (RESULTS, DELETE):
                await ended(client, made.id)
            calls = {RETRIEVE: batches.retrieve, RESULTS: batches.results, CANCEL: batches.cancel, DELETE: batches.delete}
            call = (lambda _: batches.list()) if place == LIST else calls[place]
            for _, kind in failing:
                with pytest.raises(kind):
                    await call(made.id)
            assert await call(made.id)

    asyncio.run(asked())


@pytest.mark.parametrize("name", ["cut", "cut_clean"])
def test_results_that_end_in_the_middle_of_a_line(serving_batches: Starts, name: str) -> None:
    server = serving_batches(Rule(name, at=RESULTS, attempts=1))

    async def asked() -> None:
        batch_id = await created(server, 40)
        if name == "cut":
            with pytest.raises(BROKEN):
                await lines(server, batch_id)
        else:
            *whole, last = await lines(server, batch_id)
            assert all(json.loads(line) for line in whole)
            with pytest.raises(json.JSONDecodeError):
                json.loads(last)
        assert len(await lines(server, batch_id)) == 40

    asyncio.run(asked())
    assert server.batches()["results"] == {"read": 1, "broken_off": 1, "lines": 40}


def test_a_list_of_short_pages_is_found_whole(serving_batches: Starts) -> None:
    server = serving_batches(Rule("short_page"))

    async def asked() -> None:
        made = [await created(server, 1, f"b{number}-") for number in range(3)]
        async with server.client() as client:
            page = await client.messages.batches.list(limit=100)
            assert ([each.id for each in page.data], page.has_more) == (made[:1:-1], True)
            assert [each.id async for each in client.messages.batches.list(limit=100)] == made[::-1]

    asyncio.run(asked())


def test_every_fault_of_batches_alone_is_tried_here() -> None:
    tried = {"expired", "canceled", "lost_line", "double_line", "stuck", "archived", "short_page"}
    assert {name for name, kind in KINDS.items() if "messages" not in places(kind.effect)} == tried
